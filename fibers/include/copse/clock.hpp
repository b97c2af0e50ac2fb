/// The clock of the hub, and durations as the timed functions take them.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <copse/error.hpp>

namespace copse {

/// The time that fibers live by: `std::chrono::steady_clock`, or the virtual time that a test installed.
/// Never goes back, except where virtual time ends.
struct clock {
    using rep = std::int64_t;
    using period = std::nano;
    using duration = std::chrono::nanoseconds;
    using time_point = std::chrono::time_point<clock>;
    static constexpr bool is_steady = true;

    /// Reads the clock of this thread's hub (without a hub the steady clock). Cost: about 20 ns.
    static time_point now() noexcept;
};

namespace detail {

/// The deadline that never comes.
inline constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

/// The deadline that comes when all who are ready now have had their turn (decision 7).
inline constexpr std::int64_t after_one_turn = 0;

[[noreturn]] void throw_not_a_number();

/// A span in nanoseconds that no unit overflows: the years of a calendar reach further than 64 bits of nanoseconds do.
template <class Rep, class Period>
long double wide_ns(std::chrono::duration<Rep, Period> length) noexcept {
    return std::chrono::duration<long double, std::nano>(length).count();
}

/// Nanoseconds, never early: rounded up; negative counts as 0, what is too long as `never`; not-a-number is refused.
template <class Rep, class Period>
std::int64_t length_of(std::chrono::duration<Rep, Period> length) {
    if constexpr (std::is_floating_point_v<Rep>) {
        if (std::isnan(length.count())) throw_not_a_number();
        const long double ns = static_cast<long double>(length.count()) * Period::num / Period::den * 1e9L;
        if (ns <= 0) return 0;
        return ns >= 9.2e18L ? never : static_cast<std::int64_t>(std::ceil(ns));
    } else {
        if (length.count() <= 0) return 0;
        if (wide_ns(length) >= 9.2e18L) return never;
        return std::chrono::ceil<std::chrono::nanoseconds>(length).count();
    }
}

/// When something of this length that begins now ends. Reads the clock unless the answer does not need it.
std::int64_t deadline_in(std::int64_t length) noexcept;

inline std::int64_t deadline_of_length(std::int64_t ns) noexcept { return ns == 0 ? after_one_turn : deadline_in(ns); }

template <class Rep, class Period>
std::int64_t deadline_after(std::chrono::duration<Rep, Period> length) {
    return deadline_of_length(length_of(length));
}

/// A point of the hub's clock or of the steady clock is meant as it is; that of any other is converted by what is left of it.
/// What is past comes at once, what 64 bits cannot hold comes never.
template <class Clock, class Duration>
std::int64_t deadline_at(std::chrono::time_point<Clock, Duration> when) {
    if constexpr (std::is_same_v<Clock, clock> || std::is_same_v<Clock, std::chrono::steady_clock>) {
        return length_of(when.time_since_epoch());
    } else {
        if constexpr (std::is_floating_point_v<typename Duration::rep>) {
            if (std::isnan(when.time_since_epoch().count())) throw_not_a_number();
        }
        const auto now = Clock::now();
        if (wide_ns(when.time_since_epoch()) <= wide_ns(now.time_since_epoch())) return deadline_in(0);
        if (wide_ns(when.time_since_epoch()) >= 9.2e18L) return never;
        return deadline_in(length_of(when - now));
    }
}

/// How long it is until then; 0 if it has passed.
template <class Clock, class Duration>
std::int64_t length_until(std::chrono::time_point<Clock, Duration> when) {
    const std::int64_t deadline = deadline_at(when);
    const std::int64_t now = clock::now().time_since_epoch().count();
    if (deadline == never) return never;
    return deadline > now ? deadline - now : 0;
}

}  // namespace detail
}  // namespace copse
