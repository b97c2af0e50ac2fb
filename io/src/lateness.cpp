#include "lateness.hpp"

#include <copse/clock.hpp>

namespace copse::io::detail {

namespace {

// Odd, and prime: in a row in which operations with and without a limit take turns each comes to be looked at.
constexpr unsigned attempts_a_look = 61;
constexpr std::int64_t a_while = 1'000'000;
constinit thread_local unsigned attempts_left [[gnu::tls_model("initial-exec")]] = attempts_a_look;

}  // namespace

bool is_late(limit& within) noexcept {
    if (--attempts_left != 0) [[likely]]
        return false;
    attempts_left = attempts_a_look;
    if (within.is_nothing()) return false;
    const std::int64_t deadline = within.deadline();
    if (deadline == copse::detail::never || deadline <= copse::detail::after_one_turn) return false;
    return clock::now().time_since_epoch().count() - deadline >= a_while;
}

}  // namespace copse::io::detail
