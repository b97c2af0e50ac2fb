// How a greenlet begins, runs and dies, and where its result goes.
#pragma once

#include <boost/context/detail/fcontext.hpp>

#include "thread_state.hpp"

namespace copse::detail {

/// Where a stack is left for, for ever: everything on it has ended.
struct departure {
    core* to;
    void* word;
};

/// The life of a fiber, from its first instruction on this stack, and of those that take the stack over.
departure live_as_fiber(thread_state& state, core& first);

/// Thrown by a body that dies of this exception, whatever it is: greenlet_exit too goes to the parent as an exception.
struct death_by {
    std::exception_ptr error;
};

/// Gives an unstarted greenlet its stack.
void start(thread_state& state, core& unstarted);

/// Where every new stack begins.
void begin_life(boost::context::detail::transfer_t from);

/// The switch by hand, whole: to `named` with a payload, or with an exception to be thrown there.
value enter(core& named, value payload, std::exception_ptr exception);

/// Switches to `target`, which has a frame. The payload is in flight.
value transfer(thread_state& state, core& self, core& target);

/// Throws greenlet_exit into a suspended or parked greenlet that has no handle left, and comes back when it is dead or has
/// switched back alive. Returns whether it is dead.
bool kill_suspended(thread_state& state, core& victim) noexcept;

/// Ends an unstarted greenlet without running it.
void bury_unstarted(core& unstarted) noexcept;

/// Takes the timeout scopes off a greenlet that has ended, and what they and kills have left pending.
void drop_limits(core& finished) noexcept;

/// Marks a started one as dead and takes it off the registry.
inline void mark_dead(thread_state& state, core& finished) noexcept {
    finished.life.store(life::dead, std::memory_order_release);
    finished.gate.store(gate_of_nobody, std::memory_order_relaxed);
    state.strike_off(finished);
    if (finished.limits != nullptr || finished.interrupts != nullptr) drop_limits(finished);
}

/// Lets `guest` run on the stack of a suspended or parked greenlet, and comes back.
void show(core& suspended, visitor& guest) noexcept;

/// In the last handler of a stack: the exception being handled. What unwinds a thread is none, and must not end here.
std::exception_ptr exception_at_the_bottom() noexcept;

bool is_exit(const std::exception_ptr& exception) noexcept;

}  // namespace copse::detail
