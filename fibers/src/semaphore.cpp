#include <copse/semaphore.hpp>

#include <limits>
#include <stdexcept>
#include <string>

namespace copse {

semaphore::semaphore(std::ptrdiff_t permits) : permits_(permits) {
    if (permits < 0) throw std::invalid_argument("semaphore: a count of " + std::to_string(permits) + " is negative");
}

bool semaphore::wait_by(std::int64_t deadline) {
    detail::wait w("semaphore", this, detail::gain::something);
    waiting_.push_back(w);
    return detail::park(w, deadline) == detail::cause::satisfied;
}

bool semaphore::watch_by(std::int64_t deadline) {
    detail::wait w("semaphore, to become available", this, detail::gain::nothing);
    watching_.push_back(w);
    return detail::park(w, deadline) == detail::cause::satisfied;
}

void semaphore::release(std::ptrdiff_t permits) {
    if (permits < 0) throw std::invalid_argument("semaphore: release of " + std::to_string(permits) + " permits");
    if (permits > std::numeric_limits<std::ptrdiff_t>::max() - permits_) {
        throw std::overflow_error("semaphore: release of " + std::to_string(permits) + " permits on top of " +
                                  std::to_string(permits_));
    }
    for (; permits > 0; --permits) {
        detail::wait* first = waiting_.front();
        if (first == nullptr) break;
        detail::complete(*first, detail::cause::satisfied);
    }
    if (permits == 0) return;
    permits_ += permits;
    while (detail::wait* first = watching_.front()) detail::complete(*first, detail::cause::satisfied);
    detail::tell_all(observers_);
}

void bounded_semaphore::release(std::ptrdiff_t permits) {
    if (permits > bound_ - available()) {
        throw std::overflow_error("bounded_semaphore: release of " + std::to_string(permits) + " permits while " +
                                  std::to_string(bound_ - available()) + " of " + std::to_string(bound_) +
                                  " are taken");
    }
    semaphore::release(permits);
}

}  // namespace copse
