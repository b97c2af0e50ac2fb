#include <copse/recursive_mutex.hpp>

#include <stdexcept>

namespace copse {

void recursive_timed_mutex::throw_too_deep() {
    throw std::overflow_error("recursive_mutex: locked " + std::to_string(maximum_depth) +
                              " times by its owner already");
}

}  // namespace copse
