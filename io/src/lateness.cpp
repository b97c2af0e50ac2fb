#include "lateness.hpp"

#include <copse/clock.hpp>

namespace copse::io::detail {

namespace {

constexpr unsigned attempts_a_look = 64;
constinit thread_local unsigned attempts_left [[gnu::tls_model("initial-exec")]] = attempts_a_look;

}  // namespace

bool is_late(limit& within) noexcept {
    if (--attempts_left != 0) [[likely]]
        return false;
    attempts_left = attempts_a_look;
    if (within.is_nothing()) return false;  // it asks for what is there
    const std::int64_t deadline = within.deadline();
    return deadline != copse::detail::never && clock::now().time_since_epoch().count() >= deadline;
}

}  // namespace copse::io::detail
