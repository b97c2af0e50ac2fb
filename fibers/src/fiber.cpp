// What is done to fibers from outside: spawning, joining, killing, asking.
#include <copse/fiber.hpp>
#include <copse/spawn_observer.hpp>

#include "greenlet_data.hpp"
#include "hub_core.hpp"
#include "join.hpp"
#include "kill.hpp"

namespace copse {

namespace detail {

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
    if (!hub.spawn_observers.empty()) [[unlikely]]
        tell_of_spawn(f);
}

const char* spawn_file(const core& c) noexcept {
    return c.is(trait_fiber) ? static_cast<const fiber_core&>(c).site.file : nullptr;
}

unsigned spawn_line(const core& c) noexcept {
    return c.is(trait_fiber) ? static_cast<const fiber_core&>(c).site.line : 0;
}

}  // namespace detail

detail::fiber_core& any_fiber::block(const char* operation) const {
    detail::core& c = detail::handle_access::of(handle_);
    if (&c == &detail::nobody || c.owner != detail::this_thread.state) [[unlikely]]
        detail::refuse(handle_, operation);
    return static_cast<detail::fiber_core&>(c);
}

void any_fiber::start() const {
    detail::fiber_core& f = block("start");
    if (f.delay == nullptr) return;
    if (f.delay->armed()) detail::this_thread.hub->timers.cancel(*f.delay);
    detail::start_held(f);
}

bool any_fiber::ready() const { return block("ready").is_dead(); }

bool any_fiber::killed() const { return block("killed").marked(detail::mark_killed); }

bool any_fiber::successful() const {
    const detail::fiber_core& f = block("successful");
    return f.is_dead() && f.error == nullptr && !f.marked(detail::mark_killed);
}

std::exception_ptr any_fiber::exception() const {
    detail::fiber_core& f = block("exception");
    if (f.is_dead()) f.marks |= detail::mark_observed;
    return f.error;
}

bool any_fiber::watch(detail::observer& o) const {
    detail::fiber_core& f = block("wait");
    if (f.is_dead()) return true;
    f.observers.push_back(o);
    return false;
}

bool any_fiber::join_by(std::int64_t deadline) const { return detail::join(block("join"), deadline); }

bool any_fiber::settle_by(std::int64_t deadline) const {
    detail::fiber_core& f = block("get");
    const greenlet held = handle_;  // whoever runs meanwhile may drop ours
    if (!detail::join(f, deadline)) return false;
    f.marks |= detail::mark_observed;
    if (f.error != nullptr) std::rethrow_exception(f.error);
    if (f.marked(detail::mark_killed)) throw fiber_killed("get: " + to_string(handle_) + " was killed");
    return true;
}

void any_fiber::request_kill(std::exception_ptr exception) const {
    detail::ask_for_kill(block("request_kill"), std::move(exception));
}

bool any_fiber::kill_by(std::exception_ptr exception, std::int64_t deadline) const {
    using namespace detail;
    fiber_core& f = block("kill");
    const greenlet held = handle_;  // what ends meanwhile may be what holds ours
    if (f.is_dead()) return true;
    ask_for_kill(f, std::move(exception));
    if (f.is_dead()) return true;
    if (&f != this_thread.current) return join_by(deadline);
    attend();      // thrown right here
    return false;  // unless it is shielded or in its clean-up
}

std::size_t detail::kill_many(const kill_options& with, std::span<const any_fiber> fibers) {
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

}  // namespace copse
