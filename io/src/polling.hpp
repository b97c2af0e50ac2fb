// The one loop around poll(2), under poll and select.
#pragma once

#include <poll.h>

#include <cstddef>
#include <span>

#include <copse/io/detail/limit.hpp>

namespace copse::io::detail {

/// As io::poll; `operation` is for messages. `within` keeps its end from call to call.
std::size_t poll_within(std::span<pollfd> fds, limit& within, const char* operation);

}  // namespace copse::io::detail
