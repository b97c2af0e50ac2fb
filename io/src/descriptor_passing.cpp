#include <copse/io/descriptor_passing.hpp>

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <stdexcept>

#include "message.hpp"
#include "socket_access.hpp"
#include "system_calls.hpp"
#include "transfer.hpp"

namespace copse::io {

namespace {

using detail::direction;
using detail::entry;
using detail::sys;

constexpr std::size_t most_descriptors = 253;  // SCM_MAX_FD: the kernel takes no more, so none come

struct control_room {
    alignas(cmsghdr) std::byte bytes[CMSG_SPACE(most_descriptors * sizeof(int))];
};

/// Other sockets swallow descriptors without a word.
entry& use_unix(socket& over, const char* operation) {
    entry& e = detail::socket_access::use(over, operation);
    int family = 0;
    socklen_t size = sizeof family;
    sys.getsockopt(e.fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
    if (family != AF_UNIX) detail::fail(EOPNOTSUPP, operation, e, direction::out);
    return e;
}

void attach(msghdr& message, control_room& room, std::span<const int> fds) noexcept {
    message.msg_control = room.bytes;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
}

/// From here on each of them has an owner, on the stack, so that nothing is lost for want of memory.
class taken_descriptors {
public:
    explicit taken_descriptors(msghdr& message) noexcept {
        for (cmsghdr* h = CMSG_FIRSTHDR(&message); h != nullptr; h = CMSG_NXTHDR(&message, h)) {
            if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) take(*h);
        }
    }

    /// Throws: std::bad_alloc.
    std::vector<descriptor> all() {
        const auto first = std::make_move_iterator(fds_.begin());
        return {first, first + static_cast<std::ptrdiff_t>(count_)};
    }

private:
    void take(cmsghdr& header) noexcept {
        const std::size_t n = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < n && count_ < most_descriptors; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(&header) + i * sizeof fd, sizeof fd);
            fds_[count_++] = descriptor(fd);
        }
    }

    std::array<descriptor, most_descriptors> fds_;
    std::size_t count_ = 0;
};

}  // namespace

detail::limit detail::standing_limit(const socket& s) noexcept { return socket_access::standing(s); }

void detail::send_descriptors_by(socket& over, std::span<const std::byte> bytes, std::span<const int> fds,
                                 limit within) {
    constexpr const char* operation = "send_descriptors";
    entry& e = use_unix(over, operation);
    if (fds.size() > most_descriptors) {
        throw std::invalid_argument("send_descriptors: " + std::to_string(fds.size()) +
                                    " descriptors, 253 can be sent at a time");
    }
    if (bytes.empty() && !e.messages)
        throw std::invalid_argument("send_descriptors: on a stream they need at least a byte to go with");
    std::size_t done = 0;
    do {
        iovec piece = piece_of(bytes.subspan(done));
        msghdr message = message_to({}, piece);
        control_room room;
        if (done == 0 && !fds.empty()) attach(message, room, fds);
        const auto call = [&] { return sys.sendmsg(e.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); };
        const ssize_t n = transfer(e, direction::out, within, operation, call);
        if (n < 0) fail_outcome(n, operation, e, direction::out, done);
        done += static_cast<std::size_t>(n);
    } while (done != bytes.size());
}

received_descriptors detail::recv_descriptors_by(socket& over, std::span<std::byte> into, limit within) {
    constexpr const char* operation = "recv_descriptors";
    entry& e = use_unix(over, operation);
    if (into.empty() && !e.messages)
        throw std::invalid_argument(
            "recv_descriptors: on a stream they come with a byte, and there is no room for one");
    iovec piece = piece_of(into);
    control_room room;
    msghdr message{};
    const auto call = [&] {
        message = message_to({}, piece);
        message.msg_control = room.bytes;
        message.msg_controllen = sizeof room.bytes;
        return sys.recvmsg(e.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    };
    const ssize_t n = transfer(e, direction::in, within, operation, call);
    if (n < 0) fail_outcome(n, operation, e, direction::in);
    taken_descriptors taken(message);
    received_descriptors result;
    result.size = static_cast<std::size_t>(n);
    result.descriptors = taken.all();
    result.truncated = (message.msg_flags & MSG_TRUNC) != 0;
    result.descriptors_truncated = (message.msg_flags & MSG_CTRUNC) != 0;
    return result;
}

}  // namespace copse::io
