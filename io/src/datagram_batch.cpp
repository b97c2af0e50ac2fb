// Many datagrams with one system call.
#include <algorithm>
#include <cerrno>

#include <copse/io/socket.hpp>

#include "datagram_transfer.hpp"
#include "message.hpp"
#include "system_calls.hpp"

namespace copse::io {

namespace {

using detail::direction;
using detail::entry;

constexpr std::size_t most_at_once = 64;  // what describes them is on the fiber's stack: 14 KiB

struct arrivals {
    explicit arrivals(std::span<datagram_slot> wanted) noexcept
        : slots(wanted.first(std::min(wanted.size(), most_at_once))) {}

    ssize_t receive(const entry& e) noexcept {
        for (std::size_t i = 0; i < slots.size(); ++i) {
            pieces[i] = detail::piece_of(slots[i].buffer);
            messages[i] = {detail::message_from(senders[i], pieces[i]), 0};
        }
        return detail::sys.recvmmsg(e.fd, messages, static_cast<unsigned>(slots.size()),
                                    MSG_DONTWAIT | detail::whole_length(e));
    }

    void tell(std::size_t n) const {
        for (std::size_t i = 0; i < n; ++i) {
            slots[i].received = detail::datagram_of(senders[i], messages[i].msg_hdr.msg_namelen, messages[i].msg_len,
                                                    pieces[i].iov_len);
        }
    }

    std::span<datagram_slot> slots;
    iovec pieces[most_at_once];
    sockaddr_storage senders[most_at_once];
    mmsghdr messages[most_at_once];
};

struct departures {
    explicit departures(std::span<const outgoing_datagram> all) noexcept : count(std::min(all.size(), most_at_once)) {
        for (std::size_t i = 0; i < count; ++i) {
            pieces[i] = detail::piece_of(all[i].bytes);
            messages[i] = {detail::message_to(all[i].to, pieces[i]), 0};
        }
    }

    ssize_t send(const entry& e) noexcept {
        return detail::sys.sendmmsg(e.fd, messages, static_cast<unsigned>(count), MSG_DONTWAIT | MSG_NOSIGNAL);
    }

    std::size_t count;
    iovec pieces[most_at_once];
    mmsghdr messages[most_at_once];
};

}  // namespace

std::size_t socket::recv_many_by(std::span<datagram_slot> slots, detail::limit within) {
    entry& e = use("recv_many");
    if (slots.empty()) {
        copse::detail::attend();
        return 0;
    }
    arrivals next(slots);
    const ssize_t n = transfer(e, direction::in, within, "recv_many", [&] { return next.receive(e); });
    if (n < 0) [[unlikely]]
        fail_outcome(n, "recv_many", e, direction::in);
    const auto got = static_cast<std::size_t>(n);
    next.tell(got);
    return got;
}

std::size_t socket::try_recv_many(std::span<datagram_slot> slots) {
    entry& e = use("try_recv_many");
    if (slots.empty()) return 0;
    arrivals next(slots);
    const ssize_t n = try_transfer(e, direction::in, [&] { return next.receive(e); });
    if (n < 0) {
        if (detail::is_again(errno)) return 0;
        fail_outcome(n, "try_recv_many", e, direction::in);
    }
    next.tell(static_cast<std::size_t>(n));
    return static_cast<std::size_t>(n);
}

std::size_t socket::send_many_by(std::span<const outgoing_datagram> all, detail::limit within) {
    entry& e = use("send_many");
    if (all.empty()) {
        copse::detail::attend();
        return 0;
    }
    departures next(all);
    const endpoint& first = all.front().to;
    const ssize_t n = transfer_datagrams(e, first, within, "send_many", [&] { return next.send(e); });
    if (n < 0) [[unlikely]]
        fail_sending(n, "send_many", e, first);
    return static_cast<std::size_t>(n);
}

}  // namespace copse::io
