/// A count that goes down once.
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>

#include <copse/detail/wait.hpp>

namespace copse {

/// Opens for good when it was counted down to 0; has the interface of std::latch.
///
/// Waiting acquires nothing. Owner thread only. Ending it while fibers wait aborts with a message; it may end as soon as it is
/// open, before those that waited have run.
///
///     copse::latch arrived(2);
///     for (int i = 0; i < 2; ++i) copse::spawn([&] { work(); arrived.count_down(); });
///     arrived.wait();
class latch {
public:
    /// Throws:  std::invalid_argument for a negative count.
    explicit latch(std::ptrdiff_t expected);
    latch(const latch&) = delete;
    latch& operator=(const latch&) = delete;
    ~latch() { detail::must_not_be_waited_for(waiting_, "latch"); }

    static constexpr std::ptrdiff_t(max)() noexcept { return std::numeric_limits<std::ptrdiff_t>::max(); }

    /// At 0 makes ready all who wait, in the order in which they came. Never parks.
    /// Throws:  std::invalid_argument if `n` is negative or more than is left. Nothing has changed then.
    void count_down(std::ptrdiff_t n = 1);

    /// Never parks.
    /// Returns: whether it is open.
    bool try_wait() const noexcept { return left_ == 0; }

    /// Parks:   unless it is open.
    void wait() const {
        detail::attend();
        if (left_ != 0) wait_by(detail::never);
    }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> length) const {
        detail::attend();
        return left_ == 0 || wait_by(detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool wait_until(std::chrono::time_point<Clock, Duration> when) const {
        detail::attend();
        return left_ == 0 || wait_by(detail::deadline_at(when));
    }

    /// Counts down by `n` and waits. A kill that is pending already is thrown before it counts; one that comes later finds it
    /// counted.
    /// Parks:   unless it is open then.
    /// Throws:  as count_down.
    void arrive_and_wait(std::ptrdiff_t n = 1) {
        detail::attend();
        count_down(n);
        if (left_ != 0) wait_by(detail::never);
    }

private:
    bool wait_by(std::int64_t deadline) const;

    std::ptrdiff_t left_;
    mutable detail::wait_list waiting_;
};

}  // namespace copse
