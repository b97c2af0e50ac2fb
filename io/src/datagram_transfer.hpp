// transfer() for what sends datagrams.
#pragma once

#include <algorithm>
#include <cstdint>

#include <copse/fiber.hpp>

#include "transfer.hpp"

namespace copse::io::detail {

/// Makes `call` again and again until it succeeds, sleeping in between. For Unix datagrams to an address: a receiver whose queue is
/// full says EAGAIN, our own descriptor stays writable all the time, and no event tells when there is room.
template <class Call>
ssize_t transfer_by_asking(entry& e, limit& within, const char* operation, Call&& call) {
    copse::detail::attend();
    if (!home.now->spend(e)) std::rethrow_exception(closed_meanwhile(operation, e.fd, EBADF));
    if (is_late(within)) return out_of_time;
    constexpr std::int64_t first = 1'000'000;
    constexpr unsigned most_doublings = 4;
    const std::uint32_t generation = e.generation;
    for (unsigned attempt = 0;; ++attempt) {
        const ssize_t n = try_transfer(e, direction::out, call);
        const bool full = n < 0 && (is_again(errno) || errno == ENOBUFS || errno == ENOMEM);
        if (!full || within.is_at_once()) return n;
        const std::int64_t next = copse::detail::deadline_in(first << std::min(attempt, most_doublings));
        const std::int64_t last = within.deadline();
        copse::detail::sleep_by(std::min(next, last));
        if (e.generation != generation) std::rethrow_exception(closed_meanwhile(operation, e.fd, EBADF));
        if (next >= last) return out_of_time;
    }
}

template <class Call>
ssize_t transfer_datagrams(entry& e, const endpoint& there, limit& within, const char* operation, Call&& call) {
    if (there.family() == AF_UNIX) return transfer_by_asking(e, within, operation, call);
    return transfer(e, direction::out, within, operation, call);
}

/// As fail_outcome(), for what was sent to `there`.
[[noreturn]] inline void fail_sending(ssize_t outcome, const char* operation, const entry& e, const endpoint& there) {
    if (there.empty()) fail_outcome(outcome, operation, e, direction::out);
    const int error = errno;
    if (outcome == out_of_time) fail_timed_out(operation, e.fd, there);
    fail(error, operation, e, there);
}

}  // namespace copse::io::detail
