// Taking connections.
#include <sys/socket.h>

#include <cerrno>

#include <copse/io/socket.hpp>

#include "socket_access.hpp"
#include "system_calls.hpp"
#include "transfer.hpp"

namespace copse::io {

namespace {

using detail::direction;
using detail::entry;

constexpr int most_failed_in_a_row = 16;

/// The kernel tells through accept of a connection that failed before it was taken: see accept(2), "Error handling".
bool is_of_the_connection(int error) noexcept {
    switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case EOPNOTSUPP: return true;
    default: return false;
    }
}

struct taken_address {
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_storage);
};

int accept_now(const entry& listener, taken_address& from) noexcept {
    from.size = sizeof from.storage;
    return detail::sys.accept4(listener.fd, reinterpret_cast<sockaddr*>(&from.storage), &from.size,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/// What does not listen would be waited for in vain: a connected socket is readable for other reasons, or never.
bool listens(const entry& e) noexcept {
    int yes = 0;
    socklen_t size = sizeof yes;
    return detail::sys.getsockopt(e.fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) != 0 || yes != 0;
}

accepted make_accepted(const entry& listener, int fd, const taken_address& from) {
    accepted made;
    // Fresh connections have room to send and, mostly, nothing to read yet.
    made.connection = detail::socket_access::take_over(fd, bit(direction::out), nature_of(listener));
    made.peer = endpoint::from_native(reinterpret_cast<const sockaddr*>(&from.storage), from.size);
    detail::socket_access::remember_peer(made.connection, made.peer);
    return made;
}

}  // namespace

accepted socket::accept_by(detail::limit within) {
    entry& e = use("accept");
    if (!e.remembers(direction::in) && !listens(e)) detail::fail(EINVAL, "accept", e, direction::in);
    taken_address from;
    for (int failures = 0;;) {
        const ssize_t n = transfer(e, direction::in, within, "accept", [&] { return accept_now(e, from); });
        if (n >= 0) return make_accepted(e, static_cast<int>(n), from);
        if (n == detail::out_of_time || !is_of_the_connection(errno) || ++failures == most_failed_in_a_row) {
            fail_outcome(n, "accept", e, direction::in);
        }
    }
}

std::optional<accepted> socket::try_accept() {
    entry& e = use("try_accept");
    taken_address from;
    for (int failures = 0;;) {
        const ssize_t n = try_transfer(e, direction::in, [&] { return accept_now(e, from); });
        if (n >= 0) return make_accepted(e, static_cast<int>(n), from);
        if (detail::is_again(errno)) return std::nullopt;
        if (!is_of_the_connection(errno) || ++failures == most_failed_in_a_row)
            fail_outcome(n, "try_accept", e, direction::in);
    }
}

accepted socket::accept() { return accept_by(standing()); }

}  // namespace copse::io
