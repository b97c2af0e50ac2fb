#include "uring_calls.hpp"

namespace copse::io::detail {

namespace {

io_uring_sqe* next_sqe(io_uring* ring, disk_call::kind /*what*/) { return ::io_uring_get_sqe(ring); }
int result(int told, disk_call::kind /*what*/) { return told; }

constexpr uring_calls kernel{
    .setup = ::io_uring_queue_init_params,
    .next_sqe = next_sqe,
    .submit = ::io_uring_submit,
    .result = result,
};

}  // namespace

constinit uring_calls uring = kernel;
constexpr uring_calls real_uring_calls = kernel;

}  // namespace copse::io::detail
