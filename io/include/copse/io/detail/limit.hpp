// How long an operation may take, as its caller said it: becomes a point in time only when somebody has to know it, who is
// about to park or looks whether the time is over, so that most of what need not wait reads no clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <copse/clock.hpp>

namespace copse::io::detail {

class limit {
public:
    /// Without end.
    constexpr limit() noexcept = default;

    /// From when its deadline is first asked for. 0: the others have one turn, then the answer.
    template <class Rep, class Period>
    static limit within(std::chrono::duration<Rep, Period> length) {
        return of_length(copse::detail::length_of(length));
    }

    template <class Clock, class Duration>
    static limit until(std::chrono::time_point<Clock, Duration> when) {
        limit l;
        l.deadline_ = copse::detail::deadline_at(when);
        return l;
    }

    static constexpr limit of_length(std::int64_t ns) noexcept {
        limit l;
        l.length_ = ns;
        return l;
    }

    /// The operation is tried once and never parks.
    static constexpr limit at_once() noexcept {
        limit l;
        l.at_once_ = true;
        return l;
    }

    bool is_at_once() const noexcept { return at_once_; }
    /// Of no length: once the others have had their turn there is nothing to wait for.
    bool is_nothing() const noexcept { return at_once_ || length_ == 0; }

    /// Fixed by the first call. Reads the clock then, unless there is no end.
    std::int64_t deadline() noexcept {
        if (deadline_ == not_fixed) deadline_ = copse::detail::deadline_in(length_);
        return deadline_;
    }

    /// The same for who takes points: none if there is no end.
    std::optional<clock::time_point> point() noexcept {
        const std::int64_t at = deadline();
        if (at == copse::detail::never) return std::nullopt;
        return clock::time_point(std::chrono::nanoseconds(at));
    }

private:
    static constexpr std::int64_t not_fixed = -1;

    std::int64_t length_ = copse::detail::never;
    std::int64_t deadline_ = not_fixed;
    bool at_once_ = false;
};

}  // namespace copse::io::detail
