#include <copse/condition_variable.hpp>

#include <copse/error.hpp>

namespace copse::detail {

void require_held(const std::unique_lock<mutex>& lock) {
    if (!lock.owns_lock() || !lock.mutex()->owned())
        throw not_owner("condition_variable: wait without holding the lock");
}

}  // namespace copse::detail
