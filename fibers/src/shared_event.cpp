#include <copse/shared/event.hpp>

namespace copse::shared {

void event::set() noexcept {
    detail::shared_lock held(*this);
    set_ = true;
    while (detail::shared_wait* first = waiting_.front()) first->claim(held);
}

bool event::wait_by(std::int64_t deadline) {
    detail::shared_lock held(*this);
    if (set_) return true;
    detail::shared_wait w(noun(), *this, detail::gain::nothing);
    waiting_.push_back(w);
    return w.park(held, deadline) == detail::cause::satisfied;
}

}  // namespace copse::shared
