#include <copse/spawn.hpp>

#include <copse/spawn_observer.hpp>

#include "greenlet_data.hpp"
#include "hub_core.hpp"
#include "kill.hpp"

namespace copse::detail {

namespace {

// A fiber that is spawned for later: its start waits in the timer wheel.
void start_now(timer& t) noexcept {
    auto& start = static_cast<delayed_start&>(t);
    fiber_core& f = *start.of;
    f.delay = nullptr;
    this_thread.hub->push(f);
    delete &start;
}

void start_after(hub_core& hub, fiber_core& f, std::unique_ptr<delayed_start> start, std::int64_t delay) noexcept {
    start->of = &f;
    start->fire = [](timer& t) { start_now(t); };
    if (delay != never) hub.timers.arm(*start, deadline_in(delay));
    f.delay = start.release();
}

}  // namespace

void start_held(fiber_core& f) noexcept {
    if (f.delay != nullptr) start_now(*f.delay);  // else it was started by hand
}

void file_fiber(fiber_core& f, const core_ops& ops, const spawn_options* with, source_site site, std::int64_t delay) {
    hub_core& hub = hub_core::here();
    std::unique_ptr<delayed_start> start = delay > 0 ? std::make_unique<delayed_start>() : nullptr;
    std::unique_ptr<greenlet_data> data;
    if (this_thread.current->data != nullptr) [[unlikely]]
        data = inherited_data(*this_thread.current->data);
    if (with != nullptr) {
        prepare_block(
            f, ops,
            greenlet_options{.name = with->name, .stack_size = with->stack_size, .parent = hub.greenlet_core.self});
    } else {
        prepare_block(f, ops, hub.greenlet_core.self);
    }
    f.data = data.release();
    f.site = site;
    f.spawner = this_thread.current->id;
    if (start != nullptr) {
        start_after(hub, f, std::move(start), delay);
    } else {
        hub.push(f);
    }
    f.traits |= trait_fiber;
    f.refs.store(2, std::memory_order_relaxed);  // one of them the hub's, until it has finished
    hub.state.enlist(f);
    ++hub.unfinished;
    ++hub.spawned;
    if (!hub.spawn_observers.empty() && hub.unobserved == 0) [[unlikely]]
        tell_of_spawn(f);
}

const char* spawn_file(const core& c) noexcept {
    return c.is(trait_fiber) ? static_cast<const fiber_core&>(c).site.file : nullptr;
}

unsigned spawn_line(const core& c) noexcept {
    return c.is(trait_fiber) ? static_cast<const fiber_core&>(c).site.line : 0;
}

}  // namespace copse::detail
