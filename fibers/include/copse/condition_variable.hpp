/// A condition variable for fibers of one thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include <copse/detail/wait.hpp>
#include <copse/mutex.hpp>

namespace copse {

/// Waits for a condition under a mutex, as std::condition_variable does; it never wakes for nothing.
///
/// A notification counts as acquired: a fiber that was notified and killed at the same moment returns from `wait` with the lock,
/// and the kill is thrown at its next wait, so that no notification is lost. Owner thread only.
class condition_variable {
public:
    condition_variable() noexcept = default;
    condition_variable(const condition_variable&) = delete;
    condition_variable& operator=(const condition_variable&) = delete;
    ~condition_variable() { detail::must_not_be_waited_for(waiting_, "condition_variable"); }

    /// Makes the longest waiter ready. Never parks.
    void notify_one() noexcept;
    void notify_all() noexcept;

    /// Unlocks, waits for a notification, locks again. The lock is held again on every way out.
    /// Parks:   yes.
    /// Throws:  not_owner if the lock is not held by the caller; what is raised into the caller.
    void wait(std::unique_lock<mutex>& lock) { wait_by(lock, detail::never); }

    template <class Predicate>
    void wait(std::unique_lock<mutex>& lock, Predicate holds) {
        while (!holds()) wait(lock);
    }

    template <class Rep, class Period>
    std::cv_status wait_for(std::unique_lock<mutex>& lock, std::chrono::duration<Rep, Period> length) {
        return status(wait_by(lock, detail::deadline_after(length)));
    }
    template <class Rep, class Period, class Predicate>
    bool wait_for(std::unique_lock<mutex>& lock, std::chrono::duration<Rep, Period> length, Predicate holds) {
        return wait_by(lock, detail::deadline_after(length), holds);
    }
    template <class Clock, class Duration>
    std::cv_status wait_until(std::unique_lock<mutex>& lock, std::chrono::time_point<Clock, Duration> when) {
        return status(wait_by(lock, detail::deadline_at(when)));
    }
    template <class Clock, class Duration, class Predicate>
    bool wait_until(std::unique_lock<mutex>& lock, std::chrono::time_point<Clock, Duration> when, Predicate holds) {
        return wait_by(lock, detail::deadline_at(when), holds);
    }

private:
    static std::cv_status status(bool notified) noexcept {
        return notified ? std::cv_status::no_timeout : std::cv_status::timeout;
    }

    bool wait_by(std::unique_lock<mutex>& lock, std::int64_t deadline);

    template <class Predicate>
    bool wait_by(std::unique_lock<mutex>& lock, std::int64_t deadline, Predicate& holds) {
        while (!holds()) {
            if (!wait_by(lock, deadline)) return holds();
        }
        return true;
    }

    detail::wait_list waiting_;
};

}  // namespace copse
