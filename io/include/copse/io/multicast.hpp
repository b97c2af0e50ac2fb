/// Groups: datagrams that everybody gets who joined. The options multicast_ttl, multicast_loop and their like are in
/// socket_option.hpp.
#pragma once

#include <copse/io/endpoint.hpp>
#include <copse/io/socket.hpp>

namespace copse::io {

/// Receives from now on what is sent to `group`, whose port does not matter, through the interface of that index
/// (if_nametoindex); 0: the zone of `group`, or what the routes say.
/// Throws:  std::invalid_argument if `group` is no multicast address; std::system_error: EADDRINUSE if it has joined already,
///          ENODEV if there is no such interface.
void join_group(socket& s, const endpoint& group, unsigned interface = 0);

/// Throws:  as join_group; EADDRNOTAVAIL if it has not joined.
void leave_group(socket& s, const endpoint& group, unsigned interface = 0);

}  // namespace copse::io
