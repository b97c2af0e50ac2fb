/// A mutex that its owner may lock again.
#pragma once

#include <chrono>
#include <cstdint>

#include <copse/detail/ownership.hpp>

namespace copse {

/// As mutex, but the greenlet that holds it may lock it again; it is free when it was unlocked as often as it was locked. Meets
/// the standard's Mutex and TimedMutex requirements.
///
/// Its owner is a greenlet: another one of the same thread waits, also one that the owner made (rule 86). The end of its owner
/// does not unlock it. Owner thread only. Ending it while it is waited for aborts with a message.
class recursive_timed_mutex {
public:
    /// How often its owner may have locked it. More is taken for a loop that forgets to unlock.
    static constexpr std::uint32_t maximum_depth = 65'535;

    recursive_timed_mutex() noexcept = default;
    recursive_timed_mutex(const recursive_timed_mutex&) = delete;
    recursive_timed_mutex& operator=(const recursive_timed_mutex&) = delete;
    ~recursive_timed_mutex() { owner_.must_not_be_waited_for("recursive_mutex"); }

    /// Parks:   while another greenlet holds it.
    /// Throws:  std::overflow_error beyond `maximum_depth`.
    void lock() {
        detail::attend();
        if (depth_ != 0 && owner_.is_mine()) return deepen();
        take_by(detail::never);
    }

    /// Never parks.
    /// Returns: false also at `maximum_depth`.
    bool try_lock() {
        if ((depth_ == 0 || !owner_.is_mine()) && !owner_.try_take()) return false;
        if (depth_ == maximum_depth) return false;
        ++depth_;
        return true;
    }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    /// Throws:  as lock.
    template <class Rep, class Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> length) {
        return lock_by([length] { return detail::deadline_after(length); });
    }
    template <class Clock, class Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> when) {
        return lock_by([when] { return detail::deadline_at(when); });
    }

    /// Takes one lock back; the last one hands it to the longest waiter. Never parks.
    /// Throws:  not_owner if the caller does not hold it.
    void unlock() {
        if (depth_ == 0 || !owner_.is_mine()) [[unlikely]]
            detail::throw_not_owner("recursive_mutex");
        if (--depth_ == 0) owner_.hand_over();
    }

    bool locked() const noexcept { return owner_.taken(); }

    /// Whether the calling greenlet holds it.
    bool owned() const { return owner_.is_mine(); }

    /// How often its owner has locked it.
    std::uint32_t depth() const noexcept { return depth_; }

private:
    // The clock is only read when it comes to waiting.
    template <class Deadline>
    bool lock_by(Deadline deadline) {
        detail::attend();
        if (try_lock()) return true;
        if (owner_.is_mine()) deepen();  // refuses
        return take_by(deadline());
    }

    bool take_by(std::int64_t deadline) {
        if (!owner_.take_by("recursive_mutex", this, deadline)) return false;
        depth_ = 1;
        return true;
    }

    void deepen() {
        if (depth_ == maximum_depth) [[unlikely]]
            throw_too_deep();
        ++depth_;
    }
    [[noreturn]] static void throw_too_deep();

    detail::ownership owner_;
    std::uint32_t depth_ = 0;  // 0 also between a hand-over and the turn of the new owner
};

using recursive_mutex = recursive_timed_mutex;

}  // namespace copse
