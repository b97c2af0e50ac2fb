/// An event for the fibers of several threads.
#pragma once

#include <chrono>
#include <cstdint>

#include <copse/detail/shared_wait.hpp>

namespace copse::shared {

/// A flag that any thread sets and the fibers of any thread wait for. As copse::event otherwise: setting makes ready
/// everybody who waits, in the order in which they came, and waiting acquires nothing.
///
///     copse::shared::event done;
///     std::thread other([&] { work(); done.set(); });
///     done.wait();      // parks the fiber; the others of this thread run on
///
/// What holds for everything in copse::shared:
///
/// - Every function may be called on every thread. Those that may park are for greenlets that may park; on a thread that has
///   not used copse yet the caller is its main greenlet, and the first wait makes its hub (rule 114). All others neither park
///   nor make a hub: posted functions, raw links and threads that know nothing of fibers call them.
/// - Who waits in one keeps its hub from ending in would_block_forever, and run_until_idle from returning: another thread may
///   end the wait, and the hub cannot know.
/// - A wait that another thread satisfied at the moment of its deadline or of a kill was satisfied (decision 3).
/// - It has to live longer than all calls of it. A call that returned because of another one returned after that one had let go
///   of the object: so whoever was waited for need not have returned yet. Ending it while it is waited for, or before those who
///   were made ready have run, aborts with a message.
/// - The child of a fork must not use those that other threads of its parent used.
/// - Cost: a call that does not park locks a std::mutex, and allocates nothing. Waking a fiber of another thread whose hub
///   sleeps costs what waking a thread costs.
class event : detail::shared_object {
public:
    event() noexcept : shared_object("shared event") {}
    ~event() { must_be_empty(waiting_); }

    void set() noexcept;
    void clear() noexcept {
        const guard held(mutex_);
        set_ = false;
    }
    bool is_set() const noexcept {
        const guard held(mutex_);
        return set_;
    }

    /// Parks:   unless set.
    void wait() {
        detail::attend();
        if (!is_set()) wait_by(detail::never);
    }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> length) {
        detail::attend();
        return is_set() || wait_by(detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool wait_until(std::chrono::time_point<Clock, Duration> when) {
        detail::attend();
        return is_set() || wait_by(detail::deadline_at(when));
    }

private:
    bool wait_by(std::int64_t deadline);

    detail::ring<detail::shared_wait> waiting_;
    bool set_ = false;
};

}  // namespace copse::shared
