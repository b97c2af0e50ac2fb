// One datagram at a time.
#include <cerrno>

#include <copse/io/socket.hpp>

#include "aside.hpp"
#include "datagram_transfer.hpp"
#include "message.hpp"
#include "system_calls.hpp"

namespace copse::io {

namespace {

using detail::direction;
using detail::entry;

// Where the kernel puts a datagram and whom it comes from.
struct arrival {
    ssize_t receive(const entry& e, int flags) noexcept {
        sender_size = sizeof sender;
        return detail::sys.recvfrom(e.fd, into.data(), into.size(), flags | MSG_DONTWAIT | detail::whole_length(e),
                                    reinterpret_cast<sockaddr*>(&sender), &sender_size);
    }
    datagram taken(ssize_t n) const {
        return detail::datagram_of(sender, sender_size, static_cast<std::size_t>(n), into.size());
    }

    std::span<std::byte> into;
    sockaddr_storage sender;
    socklen_t sender_size;
};

ssize_t send_now(const entry& e, std::span<const std::byte> bytes, const endpoint& there, int flags) noexcept {
    return detail::sys.sendto(e.fd, bytes.data(), bytes.size(), flags | MSG_DONTWAIT | MSG_NOSIGNAL,
                              there.empty() ? nullptr : there.native(), there.native_size());
}

}  // namespace

datagram socket::recv_from_by(std::span<std::byte> into, int flags, detail::limit within) {
    entry& e = use("recv_from");
    const detail::aside from_another_queue(e, flags);
    arrival next;  // the kernel fills the rest
    next.into = into;
    const ssize_t n = transfer(e, direction::in, within, "recv_from", [&] { return next.receive(e, flags); });
    if (n < 0) [[unlikely]]
        fail_outcome(n, "recv_from", e, direction::in);
    return next.taken(n);
}

std::optional<datagram> socket::try_recv_from(std::span<std::byte> into, int flags) {
    entry& e = use("try_recv_from");
    const detail::aside from_another_queue(e, flags);
    arrival next;  // the kernel fills the rest
    next.into = into;
    const ssize_t n = try_transfer(e, direction::in, [&] { return next.receive(e, flags); });
    if (n >= 0) return next.taken(n);
    if (!detail::is_again(errno)) fail_outcome(n, "try_recv_from", e, direction::in);
    return std::nullopt;
}

std::size_t socket::send_to_by(std::span<const std::byte> bytes, const endpoint& there, int flags,
                               detail::limit within) {
    entry& e = use("send_to");
    const auto call = [&] { return send_now(e, bytes, there, flags); };
    const ssize_t n = transfer_datagrams(e, there, within, "send_to", call);
    if (n < 0) [[unlikely]]
        fail_sending(n, "send_to", e, there);
    return static_cast<std::size_t>(n);
}

std::optional<std::size_t> socket::try_send_to(std::span<const std::byte> bytes, const endpoint& there, int flags) {
    entry& e = use("try_send_to");
    const ssize_t n = try_transfer(e, direction::out, [&] { return send_now(e, bytes, there, flags); });
    if (n >= 0) return static_cast<std::size_t>(n);
    if (!detail::is_again(errno)) fail_sending(n, "try_send_to", e, there);
    return std::nullopt;
}

}  // namespace copse::io
