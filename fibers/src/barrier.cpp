#include <copse/barrier.hpp>

#include <stdexcept>
#include <string>

namespace copse::detail {

meeting::meeting(std::ptrdiff_t expected) : expected_(expected), left_(expected) {
    if (expected < 0) throw std::invalid_argument("barrier: a count of " + std::to_string(expected) + " is negative");
}

void meeting::require_expected(std::ptrdiff_t n) const {
    if (n > 0 && n <= left_) return;
    throw std::invalid_argument("barrier: " + std::to_string(n) + " arrivals while " + std::to_string(left_) +
                                " are expected");
}

void meeting::require_more() const {
    if (expected_ == 0) throw std::invalid_argument("barrier: drop, while nobody is expected any more");
}

void meeting::next_phase() noexcept {
    ++phase_;
    left_ = expected_;
    while (wait* first = waiting_.front()) complete(*first, cause::satisfied);
}

bool meeting::wait_by(std::int64_t deadline) const {
    wait w("barrier", this, gain::nothing);
    waiting_.push_back(w);
    return park(w, deadline) == cause::satisfied;
}

void throw_foreign_token() { throw std::invalid_argument("barrier: waited with the token of another barrier"); }

}  // namespace copse::detail
