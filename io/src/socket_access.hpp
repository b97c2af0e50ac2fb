// What the sources of this room do with sockets that is nobody else's business.
#pragma once

#include <copse/io/socket.hpp>

#include "reactor.hpp"

namespace copse::io::detail {

struct socket_access {
    /// A socket of a fresh descriptor, which is closed if that fails. `ready` and `drains` as in its entry.
    static socket take_over(int fd, std::uint8_t ready, bool drains);

    /// Where it leads, for messages and peer_endpoint().
    static void remember_peer(const socket& s, const endpoint& peer) noexcept;
    static void remember_peer(const entry& e, const endpoint& peer) noexcept;

    static void connect(socket& s, const endpoint& there, limit within) { s.connect_by(there, within); }
};

/// Of TCP sockets: see entry::drains.
bool is_tcp(int family, int type, int protocol) noexcept;

}  // namespace copse::io::detail
