/// Options of sockets, as types: `s.set_option(no_delay{true})`, `s.get_option<receive_buffer>().bytes`.
///
/// An option is any type with `level`, `name`, a constructor from its native form and `to_native()`; a program may add its own.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <chrono>

namespace copse::io {

namespace detail {
/// An option that the kernel keeps as an int, 0 or 1.
template <int Level, int Name>
struct flag_option {
    static constexpr int level = Level;
    static constexpr int name = Name;
    using native = int;

    bool on = true;

    constexpr flag_option() = default;
    constexpr explicit(false) flag_option(bool wanted) : on(wanted) {}
    constexpr explicit flag_option(int wanted) : on(wanted != 0) {}
    constexpr int to_native() const { return on ? 1 : 0; }
};

template <int Level, int Name>
struct size_option {
    static constexpr int level = Level;
    static constexpr int name = Name;
    using native = int;

    int bytes = 0;

    constexpr size_option() = default;
    constexpr explicit(false) size_option(int wanted) : bytes(wanted) {}
    constexpr int to_native() const { return bytes; }
};
}  // namespace detail

/// Small segments are sent at once instead of collected. On from the start for every TCP socket that copse makes: header and
/// body in two sends would otherwise wait 40 ms for each other.
using no_delay = detail::flag_option<IPPROTO_TCP, TCP_NODELAY>;
/// The kernel asks a silent peer now and then whether it is still there.
using keep_alive = detail::flag_option<SOL_SOCKET, SO_KEEPALIVE>;
/// A listener may take an address that old connections still use. On for what `listen` makes.
using reuse_address = detail::flag_option<SOL_SOCKET, SO_REUSEADDR>;
/// Several listeners share one address, and the kernel shares out the connections.
using reuse_port = detail::flag_option<SOL_SOCKET, SO_REUSEPORT>;
/// An IPv6 socket takes no IPv4.
using v6_only = detail::flag_option<IPPROTO_IPV6, IPV6_V6ONLY>;

/// Bytes that the kernel buffers. It doubles what is asked for, within limits of its own: reading it back tells.
using receive_buffer = detail::size_option<SOL_SOCKET, SO_RCVBUF>;
using send_buffer = detail::size_option<SOL_SOCKET, SO_SNDBUF>;

/// What becomes of unsent bytes at close: off, the kernel goes on sending; on with 0 s, they are dropped and the peer sees a
/// reset. Another length makes close itself wait, and the thread with it.
struct linger {
    static constexpr int level = SOL_SOCKET;
    static constexpr int name = SO_LINGER;
    using native = ::linger;

    bool on = false;
    std::chrono::seconds length{0};

    constexpr linger() = default;
    constexpr explicit linger(std::chrono::seconds wanted) : on(true), length(wanted) {}
    constexpr explicit linger(native n) : on(n.l_onoff != 0), length(n.l_linger) {}
    constexpr native to_native() const { return {on ? 1 : 0, static_cast<int>(length.count())}; }
};

}  // namespace copse::io
