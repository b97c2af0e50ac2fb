#include "system_calls.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace copse::io::detail {

namespace {

int set_nonblocking(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_NONBLOCK) != 0) return flags < 0 ? -1 : 0;
    return ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int spare_descriptor() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

// glibc declares some parameters as transparent unions or with attributes: plain functions of one shape each.
int bind(int fd, const sockaddr* here, socklen_t size) { return ::bind(fd, here, size); }
int accept4(int fd, sockaddr* from, socklen_t* size, int flags) { return ::accept4(fd, from, size, flags); }
int connect(int fd, const sockaddr* there, socklen_t size) { return ::connect(fd, there, size); }
int getsockname(int fd, sockaddr* address, socklen_t* size) { return ::getsockname(fd, address, size); }
int getpeername(int fd, sockaddr* address, socklen_t* size) { return ::getpeername(fd, address, size); }
ssize_t recvfrom(int fd, void* into, std::size_t size, int flags, sockaddr* from, socklen_t* from_size) {
    return ::recvfrom(fd, into, size, flags, from, from_size);
}
ssize_t sendto(int fd, const void* from, std::size_t size, int flags, const sockaddr* there, socklen_t there_size) {
    return ::sendto(fd, from, size, flags, there, there_size);
}
int recvmmsg(int fd, mmsghdr* messages, unsigned n, int flags) { return ::recvmmsg(fd, messages, n, flags, nullptr); }

// By number: glibc has them from 2.36 on.
int pidfd_open(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }
int pidfd_send_signal(int pidfd, int signal) {
    return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}
int wait_pidfd(int pidfd, siginfo_t* info, int options) {
    constexpr auto by_pidfd = static_cast<idtype_t>(3);  // P_PIDFD
    return ::waitid(by_pidfd, static_cast<id_t>(pidfd), info, options);
}

int wait_for_any(pollfd* fds, nfds_t n, int timeout) { return ::poll(fds, n, timeout); }

constexpr system_calls kernel{
    .socket = ::socket,
    .socketpair = ::socketpair,
    .bind = bind,
    .listen = ::listen,
    .accept4 = accept4,
    .connect = connect,
    .recv = ::recv,
    .send = ::send,
    .recvfrom = recvfrom,
    .sendto = sendto,
    .recvmsg = ::recvmsg,
    .sendmsg = ::sendmsg,
    .recvmmsg = recvmmsg,
    .sendmmsg = ::sendmmsg,
    .sendfile = ::sendfile,
    .pread = ::pread,
    .pwrite = ::pwrite,
    .fsync = ::fsync,
    .shutdown = ::shutdown,
    .close = ::close,
    .getsockopt = ::getsockopt,
    .setsockopt = ::setsockopt,
    .getsockname = getsockname,
    .getpeername = getpeername,
    .set_nonblocking = set_nonblocking,
    .spare_descriptor = spare_descriptor,
    .poll = wait_for_any,
    .eventfd = ::eventfd,
    .read = ::read,
    .write = ::write,
    .getaddrinfo = ::getaddrinfo,
    .freeaddrinfo = ::freeaddrinfo,
    .getnameinfo = ::getnameinfo,
    .pipe2 = ::pipe2,
    .pidfd_open = pidfd_open,
    .pidfd_send_signal = pidfd_send_signal,
    .wait_pidfd = wait_pidfd,
    .epoll_create1 = ::epoll_create1,
    .epoll_ctl = ::epoll_ctl,
    .epoll_wait = ::epoll_wait,
    .epoll_pwait2 = ::epoll_pwait2,
    .truthful = true,
};

}  // namespace

constinit system_calls sys = kernel;
constexpr system_calls real_system_calls = kernel;

}  // namespace copse::io::detail
