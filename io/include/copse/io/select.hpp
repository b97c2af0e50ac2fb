/// select, in the shape of Python's and in that of select(2), parking the fiber where those block the thread.
#pragma once

#include <sys/select.h>

#include <chrono>
#include <cstddef>
#include <vector>

#include <copse/io/descriptor_number.hpp>
#include <copse/io/detail/limit.hpp>

namespace copse::io {

/// Which of the descriptors were ready, in the order in which they were asked about.
struct select_result {
    std::vector<int> readable;     ///< also at the end of the stream, hung up or in error
    std::vector<int> writable;     ///< also in error
    std::vector<int> exceptional;  ///< have urgent data

    /// Whether there is any.
    explicit operator bool() const noexcept { return !(readable.empty() && writable.empty() && exceptional.empty()); }
};

namespace detail {
select_result select_by(const descriptor_list& read, const descriptor_list& write, const descriptor_list& urgent,
                        limit within);
std::size_t select_by(int nfds, fd_set* read, fd_set* write, fd_set* urgent, limit within);
}  // namespace detail

/// Waits until a descriptor of `read` can be read, one of `write` written, or one of `urgent` has urgent data. There may be
/// as many as there are descriptors, with any numbers; one that comes twice is reported twice.
///
///     const auto ready = io::select({listener, client}, {client});
///     for (const int fd : ready.readable) …
///
/// All else is as for `poll`: level-correct, shared by any number of fibers, and the others have a turn first.
///
/// Parks:   until there is something; without descriptors until killed.
/// Returns: what is ready, at least one.
/// Throws:  std::invalid_argument for a negative number; std::system_error: EBADF, which names it, if one is no descriptor
///          or is closed meanwhile, else as poll; whatever a kill or a timeout scope throws.
/// After:   a kill: nobody waits, nothing was taken.
inline select_result select(const descriptor_list& read, const descriptor_list& write = {},
                            const descriptor_list& urgent = {}) {
    return detail::select_by(read, write, urgent, {});
}

/// Returns: also none, when `length` is over. 0: the others have one turn, then the answer.
template <class Rep, class Period>
select_result select_for(const descriptor_list& read, const descriptor_list& write, const descriptor_list& urgent,
                         std::chrono::duration<Rep, Period> length) {
    return detail::select_by(read, write, urgent, detail::limit::within(length));
}
template <class Clock, class Duration>
select_result select_until(const descriptor_list& read, const descriptor_list& write, const descriptor_list& urgent,
                           std::chrono::time_point<Clock, Duration> when) {
    return detail::select_by(read, write, urgent, detail::limit::until(when));
}

/// The same as select(2) has it: of the descriptors below `nfds`, those in the sets; a null pointer is an empty set. The
/// sets become what is ready.
/// Returns: how many members the sets have then.
/// Throws:  std::invalid_argument if `nfds` is negative or over FD_SETSIZE (1024), which no fd_set can hold.
/// After:   whatever is thrown: the sets are as they were.
inline std::size_t select(int nfds, fd_set* read, fd_set* write, fd_set* urgent) {
    return detail::select_by(nfds, read, write, urgent, {});
}

/// Returns: also 0, with empty sets, when `length` is over.
template <class Rep, class Period>
std::size_t select_for(int nfds, fd_set* read, fd_set* write, fd_set* urgent,
                       std::chrono::duration<Rep, Period> length) {
    return detail::select_by(nfds, read, write, urgent, detail::limit::within(length));
}
template <class Clock, class Duration>
std::size_t select_until(int nfds, fd_set* read, fd_set* write, fd_set* urgent,
                         std::chrono::time_point<Clock, Duration> when) {
    return detail::select_by(nfds, read, write, urgent, detail::limit::until(when));
}

}  // namespace copse::io
