/// A bounded queue between fibers of one thread that knows when all its items have been worked off.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <copse/detail/basic_queue.hpp>
#include <copse/detail/fifo_store.hpp>

namespace copse {

namespace detail {

inline constexpr exchange_traits joinable_queue_traits{"joinable_queue", "joinable_queue put", "joinable_queue get",
                                                       "joinable_queue peek", false};

/// Items that came in and have not been reported done, and who waits until there are none.
class task_ledger {
public:
    task_ledger() noexcept = default;
    task_ledger(const task_ledger&) = delete;
    task_ledger& operator=(const task_ledger&) = delete;
    ~task_ledger() { must_not_be_waited_for(joiners_, joinable_queue_traits.noun); }

    void came_in() noexcept { ++unfinished_; }
    void done(std::size_t items) noexcept;
    std::size_t unfinished() const noexcept { return unfinished_; }

    template <class Deadline>
    bool join_by(const void* queue, Deadline deadline) {
        attend();
        return unfinished_ == 0 || wait_by(queue, deadline());
    }

private:
    bool wait_by(const void* queue, std::int64_t deadline);

    std::size_t unfinished_ = 0;
    wait_list joiners_;
};

[[noreturn]] void throw_task_done_too_often();

}  // namespace detail

/// A queue that counts: an item is unfinished from the moment it comes in until somebody says `task_done` for it.
///
///     copse::joinable_queue<job> jobs(100);
///     copse::spawn([&] { for (job& j : jobs) { work_on(j); jobs.task_done(); } });
///     ...
///     jobs.join();     // all that was put has been worked off
///     jobs.close();    // the worker's loop ends
///
/// In everything else as queue. Owner thread only. Ending it while fibers join it aborts with a message, too.
template <class T>
class joinable_queue : public detail::basic_queue<joinable_queue<T>, T, detail::fifo_store<T>,
                                                  detail::joinable_queue_traits, detail::task_ledger> {
public:
    /// `capacity` in items; `unlimited` for none.
    /// Throws:  std::invalid_argument for a capacity of 0.
    explicit joinable_queue(std::size_t capacity) : joinable_queue::basic_queue(capacity) {}

    /// One item that was got has been worked off. The last one makes ready those who join.
    /// Throws:  task_done_too_often if nothing is unfinished (rule 96).
    void task_done() {
        if (unfinished() == 0) detail::throw_task_done_too_often();
        this->ledger_.done(1);
    }

    /// Waits until nothing is unfinished. An item put in the same turn does not call the joiners back. Acquires nothing.
    /// Parks:   unless nothing is.
    void join() {
        this->ledger_.join_by(this, [] { return detail::never; });
    }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool join_for(std::chrono::duration<Rep, Period> length) {
        return this->ledger_.join_by(this, [length] { return detail::deadline_after(length); });
    }
    template <class Clock, class Duration>
    bool join_until(std::chrono::time_point<Clock, Duration> when) {
        return this->ledger_.join_by(this, [when] { return detail::deadline_at(when); });
    }

    /// Items that came in and are not done: those inside, and those got but not reported.
    std::size_t unfinished() const noexcept { return this->ledger_.unfinished(); }
};

}  // namespace copse
