#include <copse/assert_switches.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "hub_core.hpp"

namespace copse {

struct switch_watch::meter : detail::hold_meter {
    explicit meter(detail::hub_core& h) noexcept : hub(h) { hub.add_meter(*this); }
    meter(const meter&) = delete;
    meter& operator=(const meter&) = delete;
    ~meter() { hub.remove_meter(*this); }

    std::int64_t longest_so_far() const noexcept { return std::max(longest, hub.now() - since); }

    detail::hub_core& hub;
};

switch_watch::switch_watch(const assert_switches_options& with) : with_(with) {
    detail::hub_core& hub = detail::hub_core::here();
    if (with.max_blocking) {
        if (*with.max_blocking < std::chrono::nanoseconds::zero())
            throw std::invalid_argument("assert_switches: max_blocking is negative");
        meter_ = std::make_unique<meter>(hub);
    }
    begin_ = hub.steps();
}

switch_watch::~switch_watch() = default;

bool switch_watch::switched() const noexcept { return detail::this_thread.hub->steps() != begin_; }

std::chrono::nanoseconds switch_watch::longest_hold() const noexcept {
    return std::chrono::nanoseconds(meter_ == nullptr ? 0 : meter_->longest_so_far());
}

void switch_watch::check() const {
    const std::string who = to_string(detail::this_thread.current->self);
    if (!switched()) throw did_not_switch("assert_switches: " + who + " neither parked nor yielded");
    if (!with_.max_blocking || longest_hold() <= *with_.max_blocking) return;
    throw did_not_switch("assert_switches: the hub was held for " + std::to_string(longest_hold().count()) +
                         " ns at a stretch, " + std::to_string(with_.max_blocking->count()) +
                         " ns are allowed; checked in " + who);
}

}  // namespace copse
