#include "life.hpp"

#include <string>

#include "greenlet_data.hpp"
#include "hub_core.hpp"
#include "switch.hpp"
#include "tracing.hpp"

namespace copse::detail {

namespace {

// How a greenlet ended: with a result, or with an exception that goes to its parent.
struct outcome {
    value result;
    std::exception_ptr exception;
};

void throw_not_switchable(const core& named, const core& target) {
    const std::string over = &named == &target ? "" : to_string(named.self) + " has ended, and ";
    throw not_switchable("switch_to: " + over + to_string(target.self) + describe_wait(target));
}

// Rules 17, 30, 32: who really continues when `named` is entered.
core& nearest_living(core& named, value& payload, std::exception_ptr& exception) {
    core* target = &named;
    for (;;) {
        if (target->is_dead()) {
            if (exception && is_exit(exception)) payload = value(std::exchange(exception, nullptr));
            target = &handle_access::of(target->parent);
        } else if (exception && !target->has_started() && !target->is(trait_fiber)) {
            bury_unstarted(*target);
        } else {
            return *target;
        }
    }
}

value switch_to_self(thread_state& state, core& self, value payload, const std::exception_ptr& exception) {
    if (state.trace) payload = trace_arrival(state, self.self, self.self, std::move(payload), exception);
    if (exception) std::rethrow_exception(exception);
    return payload;
}

// Rules 18 to 24. Null: nobody can take it, and the hub goes on with what is ready.
core* heir(thread_state& state, core& dead, outcome& end) {
    for (core* to = &handle_access::of(dead.parent);; to = &handle_access::of(to->parent)) {
        // An open gate comes first: who has died may still be ending others, and waits for them in a kill.
        if (to->gate.load(std::memory_order_relaxed) == state.gate()) return to;
        if (to->is_dead()) continue;
        if (hub_core::is_hub(*to)) {
            if (end.exception) state.report(end.exception, dead.self);
            return nullptr;
        }
        if (to->is_active() || to->is(trait_fiber)) {
            const std::string text = to_string(dead.self) + " has ended, but its parent " + to_string(to->self) +
                                     describe_wait(*to) + ": its result is lost";
            state.report(end.exception ? end.exception : std::make_exception_ptr(not_switchable(text)), dead.self);
            return nullptr;
        }
        if (end.exception) {
            bury_unstarted(*to);
            continue;
        }
        try {
            start(state, *to);
            return to;
        } catch (...) {
            end = outcome{value(), std::current_exception()};  // rule 24: it stays unstarted, its own error goes on
        }
    }
}

outcome run_to_the_end(core& self) {
    outcome end;
    try {
        value first = receive();
        end.result = self.ops->run(self, std::move(first));
    } catch (const greenlet_exit&) {
        end.result = value(std::current_exception());
    } catch (death_by& message) {
        end.exception = std::move(message.error);
    } catch (...) {
        end.exception = exception_at_the_bottom();
    }
    return end;
}

// Tells who continues, and hands the result over. The block may be gone when it returns.
core* die(thread_state& state, core& self, outcome end) {
    const greenlet held = handle_access::share(self);  // the last one may end the block, here or on arrival
    mark_dead(state, self);
    if (self.is(trait_kept)) count_down(self.refs);
    core* to = heir(state, self, end);
    self.stack = nullptr;  // its slot and what a sanitizer knows of it go back when it has been left
    self.checker = nullptr;
    if (to == nullptr) return nullptr;
    switch_in_flight& flight = state.in_flight;
    flight.payload = std::move(end.result);
    flight.exception = std::move(end.exception);
    flight.from = held;
    to->gate.store(gate_of_nobody, std::memory_order_relaxed);
    state.entering = to;
    return to;
}

[[gnu::noinline]] departure live_as_greenlet(thread_state& state, core& self) {
    stack_slot* const slot = self.stack;
    auto* const checker = static_cast<checked_stack*>(self.checker);
    outcome end = run_to_the_end(self);
    ++self.shields;                 // nothing is thrown into destructors
    self.ops->drop_callable(self);  // still inside: what it destroys may switch (rule 25)
    end_data(self);
    core* heir = die(state, self, std::move(end));
    this_thread.current = &state.grave;
    core* to = heir != nullptr ? heir : &this_thread.hub->next();
    state.left_stack = checker;
    state.stacks->give(slot);
    return {to, heir != nullptr ? &state : nullptr};
}

}  // namespace

void start(thread_state& state, core& unstarted) {
    bind_stack(state, unstarted);
    unstarted.life.store(life::started, std::memory_order_relaxed);
    state.enlist(unstarted);
}

std::exception_ptr exception_at_the_bottom() noexcept {
    auto exception = std::current_exception();
    if (exception == nullptr) {
        fatal("pthread_exit or pthread_cancel inside a greenlet: a thread can only be ended from its main greenlet");
    }
    return exception;
}

void begin_life(boost::context::detail::transfer_t from) {
    thread_state& state = *this_thread.state;
    core& self = *state.entering;
    arrive_first(state, self, from.fctx);
    if (hub_core::is_hub(self)) this_thread.hub->run_callbacks();
    const departure end = self.is(trait_fiber) ? live_as_fiber(state, self) : live_as_greenlet(state, self);
    jump_for_ever(state, *end.to, end.word);
    fatal("a dead greenlet was entered");
}

value transfer(thread_state& state, core& self, core& target) {
    self.gate.store(state.gate(), std::memory_order_relaxed);
    target.gate.store(gate_of_nobody, std::memory_order_relaxed);
    if (self.refs.load(std::memory_order_relaxed) == 0 && self.is_active()) {
        self.next_ready = state.orphans;
        state.orphans = &self;
    }
    if (state.trace) state.in_flight.from = handle_access::share(self);
    state.entering = &target;
    if (jump_to(state, self, target, &state) == nullptr) return {};
    return receive();
}

value enter(core& named, value payload, std::exception_ptr exception) {
    thread_state& state = thread_state::here();
    if (&named == &nobody || named.owner != &state)
        refuse(&named == &nobody ? greenlet() : named.self, "switch_to or raise");
    greenlet held = handle_access::share(named);  // what runs below may drop the caller's handle
    state.attend_mail();
    state.settle_gate();
    core& self = *this_thread.current;
    core& target = nearest_living(named, payload, exception);
    if (&target == &self) return switch_to_self(state, self, std::move(payload), exception);
    if (target.is(trait_fiber) && !target.has_started()) throw_not_switchable(named, target);
    if (target.has_started()) {
        if (target.gate.load(std::memory_order_relaxed) != state.gate()) throw_not_switchable(named, target);
    } else {
        start(state, target);
    }
    // From here on only the caller's own handle counts, so that the target can be dropped while it runs (rule 48).
    if (named.refs.load(std::memory_order_relaxed) > 1) held = greenlet();
    state.in_flight.payload = std::move(payload);
    state.in_flight.exception = std::move(exception);
    return transfer(state, self, target);
}

}  // namespace copse::detail
