/// From one stream to another, up to its end.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include <copse/io/any_stream.hpp>
#include <copse/io/buffer.hpp>
#include <copse/io/byte_stream.hpp>
#include <copse/io/detail/limit.hpp>

namespace copse::io {

/// How many bytes went each way.
struct both_ways {
    std::uint64_t there = 0;
    std::uint64_t back = 0;
};

namespace detail {

template <readable From, writable To>
std::uint64_t copy_by(From& from, To& to, std::uint64_t most, limit within) {
    const auto until = within.point();
    pooled_buffer buffer = pooled_buffer::take();
    std::uint64_t total = 0;
    while (total != most) {
        const auto room = buffer.bytes().first(std::min<std::uint64_t>(buffer.size(), most - total));
        const std::size_t n = take_some(from, room, until);
        if (n == 0) break;
        put_all(to, std::span<const std::byte>(room.first(n)), until);
        total += n;
    }
    return total;
}

both_ways copy_both_by(any_stream& a, any_stream& b, limit within);

}  // namespace detail

/// Stands for "up to the end of the stream".
inline constexpr std::uint64_t up_to_the_end = std::numeric_limits<std::uint64_t>::max();

/// Moves bytes up to the end of `from`, at most `most` of them. Neither is closed or flushed. The time is for all of it.
/// Parks:   until then.
/// Returns: how many.
/// Throws:  what the streams throw. How much was moved before is not told.
/// After:   a kill, time-out or error of `to`: up to 16 KiB were read and not, or not all, written.
/// Cost:    a buffer of the thread's pool, held meanwhile. From a file to a socket, send_file spares the copying.
template <readable From, writable To>
std::uint64_t copy(From&& from, To&& to, std::uint64_t most = up_to_the_end) {
    return detail::copy_by(from, to, most, {});
}
template <readable From, writable To, class Rep, class Period>
std::uint64_t copy_for(From&& from, To&& to, std::chrono::duration<Rep, Period> length,
                       std::uint64_t most = up_to_the_end) {
    return detail::copy_by(from, to, most, detail::limit::within(length));
}
template <readable From, writable To, class Clock, class Duration>
std::uint64_t copy_until(From&& from, To&& to, std::chrono::time_point<Clock, Duration> when,
                         std::uint64_t most = up_to_the_end) {
    return detail::copy_by(from, to, most, detail::limit::until(when));
}

/// Moves bytes between two streams both ways, as a proxy does. The end of one stream is passed on to the other by
/// shutdown(shut::write), and the way back goes on. The time is for all of it.
///
///     copse::io::stream_server proxy("127.0.0.1:8080", [](copse::io::socket client) {
///         auto server = copse::io::connect("10.0.0.7:80");
///         copse::io::copy_both(client, server);
///     });
///
/// Parks:   until both have ended.
/// Throws:  what went wrong first; the other way is ended then. timed_out when the time is over.
/// After:   a kill or an error: see copy. Both streams are open still.
/// Cost:    a fiber.
template <byte_stream A, byte_stream B>
both_ways copy_both(A& a, B& b) {
    any_stream one(std::ref(a));
    any_stream other(std::ref(b));
    return detail::copy_both_by(one, other, {});
}
template <byte_stream A, byte_stream B, class Rep, class Period>
both_ways copy_both_for(A& a, B& b, std::chrono::duration<Rep, Period> length) {
    any_stream one(std::ref(a));
    any_stream other(std::ref(b));
    return detail::copy_both_by(one, other, detail::limit::within(length));
}
template <byte_stream A, byte_stream B, class Clock, class Duration>
both_ways copy_both_until(A& a, B& b, std::chrono::time_point<Clock, Duration> when) {
    any_stream one(std::ref(a));
    any_stream other(std::ref(b));
    return detail::copy_both_by(one, other, detail::limit::until(when));
}

}  // namespace copse::io
