/// Counters for leak checks in tests.
#pragma once

#include <cstddef>

namespace copse::debug {

/// Greenlets and fibers of this thread whose memory is still held, in whatever state; main and hub are not counted.
/// What a test made must be gone at its end.
std::size_t live_greenlets();

/// Stacks of this thread that are in use: those of suspended and parked greenlets, of the current one unless that is main,
/// and of the hub once it has called something back.
std::size_t live_stacks();

}  // namespace copse::debug
