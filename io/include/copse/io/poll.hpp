/// poll(2), parking the fiber where that blocks the thread.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <span>

#include <copse/io/detail/limit.hpp>

namespace copse::io {

namespace detail {
std::size_t poll_by(std::span<pollfd> fds, limit within);
}  // namespace detail

/// Waits until one of `fds` has what is asked of it, and says in each `revents` what it has: as poll(2), whose words these
/// are. So POLLERR, POLLHUP and POLLNVAL need not be asked for, negative numbers are passed over, what never blocks (a
/// regular file) is always ready, and a number may come several times.
///
///     pollfd fds[] = {{client.native_handle(), POLLIN, 0}, {timer.get(), POLLIN, 0}};
///     if (io::poll_for(fds, 1s) == 0) std::cout << "quiet\n";
///
/// Level-correct for every descriptor, whoever else reads it: the answer is the kernel's, asked for when nothing else runs
/// before the caller does. Any number of fibers may poll the same descriptor, besides those that wait for it otherwise; all
/// that get what they ask for wake, so that those who come later may find nothing left: use non-blocking calls.
///
/// The others have a turn first, also if something is ready: who does nothing but poll hinders nobody.
///
/// Parks:   until there is something; without descriptors until killed.
/// Returns: how many `revents` are not 0. A descriptor that is closed meanwhile has POLLNVAL. If it was closed by
///          socket::close, descriptor::close or notify_closing, that wakes the fiber, and its number, which may be somebody
///          else's by then, is not asked about again; a close by another thread is found out when something else wakes it.
/// Throws:  std::system_error: EINVAL for more descriptors than the process may have, ENOMEM or ENOSPC from epoll; whatever
///          a kill or a timeout scope throws.
/// After:   a kill: nobody waits, nothing was taken; `revents` is not specified.
/// Cost:    one poll; if it has to wait, one epoll_ctl for each descriptor, one allocation, and one more poll.
inline std::size_t poll(std::span<pollfd> fds) { return detail::poll_by(fds, {}); }

/// Returns: also 0, when `length` is over. 0: the others have one turn, then the answer.
template <class Rep, class Period>
std::size_t poll_for(std::span<pollfd> fds, std::chrono::duration<Rep, Period> length) {
    return detail::poll_by(fds, detail::limit::within(length));
}
template <class Clock, class Duration>
std::size_t poll_until(std::span<pollfd> fds, std::chrono::time_point<Clock, Duration> when) {
    return detail::poll_by(fds, detail::limit::until(when));
}

}  // namespace copse::io
