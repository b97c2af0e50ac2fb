/// A mutex for the fibers of several threads.
#pragma once

#include <chrono>
#include <cstdint>

#include <copse/detail/shared_wait.hpp>

namespace copse::shared {

/// Mutual exclusion between greenlets of all threads, which may park while they hold it. Meets the standard's Mutex and
/// TimedMutex requirements, so std::unique_lock, std::scoped_lock and std::lock_guard work.
///
/// Unlocking hands it to the longest waiter of all threads (decision 3). As with copse::mutex, what was handed to a waiter
/// that has not run yet another greenlet's try_lock may take back, once: without that std::lock over several would circle
/// for ever. Its owner is a greenlet; on a thread that has not used copse, the thread. The end of its owner does not unlock
/// it.
///
/// Threads, lifetime, cost: see copse::shared::event.
class timed_mutex : detail::shared_object {
public:
    timed_mutex() noexcept : shared_object("shared mutex") {}
    ~timed_mutex() { must_be_empty(waiting_); }

    /// Parks:   while another greenlet holds it.
    /// Throws:  self_deadlock if the caller holds it already.
    void lock() {
        detail::attend();
        if (!take_if_free()) wait_by(detail::never);
    }

    /// Never parks.
    bool try_lock() noexcept;

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    /// Throws:  as lock.
    template <class Rep, class Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> length) {
        detail::attend();
        return try_lock() || wait_by(detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> when) {
        detail::attend();
        return try_lock() || wait_by(detail::deadline_at(when));
    }

    /// Never parks.
    /// Throws:  not_owner if the caller does not hold it.
    void unlock();

    bool locked() const noexcept {
        const guard held(mutex_);
        return owner_ != 0;
    }

    /// Whether the calling greenlet holds it.
    bool owned() const noexcept {
        const guard held(mutex_);
        return is_mine();
    }

private:
    struct claimant;

    bool is_mine() const noexcept;
    bool take_if_free() noexcept;
    bool take_back() noexcept;
    bool wait_by(std::int64_t deadline);
    void hand_to(claimant& next, detail::shared_lock& held) noexcept;

    std::uint64_t owner_ = 0;                    // who holds it: see caller() in the source
    std::uint64_t giver_ = 0;                    // who handed it over last
    claimant* granted_ = nullptr;                // whom it was handed to, until that one runs
    detail::ring<detail::shared_wait> waiting_;  // all of them claimants
};

/// There is nothing to be saved by leaving the timed forms out.
using mutex = timed_mutex;

}  // namespace copse::shared
