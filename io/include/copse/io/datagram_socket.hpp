/// Sockets for datagrams: UDP, and Unix datagrams.
#pragma once

#include <chrono>
#include <string_view>

#include <copse/io/detail/limit.hpp>
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
/// Parks:   no; for a name until the resolver has answered.
/// Throws:  as listen().
socket bind_datagram(const endpoint& here, const datagram_options& with = {});
socket bind_datagram(std::string_view here, const datagram_options& with = {});
namespace detail {
socket bind_datagram_by(std::string_view here, const datagram_options& with, limit within);
socket connect_datagram_by(std::string_view there, limit within);
}  // namespace detail
template <class Rep, class Period>
socket bind_datagram_for(std::string_view here, std::chrono::duration<Rep, Period> length,
                         const datagram_options& with = {}) {
    return detail::bind_datagram_by(here, with, detail::limit::within(length));
}
template <class Clock, class Duration>
socket bind_datagram_until(std::string_view here, std::chrono::time_point<Clock, Duration> when,
                           const datagram_options& with = {}) {
    return detail::bind_datagram_by(here, with, detail::limit::until(when));
}

/// A datagram socket that sends to `there`, with `send` or an empty address, and receives from there only. A Unix one gets
/// an abstract name, so that it can be answered. As text, `there` is an endpoint or `name:port`, of which the first address
/// is taken.
/// Parks:   no; for a name until the resolver has answered.
/// Throws:  as socket::connect: nobody need be there but for Unix; the text's errors as connect().
socket connect_datagram(const endpoint& there);
socket connect_datagram(std::string_view there);
template <class Rep, class Period>
socket connect_datagram_for(std::string_view there, std::chrono::duration<Rep, Period> length) {
    return detail::connect_datagram_by(there, detail::limit::within(length));
}
template <class Clock, class Duration>
socket connect_datagram_until(std::string_view there, std::chrono::time_point<Clock, Duration> when) {
    return detail::connect_datagram_by(there, detail::limit::until(when));
}

}  // namespace copse::io
