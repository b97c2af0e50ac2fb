// The park protocol, and the waits that need nothing else: yield and sleep.
#include <copse/detail/wait.hpp>
#include <copse/fiber.hpp>

#include <cstdio>
#include <cstdlib>

#include "hub_core.hpp"
#include "life.hpp"
#include "messenger.hpp"

namespace copse {

namespace detail {

namespace {

void time_out(timer& t) { complete(static_cast<wait&>(t), cause::timed_out); }

[[noreturn]] void throw_blocking_in_hub() {
    throw blocking_in_hub(
        "a call that may park was made in the hub: posted functions and raw links must not block; spawn a fiber");
}

[[noreturn]] void throw_first_interrupt(core& self) {
    interrupt& first = *self.interrupts;
    std::exception_ptr error = std::move(first.error);
    withdraw(self, first);
    note_thrown(self, first);
    std::rethrow_exception(std::move(error));
}

// Leaves the stack until this greenlet is taken from the ready queue.
[[gnu::always_inline]] inline void leave(hub_core& hub, core& self) {
    const int error_number = *this_thread.error_number;  // belongs to the thread: kept across
    core& to = hub.next();
    if (&to != &self && jump_to(hub.state, self, to, nullptr) != nullptr) [[unlikely]]
        receive();
    *this_thread.error_number = error_number;
}

// Without memory it stays pending until the next wait.
void reach_by_hand(core& c) noexcept {
    try {
        send_exception(c, nullptr);
    } catch (...) {
        c.owner->report(std::current_exception(), c.self);
    }
}

}  // namespace

bool may_interrupt(const core& c) noexcept {
    const exception_state& state = &c == this_thread.current ? *this_thread.exceptions : c.exceptions;
    return c.shields == 0 && state.uncaught == 0;
}

void attend_now() {
    thread_state::here();
    hub_core::here();
    core& self = *this_thread.current;
    if ((self.attention & attend_hub) != 0) throw_blocking_in_hub();
    if (self.interrupts != nullptr && may_interrupt(self)) throw_first_interrupt(self);
}

std::uint64_t make_current_id() {
    thread_state::here();
    return this_thread.current->id;
}

cause park(wait& w, std::int64_t deadline) {
    hub_core& hub = hub_core::here();
    core& self = *w.who;
    self.waiting = &w;
    w.since = hub.looked_at;
    if (deadline == after_one_turn && hub.has_ready()) {
        const turn_mark behind_all(hub, w);
        leave(hub, self);
    } else {
        if (deadline != never && w.ended == cause::open) {  // a stop may have come while it was linked
            w.fire = &time_out;
            hub.timers.arm(w, deadline);
        }
        leave(hub, self);
    }
    self.waiting = nullptr;
    if (w.ended == cause::satisfied && (w.acquires == gain::something || self.attention == 0)) [[likely]]
        return w.ended;
    if (w.by != nullptr) note_thrown(self, *w.by);
    if (w.error != nullptr) std::rethrow_exception(std::move(w.error));
    if (self.interrupts != nullptr && may_interrupt(self)) throw_first_interrupt(self);
    return w.ended;
}

bool complete(wait& w, cause how) noexcept {
    if (w.ended != cause::open) return false;
    if (w.recall != nullptr && !w.recall(w)) [[unlikely]]
        return false;
    hub_core& hub = *this_thread.hub;
    w.ended = how;
    w.unlink();
    if (w.armed()) hub.timers.cancel(w);
    if (w.undo != nullptr) w.undo(w);
    hub.push(*w.who);
    return true;
}

bool fail(wait& w, std::exception_ptr error) noexcept {
    if (!complete(w, cause::failed)) return false;
    w.error = std::move(error);
    return true;
}

void deliver(core& c, interrupt& i) noexcept {
    wait* w = c.waiting;
    if (w != nullptr && may_interrupt(c) && complete(*w, cause::interrupted)) {
        // From here on it is on its way: ending its scope elsewhere does not take it back.
        w->error = std::move(i.error);
        w->by = &i;
        return;
    }
    interrupt** last = &c.interrupts;
    while (*last != nullptr) last = &(*last)->next;
    *last = &i;
    c.attention |= attend_interrupt;
    if (is_suspended_by_hand(c) && may_interrupt(c)) reach_by_hand(c);
}

void withdraw(core& c, interrupt& i) noexcept {
    for (interrupt** at = &c.interrupts; *at != nullptr; at = &(*at)->next) {
        if (*at != &i) continue;
        *at = std::exchange(i.next, nullptr);
        break;
    }
    i.error = nullptr;
    if (c.interrupts == nullptr) c.attention &= static_cast<std::uint8_t>(~attend_interrupt);
}

void drop_limits(core& finished) noexcept {
    while (finished.interrupts != nullptr) withdraw(finished, *finished.interrupts);
    for (time_limit* limit = std::exchange(finished.limits, nullptr); limit != nullptr; limit = limit->next_limit) {
        limit->of = nullptr;  // it still expires, harmlessly (rule 66)
    }
}

gain withdraw_wait(core& parked) noexcept {
    hub_core* hub = this_thread.hub;
    if (hub == nullptr || parked.gate.load(std::memory_order_relaxed) != gate_of_nobody)
        return gain::nothing;  // suspended by hand
    wait* const w = parked.waiting;
    if (w != nullptr && w->ended == cause::open && !complete(*w, cause::interrupted)) {
        hub->take_posts();  // it has been claimed, so word of it is there
    }
    const bool gained = has_gained(parked);
    parked.waiting = nullptr;
    hub->unpush(parked);
    return gained ? gain::something : gain::nothing;
}

void abort_waited_for(const wait& first, const char* ended) noexcept {
    std::fprintf(stderr, "copse: a %s ended while %s waits for it\n", ended, to_string(first.who->self).c_str());
    std::abort();
}

void abort_watched(const char* ended) noexcept {
    // In a child nobody comes back from the waits that fork has ended.
    if (this_thread.state != nullptr && this_thread.state->left.any()) return;
    std::fprintf(stderr, "copse: a %s ended while a fiber watches it, or has not run since it was let go on\n", ended);
    std::abort();
}

void throw_not_a_number() { throw invalid_duration("a duration is not a number"); }

std::int64_t deadline_in(std::int64_t length) noexcept {
    if (length == never) return never;
    const std::int64_t now = clock::now().time_since_epoch().count();
    return length > never - now ? never : now + length;
}

void sleep_by(std::int64_t deadline) {
    attend();
    wait w("sleep", nullptr, gain::nothing);
    park(w, deadline);
}

}  // namespace detail

clock::time_point clock::now() noexcept {
    detail::hub_core* hub = detail::this_thread.hub;
    if (hub == nullptr) return time_point(std::chrono::steady_clock::now().time_since_epoch());
    return time_point(std::chrono::nanoseconds(hub->now()));
}

void yield() {
    using namespace detail;
    attend();
    if (this_thread.hub == nullptr) [[unlikely]]
        hub_core::here();
    core& self = *this_thread.current;
    this_thread.hub->push(self);
    leave(*this_thread.hub, self);
    if (self.attention != 0) [[unlikely]]
        attend_now();
}

shield::shield() {
    detail::thread_state::here();
    shielded_ = detail::this_thread.current;
    if (shielded_->shields == 255) throw error("shield: nested more than 255 deep");
    ++shielded_->shields;
}

shield::~shield() { --shielded_->shields; }

}  // namespace copse
