// What is done to fibers from outside: joining, killing, asking.
#include <copse/fiber_handle.hpp>

#include "hub_core.hpp"
#include "join.hpp"
#include "kill.hpp"

namespace copse {

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

}  // namespace copse
