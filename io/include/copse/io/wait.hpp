/// Waiting for descriptors given by number.
///
/// These are for descriptors that are no copse::io::socket: a pipe, a timerfd, a library's socket. Whoever else reads or
/// writes them does not matter: each wait asks the kernel anew. Sockets of this library need none of this.
#pragma once

#include <chrono>

#include <copse/io/detail/limit.hpp>

namespace copse::io {

/// How many fibers may wait for one direction of one descriptor.
enum class sharing : bool {
    one,   ///< a second one gets concurrent_use
    many,  ///< any number; each event wakes the one that has waited longest
};

namespace detail {
void wait_readable_by(int fd, limit within, sharing who);
void wait_writable_by(int fd, limit within, sharing who);
}  // namespace detail

/// Waits until `fd` can be read without blocking.
/// Parks:   yes; not for what epoll refuses because it never blocks, such as regular files and /dev/null.
/// Returns: when readable, hung up or in error; may return early: retry the call.
/// Throws:  concurrent_use if a reader already waits and either of the two did not say sharing::many, or the descriptor is a
///          copse::io::socket's; std::system_error: EBADF if it is no descriptor, or is closed meanwhile (see
///          notify_closing), ENOMEM or ENOSPC from epoll; greenlet_exit when this fiber is killed. `fd` stays usable after
///          all of them.
/// After:   nobody waits. Epoll may still know the descriptor, disarmed, until it is closed.
/// Cost:    one epoll_ctl; for the descriptor of a copse::io::socket one poll instead.
inline void wait_readable(int fd, sharing who = sharing::one) { detail::wait_readable_by(fd, {}, who); }

/// Throws:  also timed_out when `length` is over. 0: the others have one turn, then the answer.
template <class Rep, class Period>
void wait_readable_for(int fd, std::chrono::duration<Rep, Period> length, sharing who = sharing::one) {
    detail::wait_readable_by(fd, detail::limit::within(length), who);
}
template <class Clock, class Duration>
void wait_readable_until(int fd, std::chrono::time_point<Clock, Duration> when, sharing who = sharing::one) {
    detail::wait_readable_by(fd, detail::limit::until(when), who);
}

/// The same for writing.
inline void wait_writable(int fd, sharing who = sharing::one) { detail::wait_writable_by(fd, {}, who); }
template <class Rep, class Period>
void wait_writable_for(int fd, std::chrono::duration<Rep, Period> length, sharing who = sharing::one) {
    detail::wait_writable_by(fd, detail::limit::within(length), who);
}
template <class Clock, class Duration>
void wait_writable_until(int fd, std::chrono::time_point<Clock, Duration> when, sharing who = sharing::one) {
    detail::wait_writable_by(fd, detail::limit::until(when), who);
}

/// To be called before a descriptor that fibers of this thread may wait for is closed, replaced by dup2, or given away. Its
/// waiters throw std::system_error(EBADF); epoll forgets it, even if duplicates live on; events that are still under way
/// are dropped, so that no later owner of the number is disturbed. Closing a copse::io::socket does this by itself. A
/// number that nobody waited for is none of its business.
void notify_closing(int fd) noexcept;

}  // namespace copse::io
