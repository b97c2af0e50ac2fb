#pragma once

/// Putting the kernel back in its place. Include in unit tests only: it sees io/src.

#include "system_calls.hpp"

#include <cstddef>
#include <cstring>
#include <type_traits>

namespace copse_test {

/// Writes to those entries alone that a test has replaced: threads of pools may be reading the others just now.
inline void put_back_system_calls() noexcept {
    using table = copse::io::detail::system_calls;
    static_assert(std::is_trivially_copyable_v<table> && sizeof(table) % sizeof(void*) == 0, "it is made of words");
    auto* now = reinterpret_cast<std::byte*>(&copse::io::detail::sys);
    const auto* real = reinterpret_cast<const std::byte*>(&copse::io::detail::real_system_calls);
    for (std::size_t at = 0; at != sizeof(table); at += sizeof(void*)) {
        if (std::memcmp(now + at, real + at, sizeof(void*)) != 0) std::memcpy(now + at, real + at, sizeof(void*));
    }
}

}  // namespace copse_test
