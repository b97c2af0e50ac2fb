/// A mutex for fibers of one thread.
#pragma once

#include <chrono>

#include <copse/detail/wait.hpp>

namespace copse {

class condition_variable;

/// Mutual exclusion between greenlets that may park while they hold it. Meets the standard's Mutex and TimedMutex requirements, so
/// std::unique_lock, std::scoped_lock and std::lock_guard work.
///
/// Unlocking hands it to the longest waiter (decision 3). Its owner is a greenlet, not a thread. Owner thread only. Ending it
/// while it is waited for aborts with a message.
class timed_mutex {
public:
    timed_mutex() noexcept = default;
    timed_mutex(const timed_mutex&) = delete;
    timed_mutex& operator=(const timed_mutex&) = delete;
    ~timed_mutex() { detail::must_not_be_waited_for(waiting_, "mutex"); }

    /// Parks:   while another greenlet holds it.
    /// Throws:  error if the caller holds it already: it would wait for itself.
    void lock() {
        detail::attend();
        if (owner_ == 0) {
            owner_ = detail::this_thread.current->id;
        } else {
            wait_by(detail::never);
        }
    }

    /// Never parks.
    bool try_lock() {
        if (owner_ != 0) return false;
        owner_ = detail::current_id();
        return true;
    }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
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
    void unlock() {
        if (owner_ != detail::current_id()) [[unlikely]]
            throw_not_owner();
        hand_over();
    }

    bool locked() const noexcept { return owner_ != 0; }

private:
    friend class condition_variable;

    bool wait_by(std::int64_t deadline);
    void hand_over() noexcept {
        detail::wait* first = waiting_.front();
        owner_ = first == nullptr ? 0 : first->who->id;
        if (first != nullptr) detail::complete(*first, detail::cause::satisfied);
    }
    [[noreturn]] static void throw_not_owner();

    std::uint64_t owner_ = 0;  // id of the greenlet that holds it: ids are never used again, addresses are
    detail::wait_list waiting_;
};

/// There is nothing to be saved by leaving the timed forms out.
using mutex = timed_mutex;

}  // namespace copse
