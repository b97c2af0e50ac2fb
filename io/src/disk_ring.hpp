// The ring of a thread, as the rest of the room sees it. uring/disk_ring.cpp has it, uring/no_disk_ring.cpp has none.
#pragma once

#include <cstddef>
#include <memory>

#include "disk_call.hpp"

namespace copse::io::detail {

/// Whether the program wants rings, where they can be had.
bool rings_are_wanted() noexcept;

/// Whether this thread has one. Makes it, if the kernel allows it.
bool has_disk_ring() noexcept;

/// Parks:   until the ring has done it, unless it is done at once.
/// Returns: false if there is no ring, or it did not do all of it: see `done`.
/// Throws:  as carry_out().
bool disk_ring_does(const std::shared_ptr<disk_call>& call, limit& within, const char* operation, std::size_t before);

}  // namespace copse::io::detail
