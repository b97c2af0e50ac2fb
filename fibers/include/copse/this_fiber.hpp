/// The fiber that runs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <copse/greenlet.hpp>

namespace copse {

/// On a greenlet that is no fiber these speak of that greenlet.
namespace this_fiber {
inline const greenlet& get() { return greenlet::current(); }
inline std::uint64_t id() { return greenlet::current().id(); }
inline std::string name() { return greenlet::current().name(); }
inline void set_name(std::string_view name) { greenlet::current().set_name(name); }
}  // namespace this_fiber

}  // namespace copse
