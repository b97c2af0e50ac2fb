#pragma once

/// Which slabs of stacks there are, in all threads: what the overflow report needs to know of an address.
///
/// Lock-free, so that a signal handler may read it at any moment and a fork cannot leave it locked.

#include <cstddef>

namespace copse::detail {

struct stack_slab;
struct slab_entry;

/// A line of the table for a slab of the caller's, not visible yet. Null for want of memory.
slab_entry* claim_slab_entry() noexcept;

/// Makes `slab`, whose `bytes` are set, visible under its line.
void publish(slab_entry& entry, const stack_slab& slab) noexcept;

/// Takes the line's slab, if any, out of the table. To be called before the slab is unmapped.
void withdraw(slab_entry& entry) noexcept;

/// The slab that `address` lies in, else null. Async-signal-safe.
/// Cost:    O(slabs of the process).
const stack_slab* find_slab(const std::byte* address) noexcept;

}  // namespace copse::detail
