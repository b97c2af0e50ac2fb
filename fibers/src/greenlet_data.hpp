// How a greenlet's own values begin and end with it.
#pragma once

#include <memory>

#include <copse/detail/greenlet_data.hpp>

namespace copse::detail {

/// What a fiber gets of its spawner's: null, or the inheritable values, shared.
std::unique_ptr<greenlet_data> inherited_data(const greenlet_data& of_spawner);

/// Out of line: ends all values of `c`, also those that the ending of others makes.
void end_all_data(core& c) noexcept;

inline void end_data(core& c) noexcept {
    if (c.data != nullptr) [[unlikely]]
        end_all_data(c);
}

}  // namespace copse::detail
