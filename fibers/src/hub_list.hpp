// Every hub of the process, for who must reach them all.
#pragma once

namespace copse::detail {

struct hub_core;

/// Throws:  std::bad_alloc.
void enlist_hub(hub_core& hub);
void strike_off_hub(hub_core& hub) noexcept;

/// Calls `visit` for each. None of them ends meanwhile, and none is made: `visit` must do neither, nor wait for one.
void for_each_hub(void (*visit)(hub_core& hub, void* with), void* with);

}  // namespace copse::detail
