#include <copse/latch.hpp>

#include <stdexcept>
#include <string>

namespace copse {

latch::latch(std::ptrdiff_t expected) : left_(expected) {
    if (expected < 0) throw std::invalid_argument("latch: a count of " + std::to_string(expected) + " is negative");
}

void latch::count_down(std::ptrdiff_t n) {
    if (n < 0 || n > left_) {
        throw std::invalid_argument("latch: counted down by " + std::to_string(n) + " with " + std::to_string(left_) +
                                    " left");
    }
    left_ -= n;
    if (left_ != 0) return;
    while (detail::wait* first = waiting_.front()) detail::complete(*first, detail::cause::satisfied);
}

bool latch::wait_by(std::int64_t deadline) const {
    detail::wait w("latch", this, detail::gain::nothing);
    waiting_.push_back(w);
    return detail::park(w, deadline) == detail::cause::satisfied;
}

}  // namespace copse
