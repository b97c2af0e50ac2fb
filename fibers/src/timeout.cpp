#include <copse/timeout.hpp>

#include "hub_core.hpp"

namespace copse {

timeout::timeout(std::int64_t length, std::exception_ptr instead) : length_(length), instead_(std::move(instead)) {
    detail::attend();
    detail::hub_core::here();
    of = detail::this_thread.current;
    next_limit = of->limits;
    if (next_limit != nullptr) next_limit->previous_limit = this;
    of->limits = this;
    fire = [](detail::timer& t) { expire(t); };
    start();
}

timeout::~timeout() {
    cancel();
    if (of == nullptr) return;
    (previous_limit != nullptr ? previous_limit->next_limit : of->limits) = next_limit;
    if (next_limit != nullptr) next_limit->previous_limit = previous_limit;
}

void timeout::start() {
    cancel();
    expired_ = false;
    if (of == nullptr || detail::this_thread.hub == nullptr) return;
    serial_ = ++detail::this_thread.hub->last_timeout;
    if (length_ != detail::never) detail::this_thread.hub->timers.arm(*this, detail::deadline_in(length_));
}

void timeout::cancel() noexcept {
    if (armed() && detail::this_thread.hub != nullptr) detail::this_thread.hub->timers.cancel(*this);
    if (of != nullptr && error != nullptr) detail::withdraw(*of, *this);
}

void timeout::expire(detail::timer& t) noexcept {
    auto& self = static_cast<timeout&>(t);
    self.expired_ = true;
    if (self.of == nullptr) return;
    self.error = self.instead_;
    if (self.error == nullptr) {
        self.error = std::make_exception_ptr(timeout_expired(self.serial_, std::chrono::nanoseconds(self.length_)));
    }
    detail::deliver(*self.of, self);
}

}  // namespace copse
