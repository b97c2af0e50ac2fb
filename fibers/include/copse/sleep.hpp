/// Letting others run.
#pragma once

#include <chrono>
#include <cstdint>
#include <type_traits>

#include <copse/clock.hpp>
#include <copse/detail/wait.hpp>

namespace copse {

/// Lets every other ready greenlet run once. Acquires nothing: a kill that came meanwhile is thrown.
/// Parks:   always; returns at once when nothing else is ready.
/// Cost:    about one and a half plain jumps.
void yield();

namespace detail {
void sleep_by(std::int64_t deadline);
}  // namespace detail

/// Parks for at least `length`. 0 or negative: one turn, as yield; not-a-number is refused with invalid_duration.
template <class Rep, class Period>
void sleep(std::chrono::duration<Rep, Period> length) {
    const std::int64_t ns = detail::length_of(length);
    if (ns == 0) return yield();
    detail::attend();  // makes the hub, whose clock counts
    detail::sleep_by(detail::deadline_in(ns));
}

/// Parks until `when`; a point that has passed: as yield. A clock that can be set back is looked at again; in virtual time
/// what is left of it by the real clock is slept once.
template <class Clock, class Duration>
void sleep_until(std::chrono::time_point<Clock, Duration> when) {
    detail::attend();
    if constexpr (std::is_same_v<Clock, clock> || std::is_same_v<Clock, std::chrono::steady_clock>) {
        detail::sleep_by(detail::deadline_at(when));
    } else {
        // How far the hub's clock is ahead of the real one: it grows in virtual time alone.
        const auto lead = [] {
            return clock::now().time_since_epoch() - std::chrono::steady_clock::now().time_since_epoch();
        };
        const auto before = lead();
        do {
            detail::sleep_by(detail::deadline_at(when));
        } while (Clock::now() < when && lead() - before < std::chrono::milliseconds(1));
    }
}

}  // namespace copse
