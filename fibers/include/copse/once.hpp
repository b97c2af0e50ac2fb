/// Something that is done once, by whoever comes first.
#pragma once

#include <functional>
#include <utility>

#include <copse/detail/ownership.hpp>

namespace copse {

class once_flag;

namespace detail {
[[noreturn]] void throw_once_in_once();

}  // namespace detail

/// Calls `f(args...)` unless a call through this flag has returned already. Whoever comes while one runs waits for its end. If
/// it throws (also when its fiber is killed) the flag stays as it was, the exception goes to that caller, and the longest
/// waiter tries. `f` may park.
/// Parks:   while another call runs.
/// Throws:  what `f` throws; self_deadlock from inside `f`, on the same greenlet; what is raised into the caller.
/// Cost:    once it is done, a test.
template <class F, class... Args>
void call_once(once_flag& flag, F&& f, Args&&... args);

/// For call_once. A fiber that waited counts as having acquired: killed in the turn in which it is let on, it goes on, and the
/// kill is thrown at its next wait. Owner thread only. Ending it while fibers wait aborts with a message.
class once_flag {
public:
    once_flag() noexcept = default;
    once_flag(const once_flag&) = delete;
    once_flag& operator=(const once_flag&) = delete;
    ~once_flag() { turn_.must_not_be_waited_for("once_flag"); }

    /// Whether a call has returned.
    bool done() const noexcept { return done_; }

private:
    template <class F, class... Args>
    friend void call_once(once_flag& flag, F&& f, Args&&... args);

    class turn;

    detail::ownership turn_;  // held while a call runs
    bool done_ = false;
};

/// While a call runs. Its end lets all go on who wait, or the longest waiter try.
class once_flag::turn {
public:
    explicit turn(once_flag& flag) noexcept : flag_(flag) {}
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    ~turn() {
        if (flag_.done_) {
            flag_.turn_.dissolve();
        } else {
            flag_.turn_.hand_over();
        }
    }

private:
    once_flag& flag_;
};

template <class F, class... Args>
void call_once(once_flag& flag, F&& f, Args&&... args) {
    detail::attend();
    if (flag.done_) return;
    if (flag.turn_.is_mine()) detail::throw_once_in_once();
    flag.turn_.take_by("once_flag", &flag, detail::never);
    if (flag.done_) return;
    const once_flag::turn mine(flag);
    std::invoke(std::forward<F>(f), std::forward<Args>(args)...);
    flag.done_ = true;
}

}  // namespace copse
