// Waiting for the end of one fiber, or of several.
#pragma once

#include <copse/detail/fiber_core.hpp>

namespace copse::detail {

/// Parks until `f` has finished. Returns whether it has.
bool join(fiber_core& f, std::int64_t deadline);

}  // namespace copse::detail
