// Stands in for cares_engine.cpp where copse is built without c-ares.
#include <stdexcept>

#include "lookup.hpp"

namespace copse::io::detail {

std::unique_ptr<lookup_engine> make_cares_engine(const resolver_options& /*with*/) {
    throw std::invalid_argument("resolver: copse was built without c-ares (CMake option COPSE_CARES)");
}

}  // namespace copse::io::detail
