// How the scopes that may interrupt a greenlet hang on it.
#pragma once

#include <copse/detail/wait.hpp>

namespace copse::detail {

/// In the current greenlet's scopes from now on: when that ends first, `of` is set to null.
void hang_on_current(time_limit& scope) noexcept;

/// Takes back what has not been thrown, and leaves the greenlet's scopes.
void take_off(time_limit& scope) noexcept;

}  // namespace copse::detail
