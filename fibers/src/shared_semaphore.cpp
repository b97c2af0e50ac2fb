#include <copse/shared/semaphore.hpp>

#include <limits>
#include <stdexcept>
#include <string>

namespace copse::shared {

semaphore::semaphore(std::ptrdiff_t permits) : shared_object("shared semaphore"), permits_(permits) {
    if (permits < 0)
        throw std::invalid_argument("shared semaphore: a count of " + std::to_string(permits) + " is negative");
}

bool semaphore::wait_by(std::int64_t deadline) {
    detail::shared_lock held(*this);
    if (take()) return true;
    detail::shared_wait w(noun(), *this, detail::gain::something);
    waiting_.push_back(w);
    return w.park(held, deadline) == detail::cause::satisfied;
}

void semaphore::release(std::ptrdiff_t permits) {
    if (permits < 0)
        throw std::invalid_argument("shared semaphore: release of " + std::to_string(permits) + " permits");
    detail::shared_lock held(*this);
    if (permits > std::numeric_limits<std::ptrdiff_t>::max() - permits_) {
        throw std::overflow_error("shared semaphore: release of " + std::to_string(permits) + " permits on top of " +
                                  std::to_string(permits_));
    }
    for (; permits > 0; --permits) {
        detail::shared_wait* const first = waiting_.front();
        if (first == nullptr) break;
        first->claim(held);
    }
    permits_ += permits;
}

}  // namespace copse::shared
