// Making connections: one address, or all that a name has.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include <copse/fiber.hpp>
#include <copse/io/socket.hpp>

#include "socket_access.hpp"
#include "system_calls.hpp"
#include "transfer.hpp"

namespace copse::io {

namespace {

using detail::direction;
using detail::entry;
using detail::sys;

[[noreturn]] void fail_connect(int error, const entry& e, const endpoint& there) {
    detail::fail(error, "connect", e, there);
}

[[noreturn]] void fail_late(const entry& e, const endpoint& there) {
    const std::string text = detail::describe("connect", e.fd, there) + ", its time is over";
    throw timed_out(std::make_error_code(std::errc::timed_out), text, 0);
}

endpoint local_of(const entry& e) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (sys.getsockname(e.fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
    return endpoint::from_native(reinterpret_cast<const sockaddr*>(&address), size);
}

/// Empty while it is not connected.
endpoint peer_of(const entry& e) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (sys.getpeername(e.fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
    return endpoint::from_native(reinterpret_cast<const sockaddr*>(&address), size);
}

bool is_wildcard(const endpoint& there) {
    const int family = there.family();
    return (family == AF_INET || family == AF_INET6) && there == endpoint::any(there.port(), family);
}

/// 0 while nothing has gone wrong, connected or not.
int connect_error(const entry& e) noexcept {
    int error = 0;
    socklen_t size = sizeof error;
    return sys.getsockopt(e.fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

/// Parks until a connect that is under way has succeeded.
void finish_connect(entry& e, const endpoint& there, detail::limit& within) {
    if (within.is_at_once()) fail_connect(EINPROGRESS, e, there);
    e.ready = 0;
    e.ended = false;
    for (;;) {
        if (!detail::home.now->await(e, direction::out, within, "connect")) fail_late(e, there);
        if (const int error = connect_error(e); error != 0) fail_connect(error, e, there);
        // Asked once more, the kernel says how far it is, and takes the socket for connected from then on.
        int result = 0;
        do {
            result = sys.connect(e.fd, there.native(), there.native_size());
        } while (result != 0 && errno == EINTR);
        if (result == 0 || errno == EISCONN) return;
        if (errno != EALREADY && errno != EINPROGRESS) fail_connect(errno, e, there);
        e.forget(direction::out);
    }
}

/// A Unix listener whose backlog is full says EAGAIN, and no event tells when there is room.
void wait_for_backlog(entry& e, const endpoint& there, detail::limit& within, unsigned attempt) {
    constexpr unsigned most_doublings = 6;  // 64 ms
    if (within.is_at_once()) fail_connect(EAGAIN, e, there);
    const std::int64_t next = copse::detail::deadline_in(std::int64_t{1'000'000} << std::min(attempt, most_doublings));
    const std::int64_t last = within.deadline();
    const std::uint32_t generation = e.generation;
    copse::detail::sleep_by(std::min(next, last));
    if (e.generation != generation) std::rethrow_exception(detail::closed_meanwhile("connect", e.fd, EBADF));
    if (next >= last) fail_late(e, there);
}

void start_connect(entry& e, const endpoint& there, detail::limit& within) {
    bool interrupted = false;
    for (unsigned attempt = 0;;) {
        if (sys.connect(e.fd, there.native(), there.native_size()) == 0) return;
        switch (const int error = errno) {
        case EINTR: interrupted = true; break;  // it goes on in the kernel: asking again tells how far it is
        case EISCONN:
            if (interrupted) return;
            fail_connect(error, e, there);
        case EINPROGRESS:
        case EALREADY: return finish_connect(e, there, within);
        case EAGAIN:
            if (there.family() != AF_UNIX) fail_connect(error, e, there);
            wait_for_backlog(e, there, within, attempt++);
            break;
        default: fail_connect(error, e, there);
        }
    }
}

/// When nobody listens on a port of this machine, the kernel may choose just that one for our end, and connects us with
/// ourselves (RFC 9293, simultaneous open).
void refuse_self(entry& e, const endpoint& there) {
    if (!e.drains) return;
    const endpoint local = local_of(e);
    if (local.port() != there.port() || local != peer_of(e)) return;
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;
    sys.connect(e.fd, &nobody, sizeof nobody);  // dissolves it
    connect_error(e);                           // and its reset is nobody's business
    e.ready = 0;
    fail_connect(ECONNREFUSED, e, there);
}

}  // namespace

void socket::connect_by(const endpoint& there, detail::limit within) {
    entry& e = use("connect");
    copse::detail::attend();
    if (!detail::home.now->spend(e)) std::rethrow_exception(detail::closed_meanwhile("connect", e.fd, EBADF));
    start_connect(e, there, within);
    refuse_self(e, there);
    e.ready |= bit(direction::out);
    if (!is_wildcard(there)) detail::socket_access::remember_peer(e, there);
}

socket detail::connect_by(const endpoint& there, limit within) {
    socket s(there.family());
    socket_access::connect(s, there, within);
    return s;
}

}  // namespace copse::io
