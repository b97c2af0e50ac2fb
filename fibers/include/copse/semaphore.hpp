/// Counting semaphores for fibers of one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <copse/detail/wait.hpp>

namespace copse {

/// Permits, given to the longest waiter: a running fiber cannot take one that a waiter is entitled to (decision 3). A permit
/// given to a fiber that is killed at the same moment is kept: `acquire` completes, and the kill is thrown at its next wait.
///
/// Owner thread only. Ending it while fibers wait aborts with a message.
/// Cost:    without waiting about a nanosecond; handing over about 20.
class semaphore {
public:
    /// Throws:  std::invalid_argument for a negative count.
    explicit semaphore(std::ptrdiff_t permits);
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;
    ~semaphore() {
        detail::must_not_be_waited_for(waiting_, "semaphore");
        detail::must_not_be_waited_for(watching_, "semaphore");
        detail::must_not_be_watched(observers_, "semaphore");
    }

    /// Parks:   until a permit is given.
    void acquire() {
        detail::attend();
        if (permits_ > 0) {
            --permits_;
        } else {
            wait_by(detail::never);
        }
    }

    /// Never parks.
    /// Returns: whether it took a permit.
    bool try_acquire() noexcept {
        if (permits_ == 0) return false;
        --permits_;
        return true;
    }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool try_acquire_for(std::chrono::duration<Rep, Period> length) {
        return acquire_by(length, [](auto l) { return detail::deadline_after(l); });
    }
    template <class Clock, class Duration>
    bool try_acquire_until(std::chrono::time_point<Clock, Duration> when) {
        return acquire_by(when, [](auto w) { return detail::deadline_at(w); });
    }

    /// Waits until a permit could be taken, and takes none (rule 84). Those who wait in `acquire` come first, also those that
    /// came later: a permit that goes to one of them was never available. It may have been taken again by the time that this
    /// returns. Acquires nothing: a kill that came meanwhile is thrown.
    /// Parks:   unless one can be taken.
    void wait() {
        detail::attend();
        if (permits_ == 0) watch_by(detail::never);
    }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> length) {
        detail::attend();
        return permits_ > 0 || watch_by(detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool wait_until(std::chrono::time_point<Clock, Duration> when) {
        detail::attend();
        return permits_ > 0 || watch_by(detail::deadline_at(when));
    }

    /// Gives `permits` back: first to those who wait, in the order in which they came. Never parks.
    /// Throws:  std::invalid_argument if negative; std::overflow_error.
    void release(std::ptrdiff_t permits = 1);

    /// Permits that can be taken now.
    std::ptrdiff_t available() const noexcept { return permits_; }

    /// Whether there is none.
    bool locked() const noexcept { return permits_ == 0; }

protected:
    bool watch(detail::observer& o) noexcept {
        if (permits_ == 0) observers_.push_back(o);
        return permits_ > 0;
    }

private:
    friend struct detail::watch_access;

    // The clock is only read when it comes to waiting.
    template <class When, class ToDeadline>
    bool acquire_by(When when, ToDeadline to_deadline) {
        detail::attend();
        if (try_acquire()) return true;
        return wait_by(to_deadline(when));
    }

    bool wait_by(std::int64_t deadline);
    bool watch_by(std::int64_t deadline);
    std::ptrdiff_t permits_;      // 0 while somebody waits
    detail::wait_list waiting_;   // in acquire
    detail::wait_list watching_;  // in wait
    detail::ring<detail::observer> observers_;
};

/// A semaphore that is never given back more than was taken: a release too many is refused, not counted.
///
/// Otherwise as semaphore.
class bounded_semaphore : private semaphore {
public:
    /// Throws:  std::invalid_argument for a negative count.
    explicit bounded_semaphore(std::ptrdiff_t permits) : semaphore(permits), bound_(permits) {}

    using semaphore::acquire;
    using semaphore::available;
    using semaphore::locked;
    using semaphore::try_acquire;
    using semaphore::try_acquire_for;
    using semaphore::try_acquire_until;
    using semaphore::wait;
    using semaphore::wait_for;
    using semaphore::wait_until;

    /// As semaphore::release.
    /// Throws:  std::overflow_error if that makes more than there were at first; std::invalid_argument if negative. Nothing has
    ///          changed then.
    void release(std::ptrdiff_t permits = 1);

    /// How many there were at first.
    std::ptrdiff_t bound() const noexcept { return bound_; }

private:
    friend struct detail::watch_access;
    using semaphore::watch;

    std::ptrdiff_t bound_;
};

}  // namespace copse
