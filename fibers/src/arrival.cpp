// What a switch that was not plain does when it arrives.

#include "life.hpp"
#include "switch.hpp"
#include "tracing.hpp"

namespace copse::detail {

namespace {

// Lets a visitor see this stack, and goes back to where it came from. Returns the word of the next one to enter.
void* serve_guest(thread_state& state, core& self) {
    core& home = *state.entering;
    std::exchange(state.in_flight.guest, nullptr)->visit();
    return jump_to(state, self, home, nullptr);
}

// Rule 48: who switched away without a handle is killed before the switch returns that it made.
void kill_orphans(thread_state& state) noexcept {
    while (state.orphans != nullptr) {
        core& orphan = *std::exchange(state.orphans, static_cast<core*>(state.orphans->next_ready));
        orphan.next_ready = nullptr;
        // A handle may have been found again meanwhile, through a weak one or current().
        if (orphan.refs.load(std::memory_order_relaxed) == 0) last_handle_dropped(orphan);
    }
}

}  // namespace

value receive() {
    thread_state& state = *this_thread.state;
    core& self = *this_thread.current;
    while (state.in_flight.guest != nullptr) {
        if (serve_guest(state, self) == nullptr) return {};
    }
    // All of it is taken out before any foreign code runs: neither tracer nor destructor can see or overwrite it (rule 16).
    switch_in_flight arrived = std::exchange(state.in_flight, switch_in_flight{});
    kill_orphans(state);
    state.settle_gate();
    if (state.trace && !arrived.from.empty()) {
        arrived.payload = trace_arrival(state, arrived.from, self.self, std::move(arrived.payload), arrived.exception);
    }
    arrived.from = greenlet();  // the end of who died, perhaps
    if (arrived.exception) std::rethrow_exception(std::move(arrived.exception));
    return std::move(arrived.payload);
}

void show(core& suspended, visitor& guest) noexcept {
    thread_state& state = *this_thread.state;
    core& self = *this_thread.current;
    const std::uintptr_t gate = suspended.gate.exchange(gate_of_nobody, std::memory_order_relaxed);
    state.in_flight.guest = &guest;
    state.entering = &self;
    jump_to(state, self, suspended, &state);
    suspended.gate.store(gate, std::memory_order_relaxed);
}

}  // namespace copse::detail
