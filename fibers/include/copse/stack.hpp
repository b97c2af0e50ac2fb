#pragma once

/// Stacks of greenlets: their sizes, what guards them, and what they cost.
///
/// Unless a line says otherwise a function does not park, concerns the calling thread only, gives the basic guarantee and
/// keeps no reference to its arguments.
///
/// A stack is address space until it is touched: 256 KiB of it cost a page of memory for as long as a greenlet stays
/// shallow. Below each stack lies a guard zone; overflowing into it ends the process with a message that names the greenlet.
/// A size asked for is rounded up to the next of 16, 20, 24, 28, 32, 40, 48, 56, 64, 80 KiB … 1 GiB (four steps a doubling),
/// so that few stacks of the wrong size lie about. The guard zone comes on top: 64 KiB, or 16 KiB below stacks smaller than
/// 64 KiB. Up to 1,792 bytes at the top of a stack stay unused: they spread the stacks over the sets of the cache.

#include <cstddef>
#include <cstdint>

namespace copse {

/// What a greenlet gets that does not say how much it needs.
inline constexpr std::size_t default_stack_size = std::size_t{256} * 1024;

/// Less than this is rounded up to it.
inline constexpr std::size_t minimum_stack_size = std::size_t{16} * 1024;

/// More than this is refused with `std::invalid_argument`.
inline constexpr std::size_t maximum_stack_size = std::size_t{1} << 30;

/// How overflow is stopped. Chosen once a process, by trying, in this order.
enum class guard_kind : std::uint8_t {
    install,   ///< `MADV_GUARD_INSTALL` (Linux 6.13): as many guarded stacks as memory holds
    mprotect,  ///< older kernels: two mappings a stack, so about 32,700 stacks under the default `vm.max_map_count`
    none,  ///< that limit was met: stacks made from then on have no guard (said once on stderr, counted in `unguarded`)
};

/// One thread's stacks, counted at one moment.
struct stack_stats {
    std::size_t live{};            ///< in use by greenlets
    std::size_t free{};            ///< kept for reuse, the last one given back first
    std::size_t peak{};            ///< the most that were ever in use at once
    std::size_t abandoned{};       ///< lost for good: their greenlets survived being killed
    std::size_t unguarded{};       ///< of those in use, free or abandoned: without a guard zone that holds
    std::size_t slabs{};           ///< mappings that hold the stacks
    std::size_t reserved_bytes{};  ///< address space of those mappings, most of it never touched
    guard_kind guard{};            ///< how stacks made from now on are guarded, process-wide
};

/// Counts the calling thread's stacks.
/// Cost:    O(1); no system call.
stack_stats stack_statistics();

/// Gives the memory of this thread's free stacks back to the kernel. Worth it after a burst: a free stack keeps what it
/// touched, so that its next user does not pay for it again.
/// Cost:    a system call for each mapping whose stacks are all free, and for each free stack in the others.
void trim_stacks();

}  // namespace copse
