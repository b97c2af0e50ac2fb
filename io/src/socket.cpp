// What a socket is: its descriptor, its entry, its thread. The verbs that wait are in receive, send, accept and connect.
#include <copse/io/socket.hpp>

#include <cerrno>
#include <cstring>

#include <copse/error.hpp>

#include "failure.hpp"
#include "reactor.hpp"
#include "socket_access.hpp"
#include "system_calls.hpp"

namespace copse::io {

namespace {

using detail::direction;
using detail::entry;
using detail::sys;

/// EBADF and ENOTSOCK included.
int int_option(int fd, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    if (sys.getsockopt(fd, SOL_SOCKET, name, &value, &size) != 0) detail::fail(errno, "adopt", fd);
    return value;
}

/// Datagrams can be sent at once; a stream has to be connected first, and tells then.
std::uint8_t ready_at_birth(detail::nature of) noexcept {
    return of == detail::nature::messages ? bit(direction::out) : std::uint8_t{0};
}

void turn_on_no_delay(int fd) noexcept {
    const int on = 1;
    sys.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // refused by what is no TCP after all: no harm
}

}  // namespace

detail::nature detail::nature_of(int family, int type, int protocol) noexcept {
    if (type != SOCK_STREAM) return nature::messages;
    const bool internet = family == AF_INET || family == AF_INET6;
    return internet && (protocol == 0 || protocol == IPPROTO_TCP) ? nature::tcp : nature::stream;
}

detail::nature detail::nature_of(const entry& e) noexcept {
    if (e.messages) return nature::messages;
    return e.drains ? nature::tcp : nature::stream;
}

socket detail::socket_access::take_over(int fd, std::uint8_t ready, nature of) {
    try {
        reactor& r = reactor::here();
        socket s;
        s.entry_ = &r.adopt(fd, ready, of == nature::tcp, of == nature::messages);
        s.home_ = r.serial();
        s.generation_ = s.entry_->generation;
        s.fd_ = fd;
        return s;
    } catch (...) {
        sys.close(fd);
        throw;
    }
}

void detail::socket_access::remember_peer(const socket& s, const endpoint& peer) noexcept {
    remember_peer(*s.entry_, peer);
}

void detail::socket_access::remember_peer(const entry& e, const endpoint& peer) noexcept {
    peer_address& place = home.now->table().peer_of(e);
    place.size = peer.family() == AF_INET || peer.family() == AF_INET6 ? peer.native_size() : 0;
    std::memcpy(place.bytes, peer.native(), place.size);
}

socket::socket(int family, int type, int protocol) {
    constexpr int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    const int fd = sys.socket(family, type | flags, protocol);
    if (fd < 0) detail::fail(errno, "socket");
    const detail::nature of = detail::nature_of(family, type & ~flags, protocol);
    *this = detail::socket_access::take_over(fd, ready_at_birth(of), of);
    if (of == detail::nature::tcp) turn_on_no_delay(fd);
}

socket socket::adopt(int fd) {
    const int family = int_option(fd, SO_DOMAIN);
    const detail::nature of = detail::nature_of(family, int_option(fd, SO_TYPE), int_option(fd, SO_PROTOCOL));
    if (sys.set_nonblocking(fd) != 0) detail::fail(errno, "adopt", fd);
    detail::reactor& r = detail::reactor::here();
    r.table().at(fd);  // what can fail, fails while the number is still the caller's
    return detail::socket_access::take_over(fd, ready_at_birth(of), of);
}

entry& socket::use(const char* operation) const {
    if (home_ == detail::home.serial && entry_->generation == generation_) [[likely]]
        return *entry_;
    refuse(operation);
}

void socket::refuse(const char* operation) const {
    if (fd_ < 0) detail::fail(EBADF, std::string(operation) + " on a closed socket");
    if (home_ == detail::home.serial) {
        detail::fail(EBADF,
                     detail::describe(operation, fd_) + ", closed by number: its descriptor is somebody else's now");
    }
    throw wrong_thread(detail::describe(operation, fd_) +
                       ": the socket belongs to another thread; release() it there, adopt() it here");
}

void socket::close() noexcept {
    const int fd = std::exchange(fd_, -1);
    const bool here = std::exchange(home_, no_home) == detail::home.serial;
    entry* const e = std::exchange(entry_, nullptr);
    if (fd < 0) return;
    if (here) {
        if (e->generation != generation_) return;  // closed by number: not ours to close again
        detail::home.now->closing(*e);
    }
    sys.close(fd);  // whatever it says, the number is free now: close(2), "Dealing with error returns"
}

int socket::release() {
    if (fd_ < 0) return -1;
    entry& e = use("release");
    detail::home.now->closing(e);
    entry_ = nullptr;
    home_ = no_home;
    return std::exchange(fd_, -1);
}

void socket::bind(const endpoint& here) {
    use("bind");
    if (sys.bind(fd_, here.native(), here.native_size()) == 0) return;
    const int error = errno;  // describing asks the system
    detail::fail(error, detail::describe("bind", fd_, here));
}

void socket::listen(int backlog) {
    use("listen");
    if (sys.listen(fd_, backlog) != 0) detail::fail(errno, "listen", fd_);
}

void socket::shutdown(shut how) {
    entry& e = use("shutdown");
    if (sys.shutdown(fd_, static_cast<int>(how)) != 0) detail::fail(errno, "shutdown", e, direction::out);
    if (how != shut::write) detail::home.now->has_ended(e, direction::in);
    if (how != shut::read) detail::home.now->has_ended(e, direction::out);
}

void socket::set_option(int level, int name, std::span<const std::byte> value) {
    const entry& e = use("set_option");
    if (sys.setsockopt(fd_, level, name, value.data(), static_cast<socklen_t>(value.size())) == 0) return;
    const std::string text = "set_option " + std::to_string(level) + "/" + std::to_string(name);
    detail::fail(errno, text.c_str(), e, direction::out);
}

std::size_t socket::get_option(int level, int name, std::span<std::byte> value) const {
    const entry& e = use("get_option");
    auto size = static_cast<socklen_t>(value.size());
    if (sys.getsockopt(fd_, level, name, value.data(), &size) == 0) return size;
    const std::string text = "get_option " + std::to_string(level) + "/" + std::to_string(name);
    detail::fail(errno, text.c_str(), e, direction::out);
}

endpoint socket::local_endpoint() const {
    use("local_endpoint");
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (sys.getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        detail::fail(errno, "local_endpoint", fd_);
    return endpoint::from_native(reinterpret_cast<const sockaddr*>(&address), size);
}

endpoint socket::peer_endpoint() const {
    const entry& e = use("peer_endpoint");
    const detail::peer_address& known = detail::home.now->table().peer_of(e);
    if (known.size != 0) return endpoint::from_native(reinterpret_cast<const sockaddr*>(known.bytes), known.size);
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (sys.getpeername(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        detail::fail(errno, "peer_endpoint", fd_);
    return endpoint::from_native(reinterpret_cast<const sockaddr*>(&address), size);
}

std::pair<socket, socket> socketpair(int type) {
    int both[2];
    constexpr int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    if (sys.socketpair(AF_UNIX, type | flags, 0, both) != 0) detail::fail(errno, "socketpair");
    const detail::nature of = detail::nature_of(AF_UNIX, type & ~flags, 0);
    try {
        socket first = detail::socket_access::take_over(std::exchange(both[0], -1), bit(direction::out), of);
        socket second = detail::socket_access::take_over(std::exchange(both[1], -1), bit(direction::out), of);
        return {std::move(first), std::move(second)};
    } catch (...) {
        if (both[1] >= 0) sys.close(both[1]);
        throw;
    }
}

}  // namespace copse::io
