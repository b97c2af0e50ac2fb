// One piece of work for the disk, whoever does it: a thread, or the kernel by a ring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <copse/detail/wait.hpp>
#include <copse/io/detail/limit.hpp>

#include "open_file.hpp"

namespace copse::io::detail {

/// Shared by its fiber and by who does it. The bytes and a share of the file are its own: the fiber may leave at any time.
struct disk_call : copse::detail::wait_link {
    enum class kind : std::uint8_t { read, write, sync };

    /// Reading. Up to the end of the file.
    disk_call(std::shared_ptr<open_file> from, std::uint64_t at, std::size_t n);
    /// Writing.
    disk_call(std::shared_ptr<open_file> to, std::uint64_t at, std::span<const std::byte> from);
    /// Waiting for the disk to have it.
    explicit disk_call(std::shared_ptr<open_file> of) noexcept;

    /// Does what is left of it, here: blocks.
    void run() noexcept;

    const kind what;
    const std::shared_ptr<open_file> file;
    const std::uint64_t offset = 0;
    const std::size_t size = 0;
    const std::unique_ptr<std::byte[]> bytes;
    moved done;

    // Of the ring. It hangs there as long as `held` is set.
    std::shared_ptr<disk_call> held{};      // itself: the kernel knows where its bytes are, or will
    copse::detail::wait* waiter = nullptr;  // its fiber's, as long as that waits
    bool begun = false;                     // it does not stand in line any more
    bool refused = false;                   // threads are to do what is left
};

/// Has it done: by this thread's ring, or by threads what the ring does not do.
/// Throws:  timed_out, which tells that `before` bytes were moved by others before it; what is pending.
/// After:   an exception: it goes on without the fiber, if it has begun.
void carry_out(const std::shared_ptr<disk_call>& call, limit& within, const char* operation, std::size_t before = 0);

}  // namespace copse::io::detail
