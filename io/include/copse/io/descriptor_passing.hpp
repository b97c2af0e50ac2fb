/// Descriptors sent from process to process, over Unix sockets.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include <copse/io/descriptor.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/socket.hpp>

namespace copse::io {

/// What `recv_descriptors` returns.
struct received_descriptors {
    std::size_t size = 0;  ///< bytes that are in the buffer; 0 at the end of a stream
    std::vector<descriptor> descriptors;
    bool truncated = false;  ///< the buffer was too small for the message, and the rest is lost
    bool descriptors_truncated =
        false;  ///< some could not be taken, as when this process has no number free; they are closed
};

namespace detail {
limit standing_limit(const socket& s) noexcept;
void send_descriptors_by(socket& over, std::span<const std::byte> bytes, std::span<const int> fds, limit within);
received_descriptors recv_descriptors_by(socket& over, std::span<std::byte> into, limit within);
}  // namespace detail

/// Sends `bytes`, all of them, and with the first of them the descriptors `fds`, at most 253. They stay open here too; what
/// is known or waited for here does not travel.
/// Parks:   until the kernel has taken the last byte.
/// Throws:  as socket::send_all; EOPNOTSUPP if `over` is no Unix socket; EBADF also if one of `fds` is no descriptor,
///          ETOOMANYREFS if too many are under way; std::invalid_argument for more than 253, and for no byte on a stream, where
///          nothing would be sent.
/// After:   a kill: unknown how much was sent; the descriptors go with the first byte.
inline void send_descriptors(socket& over, std::span<const std::byte> bytes, std::span<const int> fds) {
    detail::send_descriptors_by(over, bytes, fds, detail::standing_limit(over));
}
inline void send_descriptors(socket& over, std::string_view bytes, std::span<const int> fds) {
    send_descriptors(over, std::as_bytes(std::span(bytes)), fds);
}
template <class Rep, class Period>
void send_descriptors_for(socket& over, std::span<const std::byte> bytes, std::span<const int> fds,
                          std::chrono::duration<Rep, Period> length) {
    detail::send_descriptors_by(over, bytes, fds, detail::limit::within(length));
}
template <class Clock, class Duration>
void send_descriptors_until(socket& over, std::span<const std::byte> bytes, std::span<const int> fds,
                            std::chrono::time_point<Clock, Duration> when) {
    detail::send_descriptors_by(over, bytes, fds, detail::limit::until(when));
}

/// Receives what is there, at least a byte or a message, and the descriptors that came with it. They have close-on-exec set
/// and are unknown here: `wait_readable(d.get())`, or `socket::adopt(d.release())` for a socket.
/// Parks:   until there is something.
/// Throws:  as socket::recv; EOPNOTSUPP if `over` is no Unix socket; std::invalid_argument for an empty buffer on a stream.
/// After:   a kill or time-out: nothing was taken. Whatever is thrown, no descriptor stays open.
inline received_descriptors recv_descriptors(socket& over, std::span<std::byte> into) {
    return detail::recv_descriptors_by(over, into, detail::standing_limit(over));
}
template <class Rep, class Period>
received_descriptors recv_descriptors_for(socket& over, std::span<std::byte> into,
                                          std::chrono::duration<Rep, Period> length) {
    return detail::recv_descriptors_by(over, into, detail::limit::within(length));
}
template <class Clock, class Duration>
received_descriptors recv_descriptors_until(socket& over, std::span<std::byte> into,
                                            std::chrono::time_point<Clock, Duration> when) {
    return detail::recv_descriptors_by(over, into, detail::limit::until(when));
}

}  // namespace copse::io
