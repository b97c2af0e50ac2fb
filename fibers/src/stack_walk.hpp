// Where a stack stands: its return addresses, and their names.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace copse::detail {

/// The return addresses of the calling stack, innermost first, its caller's included; how many there were room for.
/// Async-signal-safe from glibc 2.35 on, where the unwinder finds its tables without a lock; before, as safe as throwing.
std::size_t walk_stack(std::span<void*> room) noexcept;

/// In a signal handler: those of what was interrupted, without the handler's own. The first is one past the instruction that
/// was interrupted, so that all of them can be read as return addresses.
std::size_t walk_interrupted(std::span<void*> room) noexcept;

/// For instance "0x55d0c3 copse::yield()+0x1f (/usr/bin/program+0x10c3)". Functions have names if they are exported: link
/// with -rdynamic; for the others there is addr2line, which takes what stands in the brackets.
std::string name_of_address(void* return_address);

}  // namespace copse::detail
