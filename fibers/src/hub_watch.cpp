#include "hub_watch.hpp"

#include <signal.h>

#include <algorithm>
#include <thread>

#include "hub_core.hpp"
#include "stack_walk.hpp"

namespace copse::detail {

namespace {

constexpr std::chrono::nanoseconds shortest_period = std::chrono::milliseconds(1);
constexpr std::chrono::nanoseconds longest_period = std::chrono::seconds(1);
constexpr int patience = 10;  // times 1 ms, for an answer
constexpr std::chrono::nanoseconds deaf_after =
    std::chrono::seconds(1);  // on top: perhaps it only waits for a processor

void copy_text(std::array<char, 64>& to, const char* from) noexcept {
    std::size_t n = 0;
    while (from[n] != '\0' && n + 1 < to.size()) {
        to[n] = from[n];
        ++n;
    }
    to[n] = '\0';
}

const char* name_of(const core& c) noexcept {
    if (c.is_dead()) return "";  // its stack is being left
    if (c.label != nullptr) return c.label;
    if (hub_core::is_hub(c)) return "hub";
    return c.is(trait_eternal) ? "main" : "";
}

}  // namespace

hub_watch::hub_watch(hub_core& hub, std::chrono::nanoseconds limit, int signal) noexcept
    : hub_(hub),
      thread_(::pthread_self()),
      limit_(limit),
      period_(std::clamp(limit / 4, shortest_period, longest_period)),
      signal_(signal) {}

std::optional<stall_report> hub_watch::look(std::chrono::nanoseconds now) {
    // A look that comes late says that nobody ran: the process was stopped, or the machine is busy.
    const std::chrono::nanoseconds passed = std::min(now - last_look_.value_or(now), 2 * period_);
    last_look_ = now;
    const std::uint64_t turns = hub_.turns();
    if (std::exchange(turns_, turns) != turns || hub_.asleep()) {
        be_well();
        return std::nullopt;
    }
    if (!ask()) return count(passed, limit_ + deaf_after) ? std::optional(describe(false)) : std::nullopt;
    if (steps_ != seen_.steps) {
        be_well();
        steps_ = seen_.steps;
        return std::nullopt;
    }
    return count(passed, limit_) ? std::optional(describe(true)) : std::nullopt;
}

void hub_watch::forget() noexcept {
    be_well();
    last_look_.reset();
    answered_.store(asked_.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

void hub_watch::be_well() noexcept {
    steps_.reset();
    held_ = std::chrono::nanoseconds::zero();
    told_ = false;
}

bool hub_watch::count(std::chrono::nanoseconds passed, std::chrono::nanoseconds limit) noexcept {
    held_ += passed;
    return held_ >= limit && !std::exchange(told_, true);
}

// A question that has not been answered stands.
bool hub_watch::ask() noexcept {
    const std::uint64_t asked = asked_.load(std::memory_order_relaxed);
    if (answered_.load(std::memory_order_acquire) != asked) return false;
    asked_.store(asked + 1, std::memory_order_release);
    if (::pthread_kill(thread_, signal_) != 0) {
        asked_.store(asked, std::memory_order_release);  // it is never answered
        return false;
    }
    for (int i = 0; i < patience; ++i) {
        if (answered_.load(std::memory_order_acquire) == asked + 1) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

bool hub_watch::answer() noexcept {
    const std::uint64_t question = asked_.load(std::memory_order_acquire);
    if (answered_.load(std::memory_order_relaxed) == question) return false;
    const core& self = *this_thread.current;
    seen_.steps = hub_.steps();
    seen_.id = self.id;
    copy_text(seen_.name, name_of(self));
    seen_.file = self.is_dead() ? nullptr : spawn_file(self);
    seen_.line = seen_.file == nullptr ? 0 : spawn_line(self);
    seen_.depth = walk_interrupted(seen_.frames);
    answered_.store(question, std::memory_order_release);
    return true;
}

stall_report hub_watch::describe(bool answered) const {
    stall_report stall;
    stall.held = held_;
    stall.hub_id = hub_.state.main.id;
    stall.answered = answered;
    if (!answered) return stall;
    stall.id = seen_.id;
    stall.name = seen_.name.data();
    if (seen_.file != nullptr) stall.spawned_at = std::string(seen_.file) + ':' + std::to_string(seen_.line);
    stall.backtrace.assign(seen_.frames.begin(), seen_.frames.begin() + static_cast<std::ptrdiff_t>(seen_.depth));
    return stall;
}

}  // namespace copse::detail
