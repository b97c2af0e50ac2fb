#include <copse/event.hpp>

namespace copse {

void event::set() noexcept {
    set_ = true;
    while (detail::wait* w = waiting_.front()) detail::complete(*w, detail::cause::satisfied);
    detail::tell_all(watching_);
}

bool event::wait_by(std::int64_t deadline) {
    detail::attend();
    if (set_) return true;
    detail::wait w("event", this, detail::gain::nothing);
    waiting_.push_back(w);
    return detail::park(w, deadline) == detail::cause::satisfied;
}

}  // namespace copse
