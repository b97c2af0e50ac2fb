#include <copse/timeout.hpp>

#include "hub_core.hpp"
#include "time_limit.hpp"

namespace copse {

namespace detail {

void hang_on_current(time_limit& scope) noexcept {
    core& self = *this_thread.current;
    scope.of = &self;
    scope.next_limit = self.limits;
    if (self.limits != nullptr) self.limits->previous_limit = &scope;
    self.limits = &scope;
}

void take_off(time_limit& scope) noexcept {
    if (scope.of == nullptr) return;
    if (scope.error != nullptr) withdraw(*scope.of, scope);
    (scope.previous_limit != nullptr ? scope.previous_limit->next_limit : scope.of->limits) = scope.next_limit;
    if (scope.next_limit != nullptr) scope.next_limit->previous_limit = scope.previous_limit;
}

}  // namespace detail

timeout::timeout(std::int64_t length, std::exception_ptr instead) : length_(length), instead_(std::move(instead)) {
    detail::attend();
    detail::hub_core::here();
    detail::hang_on_current(*this);
    fire = [](detail::timer& t) { expire(t); };
    start();
}

timeout::~timeout() {
    cancel();
    detail::take_off(*this);
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
