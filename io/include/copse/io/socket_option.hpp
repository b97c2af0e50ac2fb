/// Options of sockets, as types: `s.set_option(no_delay{true})`, `s.get_option<receive_buffer>().bytes`.
///
/// An option is any type with `level`, `name`, a constructor from its native form and `to_native()`; a program may add its
/// own.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

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

/// A count, or a number that the kernel gives a meaning.
template <int Level, int Name>
struct number_option {
    static constexpr int level = Level;
    static constexpr int name = Name;
    using native = int;

    int value = 0;

    constexpr number_option() = default;
    constexpr explicit(false) number_option(int wanted) : value(wanted) {}
    constexpr int to_native() const { return value; }
};

template <int Level, int Name, class Unit>
struct duration_option {
    static constexpr int level = Level;
    static constexpr int name = Name;
    using native = int;

    Unit length{0};

    constexpr duration_option() = default;
    constexpr explicit(false) duration_option(Unit wanted) : length(wanted) {}
    constexpr explicit duration_option(int wanted) : length(wanted) {}
    /// What an int cannot hold becomes -1, which the kernel refuses.
    constexpr int to_native() const {
        const int n = static_cast<int>(length.count());
        return n == length.count() ? n : -1;
    }
};

/// A short text.
template <int Level, int Name>
struct text_option {
    static constexpr int level = Level;
    static constexpr int name = Name;
    static constexpr std::size_t longest = 15;
    struct native {
        char text[longest + 1]{};
    };

    std::string text;

    text_option() = default;
    explicit(false) text_option(std::string_view wanted) : text(wanted) {}
    explicit(false) text_option(const char* wanted) : text(wanted) {}
    explicit text_option(const native& n) : text(n.text) {}
    /// Throws:  std::invalid_argument if it is longer than 15 bytes.
    native to_native() const {
        if (text.size() > longest) throw std::invalid_argument("\"" + text + "\" is longer than 15 bytes");
        native n;
        text.copy(n.text, longest);
        return n;
    }
};
}  // namespace detail

/// Small segments are sent at once instead of collected. On from the start for every TCP socket that copse makes: header
/// and body in two sends would otherwise wait 40 ms for each other.
using no_delay = detail::flag_option<IPPROTO_TCP, TCP_NODELAY>;
/// The kernel asks a silent peer now and then whether it is still there.
using keep_alive = detail::flag_option<SOL_SOCKET, SO_KEEPALIVE>;
/// A listener may take an address that old connections still use. On for what `listen` makes.
using reuse_address = detail::flag_option<SOL_SOCKET, SO_REUSEADDR>;
/// Several listeners share one address, and the kernel shares out the connections.
using reuse_port = detail::flag_option<SOL_SOCKET, SO_REUSEPORT>;
/// An IPv6 socket takes no IPv4.
using v6_only = detail::flag_option<IPPROTO_IPV6, IPV6_V6ONLY>;

/// Datagrams may be sent to broadcast addresses.
using broadcast = detail::flag_option<SOL_SOCKET, SO_BROADCAST>;
/// Urgent bytes stay in their place among the others.
using inline_urgent_data = detail::flag_option<SOL_SOCKET, SO_OOBINLINE>;
/// Only packets of this interface, "eth0"; "": of all.
using bind_to_device = detail::text_option<SOL_SOCKET, SO_BINDTODEVICE>;
/// The mark that routing and firewall rules see. Needs CAP_NET_ADMIN.
using mark = detail::number_option<SOL_SOCKET, SO_MARK>;
/// The queue of outgoing packets: 0 to 6, more needs CAP_NET_ADMIN.
using priority = detail::number_option<SOL_SOCKET, SO_PRIORITY>;
/// How long a call spins for packets before it says that there are none. More than before needs CAP_NET_ADMIN.
using busy_poll = detail::duration_option<SOL_SOCKET, SO_BUSY_POLL, std::chrono::microseconds>;

/// TCP: `keep_alive` begins after a silence of `keep_alive_idle`, asks each `keep_alive_interval`, and gives up after
/// `keep_alive_count` times without an answer.
using keep_alive_idle = detail::duration_option<IPPROTO_TCP, TCP_KEEPIDLE, std::chrono::seconds>;
using keep_alive_interval = detail::duration_option<IPPROTO_TCP, TCP_KEEPINTVL, std::chrono::seconds>;
using keep_alive_count = detail::number_option<IPPROTO_TCP, TCP_KEEPCNT>;
/// TCP: how long sent bytes may stay without an answer until the connection is given up. 0: as the system does.
using user_timeout = detail::duration_option<IPPROTO_TCP, TCP_USER_TIMEOUT, std::chrono::milliseconds>;
/// TCP: acknowledges at once. The kernel turns it off by itself again: set it after each receive.
using quick_ack = detail::flag_option<IPPROTO_TCP, TCP_QUICKACK>;
/// TCP: incomplete segments are held back, 200 ms at most, until it is off.
using cork = detail::flag_option<IPPROTO_TCP, TCP_CORK>;
/// TCP listener: connections are taken only once bytes have come, or the time is over.
using defer_accept = detail::duration_option<IPPROTO_TCP, TCP_DEFER_ACCEPT, std::chrono::seconds>;
/// TCP listener: so many connections at a time may bring bytes with their first packet.
using fast_open = detail::number_option<IPPROTO_TCP, TCP_FASTOPEN>;
/// TCP client: connect returns at once, and the first send travels with the first packet if the server is known to allow
/// it.
using fast_open_connect = detail::flag_option<IPPROTO_TCP, TCP_FASTOPEN_CONNECT>;
/// TCP: can be written to only while less than this is unsent, which keeps the buffer short.
using unsent_low_water = detail::size_option<IPPROTO_TCP, TCP_NOTSENT_LOWAT>;
/// TCP: how it slows down, "cubic", "bbr".
using congestion_control = detail::text_option<IPPROTO_TCP, TCP_CONGESTION>;

/// IPv4: how many routers a packet may pass; the same for IPv6.
using time_to_live = detail::number_option<IPPROTO_IP, IP_TTL>;
using hop_limit = detail::number_option<IPPROTO_IPV6, IPV6_UNICAST_HOPS>;
/// The byte that tells routers what to prefer, DSCP << 2, of IPv4 and IPv6 packets.
using type_of_service = detail::number_option<IPPROTO_IP, IP_TOS>;
using traffic_class = detail::number_option<IPPROTO_IPV6, IPV6_TCLASS>;
/// May bind to addresses that this machine does not have, or not yet.
using free_bind = detail::flag_option<IPPROTO_IP, IP_FREEBIND>;

/// Of datagrams to groups, see multicast.hpp. Each comes for IPv4, and as `..._v6` (and hops) for IPv6. Routers that they
/// may pass, 1 at first; whether this machine gets them too, as it does at first; through which interface, by index.
using multicast_ttl = detail::number_option<IPPROTO_IP, IP_MULTICAST_TTL>;
using multicast_hops = detail::number_option<IPPROTO_IPV6, IPV6_MULTICAST_HOPS>;
using multicast_loop = detail::flag_option<IPPROTO_IP, IP_MULTICAST_LOOP>;
using multicast_loop_v6 = detail::flag_option<IPPROTO_IPV6, IPV6_MULTICAST_LOOP>;
using multicast_interface_v6 = detail::number_option<IPPROTO_IPV6, IPV6_MULTICAST_IF>;
/// Can be set only.
struct multicast_interface {
    static constexpr int level = IPPROTO_IP;
    static constexpr int name = IP_MULTICAST_IF;
    using native = ::ip_mreqn;

    int index = 0;

    constexpr explicit(false) multicast_interface(int wanted) : index(wanted) {}
    constexpr native to_native() const { return {{0}, {0}, index}; }
};

/// Who is at the other end of a Unix stream: its process when it connected, listened or made the pair. Can be asked for
/// only: `s.get_option<peer_credentials>().uid`.
struct peer_credentials {
    static constexpr int level = SOL_SOCKET;
    static constexpr int name = SO_PEERCRED;
    using native = ::ucred;

    pid_t pid = 0;  ///< 0 if it cannot be seen from here
    uid_t uid = 0;
    gid_t gid = 0;

    constexpr explicit peer_credentials(native n) : pid(n.pid), uid(n.uid), gid(n.gid) {}
};

/// Bytes that the kernel buffers. It doubles what is asked for, within limits of its own: reading it back tells.
using receive_buffer = detail::size_option<SOL_SOCKET, SO_RCVBUF>;
using send_buffer = detail::size_option<SOL_SOCKET, SO_SNDBUF>;

/// What becomes of unsent bytes at close: off, the kernel goes on sending; on with 0 s, they are dropped and the peer sees
/// a reset. Another length makes close itself wait, and the thread with it.
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
