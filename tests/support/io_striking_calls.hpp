#pragma once

/// The kernel, but that the n-th of its calls fails, with an error that it may have. Include in unit tests only: it sees io/src.

#include "io_system_calls.hpp"
#include "system_calls.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace copse_test {

/// What is struck, and what was called. One thread's at a time.
struct strike_plan {
    static constexpr std::size_t never = static_cast<std::size_t>(-1);

    std::size_t at = never;   // which call, counted from 0
    std::size_t variant = 0;  // which of its errors
    std::vector<const char*> called{};
    std::string struck{};  // the call and its error

    /// The error of this call; 0: none.
    int next(const char* name, const std::vector<int>& errors) {
        called.push_back(name);
        if (called.size() - 1 != at || errors.empty()) return 0;
        const int error = errors[variant % errors.size()];
        struck = std::string(name) + " (call " + std::to_string(at) + "), errno " + std::to_string(error);
        return error;
    }
};

inline strike_plan* strikes = nullptr;

namespace detail {

using io_calls = copse::io::detail::system_calls;

/// Whether a call that is told to have failed was made.
enum class strike_kind { instead, after };

template <auto Member>
struct striking;

template <class R, class... A, R (*io_calls::*Member)(A...)>
struct striking<Member> {
    static inline const char* name = "";
    static inline std::vector<int> errors{};
    static inline strike_kind kind = strike_kind::instead;

    static R call(A... arguments) {
        const int error = strikes != nullptr ? strikes->next(name, errors) : 0;
        if (error == 0) return (copse::io::detail::real_system_calls.*Member)(arguments...);
        if (error == ECONNRESET || error == EPIPE || error == ETIMEDOUT) break_connection(arguments...);
        if (kind == strike_kind::after) (copse::io::detail::real_system_calls.*Member)(arguments...);
        errno = error;
        return static_cast<R>(-1);
    }

    static void break_connection() {}
    /// A connection that has been reset stays so.
    template <class First, class... Rest>
    static void break_connection(First fd, Rest...) {
        if constexpr (std::is_same_v<First, int>) {
            if (kind == strike_kind::instead) ::shutdown(fd, SHUT_RDWR);
        }
    }

    static void install(const char* call_name, std::vector<int> its_errors, strike_kind how = strike_kind::instead) {
        name = call_name;
        errors = std::move(its_errors);
        kind = how;
        copse::io::detail::sys.*Member = call;
    }
};

}  // namespace detail

/// Every call may be struck while it lives.
class striking_calls {
public:
    striking_calls() {
        using detail::strike_kind;
        using c = detail::io_calls;
        detail::striking<&c::socket>::install("socket", {EMFILE, ENFILE, ENOBUFS, EAFNOSUPPORT});
        detail::striking<&c::socketpair>::install("socketpair", {EMFILE, ENFILE});
        detail::striking<&c::bind>::install("bind", {EADDRINUSE, EACCES, ENOMEM});
        detail::striking<&c::listen>::install("listen", {EADDRINUSE});
        detail::striking<&c::accept4>::install("accept4",
                                               {EINTR, EAGAIN, ECONNABORTED, EMFILE, ENFILE, ENOBUFS, EPERM});
        detail::striking<&c::connect>::install("connect",
                                               {ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, ETIMEDOUT, EAGAIN});
        const std::vector<int> receiving{EINTR, EAGAIN, ECONNRESET, ENOMEM, ETIMEDOUT};
        const std::vector<int> sending{EINTR, EAGAIN, ECONNRESET, EPIPE, ENOBUFS, ENOMEM};
        detail::striking<&c::recv>::install("recv", receiving);
        detail::striking<&c::recvfrom>::install("recvfrom", receiving);
        detail::striking<&c::recvmsg>::install("recvmsg", receiving);
        detail::striking<&c::recvmmsg>::install("recvmmsg", receiving);
        detail::striking<&c::send>::install("send", sending);
        detail::striking<&c::sendto>::install("sendto", sending);
        detail::striking<&c::sendmsg>::install("sendmsg", sending);
        detail::striking<&c::sendmmsg>::install("sendmmsg", sending);
        detail::striking<&c::sendfile>::install("sendfile", {EINTR, EAGAIN, EIO, EPIPE, EINVAL});
        detail::striking<&c::pread>::install("pread", {EINTR, EIO});
        detail::striking<&c::shutdown>::install("shutdown", {ENOTCONN});
        detail::striking<&c::close>::install("close", {EINTR, EIO}, strike_kind::after);
        detail::striking<&c::getsockopt>::install("getsockopt", {ENOBUFS});
        detail::striking<&c::setsockopt>::install("setsockopt", {ENOBUFS, ENOPROTOOPT});
        detail::striking<&c::getsockname>::install("getsockname", {ENOBUFS});
        detail::striking<&c::getpeername>::install("getpeername", {ENOTCONN, ENOBUFS});
        detail::striking<&c::set_nonblocking>::install("set_nonblocking", {EBADF});
        detail::striking<&c::spare_descriptor>::install("spare_descriptor", {EMFILE});
        detail::striking<&c::poll>::install("poll", {EINTR, ENOMEM});
        detail::striking<&c::eventfd>::install("eventfd", {EMFILE, ENFILE, ENOMEM});
        detail::striking<&c::read>::install("read", {EINTR, EAGAIN, EIO});
        detail::striking<&c::write>::install("write", {EINTR, EAGAIN, EIO, EPIPE});
        detail::striking<&c::pipe2>::install("pipe2", {EMFILE, ENFILE});
        detail::striking<&c::pidfd_open>::install("pidfd_open", {EMFILE, ENFILE, ENOMEM});
        detail::striking<&c::pidfd_send_signal>::install("pidfd_send_signal", {EPERM});
        detail::striking<&c::wait_pidfd>::install("waitid", {EINTR});
        detail::striking<&c::epoll_create1>::install("epoll_create1", {EMFILE, ENFILE, ENOMEM});
        detail::striking<&c::epoll_ctl>::install("epoll_ctl", {ENOMEM, ENOSPC});
        detail::striking<&c::epoll_wait>::install("epoll_wait", {EINTR});
        detail::striking<&c::epoll_pwait2>::install("epoll_pwait2", {EINTR});
        copse::io::detail::sys.truthful = false;
    }
    striking_calls(const striking_calls&) = delete;
    striking_calls& operator=(const striking_calls&) = delete;
    ~striking_calls() { put_back_system_calls(); }
};

}  // namespace copse_test
