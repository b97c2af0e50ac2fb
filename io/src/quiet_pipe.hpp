// Writing to what may be a pipe, and sendfile, without anybody getting SIGPIPE. There is no flag for that before Linux 6.18
// (RWF_NOSIGNAL).
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cerrno>
#include <ctime>

namespace copse::io::detail {

/// Makes `write`, whose SIGPIPE, if it causes one, is for this thread: blocked meanwhile, and taken back. One that was
/// pending before stays so. A call that moves bytes on in several steps may have raised it and yet tell what it moved before,
/// if that is less than the `whole`.
template <class Write>
ssize_t without_sigpipe(Write&& write, ssize_t whole = 0) noexcept {
    sigset_t pipe;
    sigset_t before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
    const bool was_blocked = sigismember(&before, SIGPIPE) != 0;
    bool was_pending = false;
    if (was_blocked) {  // else it would have been delivered
        sigset_t pending;
        ::sigpending(&pending);
        was_pending = sigismember(&pending, SIGPIPE) != 0;
    }
    const ssize_t n = write();
    const int error = errno;
    const bool may_be_raised = n < 0 ? error == EPIPE : n < whole;
    if (may_be_raised && !was_pending) {
        const timespec at_once{};
        while (::sigtimedwait(&pipe, nullptr, &at_once) < 0 && errno == EINTR) {}
    }
    if (!was_blocked) ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = error;
    return n;
}

}  // namespace copse::io::detail
