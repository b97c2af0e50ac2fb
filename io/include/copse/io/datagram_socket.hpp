/// Sockets for datagrams: UDP, and Unix datagrams.
#pragma once

#include <string_view>

#include <copse/io/endpoint.hpp>
#include <copse/io/socket.hpp>

namespace copse::io {

/// How to bind: `bind_datagram("[::]:5353", {.reuse_port = true})`.
struct datagram_options {
    bool reuse_address = false;  ///< as the option of that name; for UDP: several sockets of one multicast address
    bool reuse_port = false;     ///< as the option of that name
    bool v6_only = false;        ///< as the option of that name
    bool replace_stale = false;  ///< as in listen_options
};

/// A datagram socket that receives what is sent to `here`. Port 0: see `local_endpoint`. `endpoint::unnamed()`: the kernel
/// chooses an abstract Unix name. As text, `here` is an endpoint or `name:port`, of which the first address is taken.
///
///     auto server = copse::io::bind_datagram("127.0.0.1:5000");
///     std::array<std::byte, 1500> buffer;
///     const copse::io::datagram d = server.recv_from(buffer);
///     server.send_to(std::span(buffer).first(d.size), d.from);
///
/// Parks:   no; but a name asks the resolver, which blocks the thread.
/// Throws:  as listen().
socket bind_datagram(const endpoint& here, const datagram_options& with = {});
socket bind_datagram(std::string_view here, const datagram_options& with = {});

/// A datagram socket that sends to `there`, with `send` or an empty address, and receives from there only. A Unix one gets
/// an abstract name, so that it can be answered. As text, `there` is an endpoint or `name:port`, of which the first address
/// is taken.
/// Parks:   no; but a name asks the resolver, which blocks the thread.
/// Throws:  as socket::connect: nobody need be there but for Unix; the text's errors as connect().
socket connect_datagram(const endpoint& there);
socket connect_datagram(std::string_view there);

}  // namespace copse::io
