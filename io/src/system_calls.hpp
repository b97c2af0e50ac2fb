// The system calls of this room, through one table: the seam at which tests inject faults, and later a simulator.
// Nothing in room 2 calls the kernel about a descriptor otherwise. Tests replace entries while no fiber is inside one.
#pragma once

#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include <cstddef>
#include <cstdint>

struct epoll_event;
struct mmsghdr;

namespace copse::io::detail {

struct system_calls {
    int (*socket)(int family, int type, int protocol);
    int (*socketpair)(int family, int type, int protocol, int* both);
    int (*bind)(int fd, const sockaddr* here, socklen_t size);
    int (*listen)(int fd, int backlog);
    int (*accept4)(int fd, sockaddr* from, socklen_t* size, int flags);
    int (*connect)(int fd, const sockaddr* there, socklen_t size);
    ssize_t (*recv)(int fd, void* into, std::size_t size, int flags);
    ssize_t (*send)(int fd, const void* from, std::size_t size, int flags);
    ssize_t (*recvfrom)(int fd, void* into, std::size_t size, int flags, sockaddr* from, socklen_t* from_size);
    ssize_t (*sendto)(int fd, const void* from, std::size_t size, int flags, const sockaddr* there,
                      socklen_t there_size);
    ssize_t (*recvmsg)(int fd, msghdr* message, int flags);
    ssize_t (*sendmsg)(int fd, const msghdr* message, int flags);
    int (*recvmmsg)(int fd, mmsghdr* messages, unsigned n, int flags);
    int (*sendmmsg)(int fd, mmsghdr* messages, unsigned n, int flags);
    ssize_t (*sendfile)(int to, int from, off_t* offset, std::size_t size);
    ssize_t (*pread)(int fd, void* into, std::size_t size, off_t offset);
    ssize_t (*pwrite)(int fd, const void* from, std::size_t size, off_t offset);
    int (*fsync)(int fd);
    int (*shutdown)(int fd, int how);
    int (*close)(int fd);
    int (*getsockopt)(int fd, int level, int name, void* value, socklen_t* size);
    int (*setsockopt)(int fd, int level, int name, const void* value, socklen_t size);
    int (*getsockname)(int fd, sockaddr* address, socklen_t* size);
    int (*getpeername)(int fd, sockaddr* address, socklen_t* size);
    int (*set_nonblocking)(int fd);
    int (*spare_descriptor)();  // opens something that does no harm
    int (*poll)(pollfd* fds, nfds_t n, int timeout);
    int (*eventfd)(unsigned initial, int flags);
    ssize_t (*read)(int fd, void* into, std::size_t size);
    ssize_t (*write)(int fd, const void* from, std::size_t size);
    int (*getaddrinfo)(const char* host, const char* service, const addrinfo* wanted, addrinfo** found);
    void (*freeaddrinfo)(addrinfo* found);
    int (*getnameinfo)(const sockaddr* address, socklen_t size, char* host, socklen_t host_size, char* service,
                       socklen_t service_size, int flags);
    int (*pipe2)(int* both, int flags);
    int (*pidfd_open)(pid_t pid);
    int (*pidfd_send_signal)(int pidfd, int signal);
    int (*wait_pidfd)(int pidfd, siginfo_t* info, int options);  // waitid
    int (*epoll_create1)(int flags);
    int (*epoll_ctl)(int epoll, int op, int fd, epoll_event* event);
    int (*epoll_wait)(int epoll, epoll_event* events, int n, int timeout);
    int (*epoll_pwait2)(int epoll, epoll_event* events, int n, const timespec* timeout, const sigset_t* mask);

    /// The calls behave as the kernel does: a short count on TCP means that there is no more, EAGAIN that an event will tell
    /// when there is. An injector that makes up either says so, and then neither is believed.
    bool truthful;
};

extern constinit system_calls sys;

/// The kernel itself.
extern const system_calls real_system_calls;

}  // namespace copse::io::detail
