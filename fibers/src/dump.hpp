// What the fibers of a hub do, for people.
#pragma once

#include <string>

#include <copse/hub.hpp>

namespace copse::detail {

struct hub_core;

/// What hub::dump prints. On the hub's thread.
std::string describe_fibers(hub_core& hub, const dump_options& with);

/// Why nothing can go on: the rings first, then all of them.
std::string describe_deadlock(hub_core& hub);

}  // namespace copse::detail
