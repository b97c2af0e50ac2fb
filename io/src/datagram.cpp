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

// Where the kernel puts a datagram and what it tells of it.
struct arrival {
    explicit arrival(std::span<std::byte> into) noexcept : piece(detail::piece_of(into)) {}

    ssize_t receive(const entry& e, int flags) noexcept {
        message = detail::message_from(sender, piece);
        return detail::sys.recvmsg(e.fd, &message, flags | MSG_DONTWAIT | detail::whole_length(e));
    }
    datagram taken(ssize_t n) const { return detail::datagram_of(message, static_cast<std::size_t>(n), piece.iov_len); }

    iovec piece;
    sockaddr_storage sender;
    msghdr message;
};

ssize_t send_now(const entry& e, const msghdr& message, int flags) noexcept {
    return detail::sys.sendmsg(e.fd, &message, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

datagram socket::recv_from_by(std::span<std::byte> into, int flags, detail::limit within) {
    entry& e = use("recv_from");
    const detail::aside from_another_queue(e, flags);
    arrival next(into);
    const ssize_t n = transfer(e, direction::in, within, "recv_from", [&] { return next.receive(e, flags); });
    if (n < 0) [[unlikely]]
        fail_outcome(n, "recv_from", e, direction::in);
    return next.taken(n);
}

std::optional<datagram> socket::try_recv_from(std::span<std::byte> into, int flags) {
    entry& e = use("try_recv_from");
    const detail::aside from_another_queue(e, flags);
    arrival next(into);
    const ssize_t n = try_transfer(e, direction::in, [&] { return next.receive(e, flags); });
    if (n >= 0) return next.taken(n);
    if (!detail::is_again(errno)) fail_outcome(n, "try_recv_from", e, direction::in);
    return std::nullopt;
}

std::size_t socket::send_to_by(std::span<const std::byte> bytes, const endpoint& there, int flags,
                               detail::limit within) {
    entry& e = use("send_to");
    iovec piece = detail::piece_of(bytes);
    const msghdr message = detail::message_to(there, piece);
    const auto call = [&] { return send_now(e, message, flags); };
    const ssize_t n = transfer_datagrams(e, there, within, "send_to", call);
    if (n < 0) [[unlikely]]
        fail_sending(n, "send_to", e, there);
    return static_cast<std::size_t>(n);
}

std::optional<std::size_t> socket::try_send_to(std::span<const std::byte> bytes, const endpoint& there, int flags) {
    entry& e = use("try_send_to");
    iovec piece = detail::piece_of(bytes);
    const msghdr message = detail::message_to(there, piece);
    const ssize_t n = try_transfer(e, direction::out, [&] { return send_now(e, message, flags); });
    if (n >= 0) return static_cast<std::size_t>(n);
    if (!detail::is_again(errno)) fail_sending(n, "try_send_to", e, there);
    return std::nullopt;
}

}  // namespace copse::io
