// Errors that know whose they are.
#pragma once

#include <utility>

#include "failure.hpp"

namespace copse::io::detail {

/// An Error, and has_origin.
template <class Error>
struct with_origin final : Error, has_origin {
    template <class... Args>
    explicit with_origin(const origin& of, Args&&... args) : Error(std::forward<Args>(args)...), has_origin(of) {}
};

}  // namespace copse::io::detail
