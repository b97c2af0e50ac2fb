// The one loop around every system call that may have to wait; it alone knows EAGAIN and EINTR.
#pragma once

#include <sys/types.h>

#include <cerrno>

#include <copse/detail/wait.hpp>

#include "failure.hpp"
#include "lateness.hpp"
#include "reactor.hpp"

namespace copse::io::detail {

/// What transfer() returns when there is no count: the call failed, and errno says why; or the time was over.
inline constexpr ssize_t failed = -1;
inline constexpr ssize_t out_of_time = -2;

constexpr bool is_again(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

/// Makes `call` as soon as it is worth making, until it neither has to wait nor was interrupted.
/// `e` is an owned entry of this thread. Afterwards the socket object that was asked may be gone, if others ran: use `e`.
/// Throws: what is pending, EBADF if the socket is closed meanwhile, concurrent_use.
template <class Call>
ssize_t transfer(entry& e, direction d, limit& within, const char* operation, Call&& call) {
    copse::detail::attend();  // step 1
    reactor& r = *home.now;
    if (!r.spend(e)) [[unlikely]]
        std::rethrow_exception(closed_meanwhile(operation, e.fd, EBADF));  // step 2
    if (is_late(within)) [[unlikely]]
        return out_of_time;
    unsigned pauses = 0;
    for (;;) {
        if (e.remembers(d) || within.is_at_once()) {
            const ssize_t n = call();  // step 8, and often the first
            if (n >= 0) [[likely]]
                return n;
            const int error = errno;
            if (error == EINTR) continue;
            if (!is_again(error)) {
                const bool starved = d == direction::out && (error == ENOBUFS || error == ENOMEM);
                if (starved && !within.is_at_once() && r.pause(e, within, pauses++, operation)) continue;
                errno = error;
                return failed;
            }
            e.forget(d);
            if (within.is_at_once()) {
                errno = error;
                return failed;
            }
        }
        if (!r.await(e, d, within, operation)) return out_of_time;  // steps 3 to 7
    }
}

/// The same for what never waits: one attempt. Not a kill point; may be used in the hub.
template <class Call>
ssize_t try_transfer(entry& e, direction d, Call&& call) {
    for (;;) {
        const ssize_t n = call();
        if (n >= 0) return n;
        if (errno == EINTR) continue;
        if (is_again(errno)) e.forget(d);
        return failed;
    }
}

/// Throws what a transfer without a count means, `moved` bytes having been moved before it.
[[noreturn]] inline void fail_outcome(ssize_t outcome, const char* operation, const entry& e, direction d,
                                      std::size_t moved = 0) {
    const int error = errno;
    if (outcome == out_of_time) fail_timed_out(operation, e, d, moved);
    if (moved == 0) fail(error, operation, e, d);
    fail_transfer(error, operation, e, d, moved);
}

}  // namespace copse::io::detail
