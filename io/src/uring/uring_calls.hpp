// What is asked of io_uring, through one table: the seam at which tests make it refuse, wait or fail. See system_calls.hpp.
#pragma once

#include <liburing.h>

#include "disk_call.hpp"

namespace copse::io::detail {

struct uring_calls {
    int (*setup)(unsigned entries, io_uring* ring, io_uring_params* with);
    io_uring_sqe* (*next_sqe)(io_uring* ring, disk_call::kind what);
    int (*submit)(io_uring* ring);
    int (*result)(int told, disk_call::kind what);
};

extern constinit uring_calls uring;

/// The kernel itself.
extern const uring_calls real_uring_calls;

}  // namespace copse::io::detail
