#include <copse/timeout.hpp>

#include "hub_core.hpp"

namespace copse {

namespace {

constinit std::atomic<std::uint64_t> serials{0};

}  // namespace

timeout::timeout(std::int64_t length, std::exception_ptr instead)
    : fiber_((detail::attend(), detail::hub_core::here(), detail::this_thread.current)), length_(length), instead_(std::move(instead))
{
    fire = [](detail::timer& t) { expire(t); };
    start();
}

void timeout::start()
{
    cancel();
    serial_ = serials.fetch_add(1, std::memory_order_relaxed) + 1;
    expired_ = false;
    if (length_ != detail::never) detail::this_thread.hub->timers.arm(*this, detail::deadline_in(length_));
}

void timeout::cancel() noexcept
{
    if (armed()) detail::this_thread.hub->timers.cancel(*this);
    if (interrupt_.error != nullptr) detail::withdraw(*fiber_, interrupt_);
}

void timeout::expire(detail::timer& t) noexcept
{
    auto& self = static_cast<timeout&>(t);
    self.expired_ = true;
    self.interrupt_.error = self.instead_ != nullptr
                                ? self.instead_
                                : std::make_exception_ptr(timeout_expired(self.serial_, std::chrono::nanoseconds(self.length_)));
    detail::deliver(*self.fiber_, self.interrupt_);
}

}  // namespace copse
