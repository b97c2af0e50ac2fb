#include <copse/shared/async_result.hpp>

#include <stdexcept>

#include <copse/error.hpp>

namespace copse::detail {

void shared_settlement::require_unsettled() const {
    if (settled_) throw already_set("shared async_result: set a second time");
}

void shared_settlement::settle(shared_lock& held) noexcept {
    settled_ = true;
    while (shared_wait* const first = waiting_.front()) first->claim(held);
}

void shared_settlement::settle_with_error(std::exception_ptr error) {
    if (error == nullptr) throw std::invalid_argument("shared async_result: set to a null exception");
    settle_with([&] { error_ = std::move(error); });
}

bool shared_settlement::wait_by(std::int64_t deadline) {
    shared_lock held(*this);
    if (settled_) return true;
    shared_wait w(noun(), *this, gain::nothing);
    waiting_.push_back(w);
    return w.park(held, deadline) == cause::satisfied;
}

void shared_settlement::rethrow() const {
    if (std::exception_ptr thrown = error()) std::rethrow_exception(std::move(thrown));
}

void shared_settlement::take() {
    const guard held(mutex_);
    if (taken_) throw value_taken("get: the value of the shared async_result was taken already");
    taken_ = true;
}

void shared_settlement::put_back() noexcept {
    const guard held(mutex_);
    taken_ = false;
}

}  // namespace copse::detail
