#include <copse/spawn_observer.hpp>

#include <exception>
#include <utility>

#include "hub_core.hpp"

namespace copse {

spawn_observer::spawn_observer(std::function<void(const any_fiber&)> told) : told_(std::move(told)) {
    if (told_ == nullptr) throw null_callable("spawn_observer: the function is null");
    detail::hub_core::here().spawn_observers.push_back(*this);
}

void spawn_observer::call(const any_fiber& spawned) const noexcept {
    // A spawn never parks, and must not be made to.
    const detail::no_waits meanwhile;
    try {
        told_(spawned);
    } catch (...) {
        detail::this_thread.state->report(std::current_exception(), greenlet());
    }
}

void detail::tell_of_spawn(fiber_core& spawned) noexcept {
    const any_fiber f = fiber_access::share(spawned);
    this_thread.hub->spawn_observers.for_each([&f](const spawn_observer& o) { o.call(f); });
}

}  // namespace copse
