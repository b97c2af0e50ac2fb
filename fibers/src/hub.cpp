// The public face of the hub.
#include <copse/hub.hpp>

#include <algorithm>
#include <ostream>
#include <sstream>
#include <stdexcept>

#include "hub_core.hpp"

namespace copse {

namespace {

std::string state_of(const detail::core& c) {
    if (c.waiting != nullptr) return c.waiting->ended == detail::cause::open ? "parked" : "ready";
    if (&c == detail::this_thread.current) return "running";
    if (!c.has_started()) return "pending";
    return c.gate.load(std::memory_order_relaxed) == c.owner->gate() ? "suspended" : "ready";
}

std::string wait_of(const detail::core& c) {
    if (c.waiting == nullptr || c.waiting->ended != detail::cause::open) return {};
    std::ostringstream text;
    text << c.waiting->what;
    if (c.waiting->on != nullptr) text << ' ' << c.waiting->on;
    return text.str();
}

fiber_info info_of(const detail::core& c, std::int64_t now) {
    fiber_info info;
    info.id = c.id;
    info.name = c.label == nullptr ? "" : c.label;
    info.state = state_of(c);
    info.waits_for = wait_of(c);
    // A wait that began in virtual time may have begun later than now.
    if (!info.waits_for.empty())
        info.waited = std::chrono::nanoseconds(std::max<std::int64_t>(now - c.waiting->since, 0));
    if (!c.is(detail::trait_fiber)) return info;
    const auto& f = static_cast<const detail::fiber_core&>(c);
    if (f.site.line != 0) info.spawned_at = std::string(f.site.file) + ":" + std::to_string(f.site.line);
    info.spawned_by = f.spawner;
    return info;
}

void print(std::ostream& out, const fiber_info& info, const char* kind) {
    out << "  " << kind << " #" << info.id;
    if (!info.name.empty()) out << " \"" << info.name << '"';
    out << ' ' << info.state;
    if (!info.waits_for.empty()) {
        out << " in " << info.waits_for << " for "
            << std::chrono::duration_cast<std::chrono::milliseconds>(info.waited).count() << " ms";
    }
    if (!info.spawned_at.empty()) out << ", spawned at " << info.spawned_at << " by #" << info.spawned_by;
    out << '\n';
}

}  // namespace

namespace detail {

std::string describe_wait(const core& c) {
    if (hub_core::is_hub(c)) return " is the hub's own greenlet, which is never entered by hand";
    if (c.is(trait_left_behind)) return " was left in the parent process by fork";
    if (c.waiting != nullptr && c.waiting->ended == cause::open)
        return " is parked in the hub (" + wait_of(c) + "), which alone resumes it";
    return " is in the hub's ready queue: the hub alone resumes it";
}

}  // namespace detail

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
    const std::uint64_t of_this_turn =
        self.chooser_ != nullptr ? 0 : detail::hub_core::dispatches_per_turn - self.budget_;
    return {.turns = self.turns_,
            .dispatches = self.dispatched_ + of_this_turn,
            .spawned = self.spawned,
            .fibers = self.unfinished,
            .ready = self.count_ready(),
            .timers = self.timers.size(),
            .watching = self.driver_->watching()};
}

std::vector<fiber_info> hub::fibers() const {
    detail::hub_core& self = detail::hub_core::of(*this);
    const std::int64_t now = self.now();
    std::vector<fiber_info> all;
    for (const detail::core* c = self.state.newest(); c != nullptr; c = c->older) {
        if (c->is(detail::trait_fiber) || c->waiting != nullptr) all.push_back(info_of(*c, now));
    }
    return all;
}

void hub::dump(std::ostream& out) const {
    detail::hub_core& self = detail::hub_core::of(*this);
    print(out, info_of(self.state.main, self.now()), "main");
    for (const fiber_info& info : fibers()) print(out, info, info.spawned_by != 0 ? "fiber" : "greenlet");
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
