#include <copse/link.hpp>

#include <copse/fiber.hpp>

#include "hub_core.hpp"

namespace copse {

namespace detail {

void link_state::attach(fiber_core& f) {
    owner_ = f.owner;
    if (f.is_dead()) return deliver(f);
    of_ = &f;
    held_ = shared_from_this();
    f.observers.push_back(*this);
}

void link_state::detach() noexcept {
    off_ = true;
    of_ = nullptr;
    unlink();
    const auto perhaps_the_last = std::move(held_);
}

bool link_state::wants(const fiber_core& finished) const noexcept {
    if (ends_ == link_when::any_end) return true;
    const bool failed = finished.error != nullptr || finished.marked(mark_killed);
    return failed == (ends_ == link_when::failure);
}

void link_state::deliver(fiber_core& finished) {
    if (!wants(finished) || finished.is(trait_left_behind)) return;  // the parent of this process calls it
    if (sees_failures) finished.marks |= mark_observed;
    auto call_it = [self = shared_from_this(), held = handle_access::share(finished)] {
        if (!self->off_) self->call(static_cast<fiber_core&>(handle_access::of(held)));
    };
    if (place_ == link_where::hub) {
        this_thread.hub->call_back(std::move(call_it));
    } else {
        spawn(spawn_options{.name = "link", .site = site_}, std::move(call_it));
    }
}

// In the fiber that has just finished.
void link_state::told(observer& o) noexcept {
    auto& link = static_cast<link_state&>(o);
    const auto held = std::move(link.held_);
    fiber_core& finished = *std::exchange(link.of_, nullptr);
    try {
        link.deliver(finished);
    } catch (...) {
        finished.owner->report(std::current_exception(), finished.self);  // no memory to call it with
    }
}

}  // namespace detail

void fiber_link::unlink() const {
    if (state_ == nullptr) return;
    if (!state_->belongs_here()) throw wrong_thread("unlink: the fiber belongs to another thread");
    state_->detach();
}

}  // namespace copse
