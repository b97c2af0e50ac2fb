// What the sources of this room do with sockets that is nobody else's business.
#pragma once

#include <copse/io/socket.hpp>

#include "reactor.hpp"

namespace copse::io::detail {

/// What kind of socket it is, as far as its entry wants to know.
enum class nature : std::uint8_t { stream, tcp, messages };
nature nature_of(int family, int type, int protocol) noexcept;
nature nature_of(const entry& e) noexcept;

struct socket_access {
    /// A socket of a fresh descriptor, which is closed if that fails. `ready` as in its entry.
    static socket take_over(int fd, std::uint8_t ready, nature of);

    /// Where it leads, for messages and peer_endpoint().
    static void remember_peer(const socket& s, const endpoint& peer) noexcept;
    static void remember_peer(const entry& e, const endpoint& peer) noexcept;

    static entry& use(const socket& s, const char* operation) { return s.use(operation); }
    static limit standing(const socket& s) noexcept { return s.standing(); }
    static void connect(socket& s, const endpoint& there, limit within) { s.connect_by(there, within); }
};

}  // namespace copse::io::detail
