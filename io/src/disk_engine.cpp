// Which engine moves the bytes of files.
#include <atomic>

#include <copse/io/file.hpp>

#include "disk_ring.hpp"

namespace copse::io {

namespace {

constinit std::atomic<disk_engine> chosen{disk_engine::io_uring};

}  // namespace

bool detail::rings_are_wanted() noexcept { return chosen.load(std::memory_order_relaxed) == disk_engine::io_uring; }

void choose_file_engine(disk_engine wanted) noexcept { chosen.store(wanted, std::memory_order_relaxed); }

disk_engine file_engine() noexcept { return detail::has_disk_ring() ? disk_engine::io_uring : disk_engine::threads; }

}  // namespace copse::io
