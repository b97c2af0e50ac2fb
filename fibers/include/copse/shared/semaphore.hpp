/// A counting semaphore for the fibers of several threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <copse/detail/shared_wait.hpp>

namespace copse::shared {

/// Permits, given to the longest waiter of all threads: nobody who comes later can take one that a waiter is entitled to
/// (decision 3). A permit given at the moment of a kill or a deadline is kept: `acquire` completes, and the kill is thrown
/// at the next wait.
///
/// Threads, lifetime, cost: see copse::shared::event.
class semaphore : detail::shared_object {
public:
    /// Throws:  std::invalid_argument for a negative count.
    explicit semaphore(std::ptrdiff_t permits);
    ~semaphore() { must_be_empty(waiting_); }

    /// Parks:   until a permit is given.
    void acquire() {
        detail::attend();
        if (!try_acquire()) wait_by(detail::never);
    }

    /// Never parks.
    /// Returns: whether it took a permit.
    bool try_acquire() noexcept {
        const guard held(mutex_);
        return take();
    }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool try_acquire_for(std::chrono::duration<Rep, Period> length) {
        detail::attend();
        return try_acquire() || wait_by(detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool try_acquire_until(std::chrono::time_point<Clock, Duration> when) {
        detail::attend();
        return try_acquire() || wait_by(detail::deadline_at(when));
    }

    /// Gives `permits` back: first to those who wait, in the order in which they came. Never parks.
    /// Throws:  std::invalid_argument if negative; std::overflow_error. Nothing has changed then.
    void release(std::ptrdiff_t permits = 1);

    /// Permits that could be taken just now.
    std::ptrdiff_t available() const noexcept {
        const guard held(mutex_);
        return permits_;
    }

private:
    bool take() noexcept {
        if (permits_ == 0) return false;
        --permits_;
        return true;
    }

    bool wait_by(std::int64_t deadline);

    std::ptrdiff_t permits_;  // 0 while somebody waits
    detail::ring<detail::shared_wait> waiting_;
};

}  // namespace copse::shared
