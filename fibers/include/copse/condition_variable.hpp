/// Condition variables for fibers of one thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <type_traits>

#include <copse/detail/wait.hpp>
#include <copse/fiber.hpp>
#include <copse/mutex.hpp>
#include <copse/stop_token.hpp>

namespace copse {

namespace detail {

struct any_lock {};

template <class Lock, class Only>
concept accepted_lock = (std::is_same_v<Only, any_lock> || std::is_same_v<Lock, Only>)&&requires(Lock& lock) {
    lock.lock();
    lock.unlock();
};

/// Throws:  not_owner. Of other locks their own unlock refuses.
void require_held(const std::unique_lock<mutex>& lock);
template <class Lock>
void require_held(const Lock& /*lock*/) noexcept {}

/// Unlocked while one lives. Whatever ended the wait, the lock is held again, and nothing is thrown on the way to it.
template <class Lock>
class unlocked {
public:
    explicit unlocked(Lock& lock) : lock_(lock) { lock_.unlock(); }
    unlocked(const unlocked&) = delete;
    unlocked& operator=(const unlocked&) = delete;
    ~unlocked() {
        const shield keep_back;
        lock_.lock();
    }

private:
    Lock& lock_;
};

}  // namespace detail

/// Waits for a condition under a lock, as std::condition_variable does; it never wakes for nothing.
///
/// Two of them have names: `condition_variable` takes std::unique_lock<mutex>; `condition_variable_any` whatever can be locked
/// and unlocked, such as std::shared_lock<shared_mutex>, std::unique_lock<recursive_mutex> (locked once) or a mutex itself. An
/// unlock that parks is not allowed: no lock of copse's does.
///
/// A notification counts as acquired: a fiber that was notified and killed at the same moment returns from `wait` with the
/// lock, and the kill is thrown at its next wait, so that no notification is lost. Owner thread only. Ending it while fibers
/// wait aborts with a message.
template <class Only>
class basic_condition_variable {
public:
    basic_condition_variable() noexcept = default;
    basic_condition_variable(const basic_condition_variable&) = delete;
    basic_condition_variable& operator=(const basic_condition_variable&) = delete;
    ~basic_condition_variable() { detail::must_not_be_waited_for(waiting_, "condition_variable"); }

    /// Makes the longest waiter ready. Never parks.
    void notify_one() noexcept {
        if (detail::wait* first = waiting_.front()) detail::complete(*first, detail::cause::satisfied);
    }
    void notify_all() noexcept {
        while (detail::wait* first = waiting_.front()) detail::complete(*first, detail::cause::satisfied);
    }

    /// Unlocks, waits for a notification, locks again. The lock is held again on every way out.
    /// Parks:   yes.
    /// Throws:  not_owner if the lock is not held by the caller; what is raised into the caller.
    template <detail::accepted_lock<Only> Lock>
    void wait(Lock& lock) {
        wait_by(lock, detail::never);
    }

    /// Returns: once `holds()`, which is asked with the lock held.
    template <detail::accepted_lock<Only> Lock, class Predicate>
    void wait(Lock& lock, Predicate holds) {
        while (!holds()) wait(lock);
    }

    template <detail::accepted_lock<Only> Lock, class Rep, class Period>
    std::cv_status wait_for(Lock& lock, std::chrono::duration<Rep, Period> length) {
        return status(wait_by(lock, detail::deadline_after(length)));
    }
    template <detail::accepted_lock<Only> Lock, class Clock, class Duration>
    std::cv_status wait_until(Lock& lock, std::chrono::time_point<Clock, Duration> when) {
        return status(wait_by(lock, detail::deadline_at(when)));
    }

    /// Returns: what `holds()` said last: true at once if it does already.
    template <detail::accepted_lock<Only> Lock, class Rep, class Period, class Predicate>
    bool wait_for(Lock& lock, std::chrono::duration<Rep, Period> length, Predicate holds) {
        return holds() || wait_by(lock, detail::deadline_after(length), holds);
    }
    template <detail::accepted_lock<Only> Lock, class Clock, class Duration, class Predicate>
    bool wait_until(Lock& lock, std::chrono::time_point<Clock, Duration> when, Predicate holds) {
        return holds() || wait_by(lock, detail::deadline_at(when), holds);
    }

    /// The same, ended by a stop too: for the std::stop_token of others and of `this_fiber::stop_token()`.
    /// Returns: what `holds()` said last: false only after a stop was requested or, of the timed forms, the time was over.
    template <detail::accepted_lock<Only> Lock, class Predicate>
    bool wait(Lock& lock, const std::stop_token& stop, Predicate holds) {
        return holds() || wait_stoppable(lock, stop, detail::never, holds);
    }
    template <detail::accepted_lock<Only> Lock, class Rep, class Period, class Predicate>
    bool wait_for(Lock& lock, const std::stop_token& stop, std::chrono::duration<Rep, Period> length, Predicate holds) {
        return holds() || wait_stoppable(lock, stop, detail::deadline_after(length), holds);
    }
    template <detail::accepted_lock<Only> Lock, class Clock, class Duration, class Predicate>
    bool wait_until(Lock& lock, const std::stop_token& stop, std::chrono::time_point<Clock, Duration> when,
                    Predicate holds) {
        return holds() || wait_stoppable(lock, stop, detail::deadline_at(when), holds);
    }

private:
    static std::cv_status status(bool notified) noexcept {
        return notified ? std::cv_status::no_timeout : std::cv_status::timeout;
    }

    template <class Lock>
    bool wait_by(Lock& lock, std::int64_t deadline) {
        detail::require_held(lock);
        detail::attend();
        const detail::unlocked<Lock> meanwhile(lock);
        detail::wait w("condition_variable", this, detail::gain::something);
        waiting_.push_back(w);  // nobody has run since the unlock: it did not park
        return detail::park(w, deadline) == detail::cause::satisfied;
    }

    template <class Lock, class Predicate>
    bool wait_by(Lock& lock, std::int64_t deadline, Predicate& holds) {
        do {
            if (!wait_by(lock, deadline)) return holds();
        } while (!holds());
        return true;
    }

    struct stoppable_wait final : detail::wait {
        explicit stoppable_wait(const void* object) noexcept
            : detail::wait("condition_variable", object, detail::gain::something) {}
        ~stoppable_wait() { unlink(); }  // there was no memory to watch for a stop
    };

    // Returns: false at the deadline. A stop counts as a notification: who asks about it sees it himself.
    template <class Lock>
    bool wait_stoppable(Lock& lock, const std::stop_token& stop, std::int64_t deadline) {
        detail::require_held(lock);
        detail::attend();
        const detail::unlocked<Lock> meanwhile(lock);
        stoppable_wait w(this);
        waiting_.push_back(w);
        bool stopped = false;
        const detail::stop_watch watch(stop, [&] { stopped = detail::complete(w, detail::cause::timed_out); });
        return detail::park(w, deadline) == detail::cause::satisfied || stopped;
    }

    template <class Lock, class Predicate>
    bool wait_stoppable(Lock& lock, const std::stop_token& stop, std::int64_t deadline, Predicate& holds) {
        do {
            if (stop.stop_requested()) return false;
            if (!wait_stoppable(lock, stop, deadline)) return holds();
        } while (!holds());
        return true;
    }

    detail::wait_list waiting_;
};

using condition_variable = basic_condition_variable<std::unique_lock<mutex>>;
using condition_variable_any = basic_condition_variable<detail::any_lock>;

}  // namespace copse
