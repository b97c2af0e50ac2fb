/// A mutex with a second way to lock it, which many may hold together.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <copse/detail/wait.hpp>

namespace copse {

/// Held by one writer (`lock`) or by any number of readers (`lock_shared`). Meets the standard's SharedTimedMutex requirements:
/// std::unique_lock and std::shared_lock work.
///
/// Fair, so that neither side starves: all wait in one line, and it is handed to the head of the line (decision 3), to one
/// writer or to all readers up to the next writer. A writer that waits therefore keeps out readers that come later: a greenlet
/// that holds it shared and locks it shared once more may wait for that writer, and the writer for it. Whoever leaves the line,
/// killed or at its deadline, lets in those behind that can now enter.
///
/// The writer is a greenlet; readers are only counted. The end of a holder does not unlock it. There is no upgrade. Owner
/// thread only. Ending it while it is waited for aborts with a message. Three fibers or more that take several of them by
/// std::lock in different orders may circle for ever, which mutex prevents: take them in one order.
///
///     std::shared_lock reading(table_lock);       // beside other readers
///     std::unique_lock writing(table_lock);       // alone
class shared_timed_mutex {
public:
    shared_timed_mutex() noexcept = default;
    shared_timed_mutex(const shared_timed_mutex&) = delete;
    shared_timed_mutex& operator=(const shared_timed_mutex&) = delete;
    ~shared_timed_mutex() { detail::must_not_be_waited_for(line_, "shared_mutex"); }

    /// Parks:   while others hold it.
    /// Throws:  self_deadlock if the caller is its writer already.
    void lock() {
        detail::attend();
        if (!take()) wait_by(access::exclusive, detail::never);
    }

    /// Never parks.
    bool try_lock() { return take(); }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    /// Throws:  as lock.
    template <class Rep, class Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> length) {
        detail::attend();
        return take() || wait_by(access::exclusive, detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> when) {
        detail::attend();
        return take() || wait_by(access::exclusive, detail::deadline_at(when));
    }

    /// Never parks.
    /// Throws:  not_owner if the caller is not its writer.
    void unlock();

    /// Parks:   while a writer holds it or waits for it.
    /// Throws:  self_deadlock if the caller is its writer.
    void lock_shared() {
        detail::attend();
        if (!share()) wait_by(access::shared, detail::never);
    }

    /// Never parks.
    bool try_lock_shared() noexcept { return share(); }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    /// Throws:  as lock_shared.
    template <class Rep, class Period>
    bool try_lock_shared_for(std::chrono::duration<Rep, Period> length) {
        detail::attend();
        return share() || wait_by(access::shared, detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool try_lock_shared_until(std::chrono::time_point<Clock, Duration> when) {
        detail::attend();
        return share() || wait_by(access::shared, detail::deadline_at(when));
    }

    /// Never parks.
    /// Throws:  not_owner if no reader holds it.
    void unlock_shared();

    /// Whether a writer holds it.
    bool locked() const noexcept { return writer_ != 0; }

    /// How many readers hold it.
    std::size_t readers() const noexcept { return readers_; }

private:
    enum class access : bool { shared, exclusive };
    struct place;

    // While it is free nobody waits; while readers hold it, only a writer heads the line.
    bool take() {
        if (writer_ != 0 || readers_ != 0) return false;
        writer_ = detail::current_id();
        return true;
    }
    bool share() noexcept {
        if (writer_ != 0 || !line_.empty()) return false;
        ++readers_;
        return true;
    }

    bool wait_by(access wanted, std::int64_t deadline);
    void let_in() noexcept;

    std::uint64_t writer_ = 0;  // id of the greenlet that holds it alone; then there are no readers
    std::size_t readers_ = 0;
    detail::wait_list line_;
};

/// There is nothing to be saved by leaving the timed forms out.
using shared_mutex = shared_timed_mutex;

}  // namespace copse
