/// A mutex for fibers of one thread.
#pragma once

#include <chrono>

#include <copse/detail/ownership.hpp>

namespace copse {

/// Mutual exclusion between greenlets that may park while they hold it. Meets the standard's Mutex and TimedMutex requirements,
/// so std::unique_lock, std::scoped_lock and std::lock_guard work.
///
/// Unlocking hands it to the longest waiter (decision 3). What was handed to a waiter that has not run yet, another greenlet's
/// try_lock may take back, once: without that std::lock over several would circle for ever. Its owner is a greenlet, not a
/// thread; the end of its owner does not unlock it (rule 86). Owner thread only. Ending it while it is waited for aborts with a
/// message.
class timed_mutex {
public:
    timed_mutex() noexcept = default;
    timed_mutex(const timed_mutex&) = delete;
    timed_mutex& operator=(const timed_mutex&) = delete;
    ~timed_mutex() { owner_.must_not_be_waited_for("mutex"); }

    /// Parks:   while another greenlet holds it.
    /// Throws:  self_deadlock if the caller holds it already.
    void lock() {
        detail::attend();
        owner_.take_by("mutex", this, detail::never);
    }

    /// Never parks.
    bool try_lock() { return owner_.try_take(); }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    /// Throws:  as lock.
    template <class Rep, class Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> length) {
        detail::attend();
        return try_lock() || owner_.take_by("mutex", this, detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> when) {
        detail::attend();
        return try_lock() || owner_.take_by("mutex", this, detail::deadline_at(when));
    }

    /// Never parks.
    /// Throws:  not_owner if the caller does not hold it.
    void unlock() {
        if (!owner_.is_mine()) [[unlikely]]
            detail::throw_not_owner("mutex");
        owner_.hand_over();
    }

    bool locked() const noexcept { return owner_.taken(); }

    /// Whether the calling greenlet holds it.
    bool owned() const { return owner_.is_mine(); }

private:
    detail::ownership owner_;
};

/// There is nothing to be saved by leaving the timed forms out.
using mutex = timed_mutex;

}  // namespace copse
