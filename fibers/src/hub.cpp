// The public face of the hub.
#include <copse/hub.hpp>

#include <stdexcept>

#include "hub_core.hpp"

namespace copse {

struct hub_handle::hold {
    explicit hold(std::shared_ptr<detail::hub_door> opened) : door(std::move(opened)) { ++door->holders; }
    hold(const hold&) = delete;
    hold& operator=(const hold&) = delete;
    ~hold() {
        const std::lock_guard lock(door->mutex);
        if (--door->holders == 0 && door->hub != nullptr) door->hub->wake_from_anywhere();
    }
    std::shared_ptr<detail::hub_door> door;
};

void hub_handle::post(std::function<void()> f) const {
    if (held_ == nullptr) throw empty_handle("post through an empty hub_handle");
    if (f == nullptr) throw null_callable("post: the function is null");
    const std::lock_guard lock(held_->door->mutex);
    if (held_->door->hub == nullptr) throw thread_exited("post: the hub has ended with its thread");
    held_->door->hub->post_from_anywhere(std::move(f));
}

bool hub_handle::expired() const noexcept {
    if (held_ == nullptr) return true;
    const std::lock_guard lock(held_->door->mutex);
    return held_->door->hub == nullptr;
}

hub& hub::current() { return detail::hub_core::here(); }

void hub::post(std::function<void()> f) {
    if (f == nullptr) throw null_callable("post: the function is null");
    detail::hub_core::of(*this).post_from_anywhere(std::move(f));
}

hub_handle hub_handle::through(std::shared_ptr<detail::hub_door> door) {
    return hub_handle(std::make_shared<hold>(std::move(door)));
}

hub_handle hub::handle() { return hub_handle::through(detail::hub_core::of(*this).door()); }

error_handler hub::on_error(error_handler handler) { return set_error_handler(std::move(handler)); }

void hub::run_until_idle() { idle_by(detail::never); }

bool hub::idle_by(std::int64_t deadline) {
    using namespace detail;
    hub_core& self = hub_core::of(*this);
    attend();
    if (this_thread.current != self.state.root)
        throw concurrent_use("run_until_idle: only the main greenlet may wait for idleness");
    wait idle("run_until_idle", this, gain::nothing);
    self.idler_ = &idle;
    idle.undo = [](wait& w) noexcept { hub_core::of(*static_cast<const hub*>(w.on)).idler_ = nullptr; };
    return park(idle, deadline) == cause::satisfied;
}

hub_stats hub::stats() const noexcept {
    const detail::hub_core& self = detail::hub_core::of(*this);
    return {.turns = self.turns(),
            .dispatches = self.dispatches(),
            .spawned = self.spawned,
            .fibers = self.unfinished,
            .ready = self.count_ready(),
            .timers = self.timers.size(),
            .watching = self.driver_->watching()};
}

std::unique_ptr<idle_driver> hub::set_driver(std::unique_ptr<idle_driver> driver) {
    if (driver == nullptr) throw std::invalid_argument("set_driver: a hub cannot be without one");
    detail::hub_core& self = detail::hub_core::of(*this);
    const std::lock_guard lock(self.driver_mutex_);
    self.looked_at = driver->now();
    return std::exchange(self.driver_, std::move(driver));
}

idle_driver& hub::driver() const noexcept { return *detail::hub_core::of(*this).driver_; }

void hub::shuffle(std::optional<std::uint64_t> seed) noexcept { detail::hub_core::of(*this).shuffle_by(seed); }

}  // namespace copse
