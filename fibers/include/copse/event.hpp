/// An event: a flag that fibers of one thread wait for.
#pragma once

#include <chrono>

#include <copse/detail/wait.hpp>

namespace copse {

/// A flag. Setting it makes ready everybody who waits, in the order in which they came; the setter goes on.
///
/// Waiting acquires nothing: `set` followed by `clear` still ends the waits that stood (rule 71), and a kill that came with the
/// set is thrown. Owner thread only. Ending it while fibers wait is a fault of the program: it aborts with a message.
class event {
public:
    event() noexcept = default;
    event(const event&) = delete;
    event& operator=(const event&) = delete;
    ~event() {
        detail::must_not_be_waited_for(waiting_, "event");
        detail::must_not_be_watched(watching_, "event");
    }

    void set() noexcept;
    void clear() noexcept { set_ = false; }
    bool is_set() const noexcept { return set_; }

    /// Parks:   unless set.
    void wait() { wait_by(detail::never); }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> length) {
        return wait_by(detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool wait_until(std::chrono::time_point<Clock, Duration> when) {
        return wait_by(detail::deadline_at(when));
    }

private:
    friend struct detail::watch_access;

    bool wait_by(std::int64_t deadline);
    bool watch(detail::observer& o) noexcept {
        if (!set_) watching_.push_back(o);
        return set_;
    }

    detail::wait_list waiting_;
    detail::ring<detail::observer> watching_;
    bool set_ = false;
};

}  // namespace copse
