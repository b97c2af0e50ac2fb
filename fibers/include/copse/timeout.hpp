/// Timeouts: scopes that throw in their fiber when they last too long.
///
/// Functions are called on the thread of the greenlet that made the scope. A scope may be kept elsewhere than on the stack;
/// when its greenlet has ended it does nothing any more.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <copse/detail/wait.hpp>
#include <copse/error.hpp>

namespace copse {

/// A limit on what its greenlet does until the end of the scope.
///
/// At the deadline `timeout_expired` is thrown at the greenlet's current wait, or at its next one if it is running, unwinding,
/// shielded, or has just been given what it waited for (decision 3). A body that never waits is never interrupted (rule 57).
/// Leaving the scope disarms it: nothing is thrown later.
///
///     copse::timeout limit(10ms);
///     try { line = read_line(connection); }
///     catch (const copse::timeout_expired& e) { if (!limit.threw(e)) throw; line = "too slow"; }
///
/// Nested scopes behave: each is told by its serial number, and the first deadline is thrown first.
/// Cost:    one reading of the clock, about 20 ns, and as much again; no allocation before it expires.
class timeout : detail::time_limit {
public:
    /// Armed at once, for the current greenlet. A length beyond what a clock can count never expires.
    /// Throws:  invalid_duration for not-a-number; blocking_in_hub in the hub.
    template <class Rep, class Period>
    explicit timeout(std::chrono::duration<Rep, Period> length) : timeout(detail::length_of(length), nullptr) {}

    /// Throws `instead` rather than timeout_expired.
    template <class Rep, class Period>
    timeout(std::chrono::duration<Rep, Period> length, std::exception_ptr instead)
        : timeout(detail::length_of(length), std::move(instead)) {}

    ~timeout();

    /// Disarms it. What it has thrown already is on its way. May be called from another fiber of the thread.
    void cancel() noexcept;

    /// Arms it for its full length from now on, under a new serial number, armed or not.
    void start();

    /// Armed and not expired.
    bool pending() const noexcept { return armed(); }

    /// Has expired since it was last started.
    bool expired() const noexcept { return expired_; }

    /// `e` comes from this scope, as it was last started.
    bool threw(const timeout_expired& e) const noexcept { return e.serial() == serial_; }

    std::uint64_t serial() const noexcept { return serial_; }

private:
    timeout(std::int64_t length, std::exception_ptr instead);
    static void expire(detail::timer& t) noexcept;

    const std::int64_t length_;
    std::uint64_t serial_ = 0;
    std::exception_ptr instead_;
    bool expired_ = false;
};

/// Asks `with_timeout` to tell of its own timeout by what it returns.
struct silent_t {
    explicit silent_t() = default;
};
inline constexpr silent_t silent{};

/// Calls `f` under a limit.
/// Returns: what `f` returns.
/// Throws:  timeout_expired; what `f` throws.
template <class Rep, class Period, std::invocable F>
decltype(auto) with_timeout(std::chrono::duration<Rep, Period> length, F&& f) {
    const timeout limit(length);
    return std::forward<F>(f)();
}

/// The same, but its own timeout gives `fallback` instead of an exception. One from an outer scope passes (rule 64).
template <class Rep, class Period, std::invocable F, class Fallback>
auto with_timeout(std::chrono::duration<Rep, Period> length, F&& f, Fallback&& fallback)
    -> std::common_type_t<std::invoke_result_t<F>, Fallback> {
    const timeout limit(length);
    try {
        return std::forward<F>(f)();
    } catch (const timeout_expired& e) {
        if (!limit.threw(e)) throw;
    }
    return std::forward<Fallback>(fallback);
}

/// The same for an `f` whose result, if any, is not wanted: `if (!with_timeout(10ms, f, copse::silent)) …`.
/// Returns: false if its own timeout ended it.
template <class Rep, class Period, std::invocable F>
bool with_timeout(std::chrono::duration<Rep, Period> length, F&& f, silent_t /*tag*/) {
    const timeout limit(length);
    try {
        std::forward<F>(f)();
        return true;
    } catch (const timeout_expired& e) {
        if (!limit.threw(e)) throw;
    }
    return false;
}

}  // namespace copse
