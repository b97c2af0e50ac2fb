#include "kill.hpp"

#include <copse/join_all.hpp>

#include "fork.hpp"
#include "greenlet_data.hpp"
#include "hub_core.hpp"
#include "life.hpp"

namespace copse::detail {

namespace {

// Lives as long as the exception of a kill. Its end in a fiber that goes on means that the clean-up is over, and that somebody
// caught the kill and did not throw it on.
class kill_token {
public:
    explicit kill_token(const fiber_core& f) : victim_(f.self) {}
    kill_token(const kill_token&) = delete;
    kill_token& operator=(const kill_token&) = delete;

    ~kill_token() {
        const greenlet victim = victim_.lock();
        if (victim.empty()) return;
        auto& f = static_cast<fiber_core&>(handle_access::of(victim));
        if (f.owner != this_thread.state || f.killing != kill_phase::cleaning || f.is_dead() || f.marked(mark_exiting))
            return;
        f.killing = kill_phase::none;
        if (this_thread.current == &f && this_thread.exceptions->uncaught != 0)
            return;  // another exception took its place
        try {
            throw error(to_string(victim) + " caught its kill and did not throw it on: it lives");
        } catch (...) {
            f.owner->report(std::current_exception(), victim);
        }
    }

private:
    weak_greenlet victim_;
};

struct kill_exit final : greenlet_exit {
    explicit kill_exit(const fiber_core& f) : token(std::make_shared<kill_token>(f)) {}
    std::shared_ptr<kill_token> token;
};

// Nothing is in flight or being handled in it: whatever an earlier kill started is over.
bool is_calm(const fiber_core& f) noexcept {
    const exception_state& state = &f == this_thread.current ? *this_thread.exceptions : f.exceptions;
    return state.caught == nullptr && state.uncaught == 0;
}

// Tells everybody of the end of a fiber that has been marked as dead.
void tell_end(fiber_core& f) noexcept {
    hub_core& hub = *this_thread.hub;
    hub.count_finished();
    if (f.error != nullptr && !f.marked(mark_observed) && f.refs.load(std::memory_order_relaxed) == 1) {
        bool seen = false;
        f.observers.for_each([&seen](const observer& o) { seen = seen || o.sees_failures; });
        if (!seen) last_word(f);
    }
    while (observer* first = f.observers.front()) {
        first->unlink();
        first->told(*first);
    }
}

void finish_unstarted(fiber_core& f) noexcept {
    const greenlet held =
        handle_access::share(f);  // what is destroyed here may park, and the ready queue come to it meanwhile
    mark_dead(*f.owner, f);       // first: what the callable destroys may ask for this kill again, or park
    f.ops->drop_callable(f);
    end_data(f);
    const bool delayed = f.delay != nullptr;
    if (delayed) {
        if (f.delay->armed()) this_thread.hub->timers.cancel(*f.delay);
        delete std::exchange(f.delay, nullptr);
    }
    tell_end(f);
    if (delayed) release(f);  // else the ready queue still holds it, and lets go of it when its turn comes
}

// Nobody can ask for it any more. Its destructor may park: meanwhile the thread knows of it.
[[gnu::noinline]] void end_result(thread_state& state, fiber_core& f) noexcept {
    state.enlist(f);
    f.ops->drop_result(f);
    state.strike_off(f);
}

// Runs the callable; nothing of the exception is left when it returns.
[[gnu::noinline]] void run_body(fiber_core& f) {
    try {
        f.ops->run(f, value());
    } catch (const greenlet_exit&) {
        f.marks |= mark_killed | mark_exiting;
    } catch (...) {
        f.error = exception_at_the_bottom();
        f.marks |= mark_exiting;
    }
}

}  // namespace

void ask_for_kill(fiber_core& f, std::exception_ptr exception) {
    if (f.is_dead() || f.killing == kill_phase::pending) return;
    if (f.killing == kill_phase::cleaning && !is_calm(f)) return;  // never breaks a clean-up (decision 4)
    const greenlet held = handle_access::share(f);                 // stop callbacks are anybody's code
    if (f.data != nullptr && f.data->stop != nullptr) {
        std::stop_source asked = *f.data->stop;  // a callback may park, and the fiber end meanwhile
        asked.request_stop();
        if (f.is_dead() || f.killing == kill_phase::pending) return;
    }
    const bool quiet = exception == nullptr || is_exit(exception);
    if (!f.has_started()) {
        if (quiet) {
            f.marks |= mark_killed;
        } else {
            f.error = std::move(exception);
        }
        return finish_unstarted(f);
    }
    f.kill.error = exception == nullptr ? std::make_exception_ptr(kill_exit(f)) : std::move(exception);
    f.killing = kill_phase::pending;
    deliver(f, f.kill);
}

void request_end(fiber_core& f) noexcept {
    try {
        ask_for_kill(f, nullptr);
    } catch (...) {
        f.owner->report(std::current_exception(), f.self);
    }
}

void note_thrown(core& self, const interrupt& thrown) noexcept {
    if (!self.is(trait_fiber)) return;
    auto& f = static_cast<fiber_core&>(self);
    if (&thrown == &f.kill) f.killing = kill_phase::cleaning;
}

void fail_unstarted(fiber_core& f, std::exception_ptr error) noexcept {
    f.error = std::move(error);
    mark_dead(*f.owner, f);
    f.ops->drop_callable(f);
    end_data(f);
    tell_end(f);
}

void lose(fiber_core& f) noexcept {
    f.error = std::make_exception_ptr(left_in_parent(to_string(f.self) + " was left in the parent process by fork"));
    f.marks |= mark_observed;
    tell_end(f);
}

void last_word(fiber_core& f) noexcept {
    if (f.error == nullptr || f.marked(mark_observed)) return;
    f.marks |= mark_observed;
    f.owner->report(f.error, f.self);
}

std::size_t kill_many(const kill_options& with, std::span<const any_fiber> fibers) {
    bool myself = false;
    for (const any_fiber& each : fibers) {
        fiber_core& f = fiber_access::block(each, "kill_all");
        if (&f == this_thread.current) {
            myself = true;
        } else {
            ask_for_kill(f, with.exception);
        }
    }
    if (myself) {
        ask_for_kill(static_cast<fiber_core&>(*this_thread.current), with.exception);
        attend();
    }
    return join_many(join_options{.timeout = with.timeout}, fibers);
}

departure live_as_fiber(thread_state& state, core& first) {
    hub_core& hub = *this_thread.hub;
    stack_slot* const slot = first.stack;
    auto* const checker = static_cast<checked_stack*>(first.checker);
    for (core* at = &first;;) {
        auto& f = static_cast<fiber_core&>(*at);
        run_body(f);
        ++f.shields;  // nothing is thrown into destructors
        f.ops->drop_callable(f);
        end_data(f);
        mark_dead(state, f);
        tell_end(f);
        end_data(f);  // what was made since
        if (f.refs.load(std::memory_order_relaxed) == 1 && f.has_result) [[unlikely]]
            end_result(state, f);
        if (state.root == &f) [[unlikely]]
            end_child(f);
        const std::uint32_t request = f.stack_request;
        if (f.refs.load(std::memory_order_relaxed) != 1) {
            f.stack = nullptr;
            f.checker = nullptr;
        }
        release(f);  // may end it: what its result's destructor does is done here, on its own stack, and may park
        this_thread.current = &state.grave;
        hub.spare = {slot, request};
        core& to = hub.next();
        hub.spare.slot = nullptr;
        if (to.frame != nullptr) {
            state.left_stack = checker;
            state.stacks->give(slot);
            return {&to, nullptr};
        }
        // The next one has not started: it runs right here, on a stack that is warm and already guarded.
        at = &to;
        slot->owner = at;
        at->frame = slot->top;  // not to be prepared again: its first jump away writes the real one
        at->checker = checker;
        this_thread.current = at;
    }
}

}  // namespace copse::detail
