#include <copse/io/datagram_socket.hpp>

#include "name_lookup.hpp"
#include "stale_name.hpp"

namespace copse::io {

socket bind_datagram(const endpoint& here, const datagram_options& with) {
    socket s(here.family(), SOCK_DGRAM);
    const bool internet = here.family() == AF_INET || here.family() == AF_INET6;
    if (internet && with.reuse_address) s.set_option(reuse_address{true});
    if (internet && with.reuse_port) s.set_option(reuse_port{true});
    if (here.family() == AF_INET6) s.set_option(v6_only{with.v6_only});
    detail::bind(s, here, SOCK_DGRAM, with.replace_stale);
    return s;
}

socket bind_datagram(std::string_view here, const datagram_options& with) {
    return detail::bind_datagram_by(here, with, {});
}

socket connect_datagram(const endpoint& there) {
    socket s(there.family(), SOCK_DGRAM);
    if (there.family() == AF_UNIX) s.bind(endpoint::unnamed());
    s.connect(there);
    return s;
}

socket connect_datagram(std::string_view there) { return detail::connect_datagram_by(there, {}); }

socket detail::bind_datagram_by(std::string_view here, const datagram_options& with, limit within) {
    return bind_datagram(find_endpoints(here, within).front(), with);
}

socket detail::connect_datagram_by(std::string_view there, limit within) {
    return connect_datagram(find_endpoints(there, within).front());
}

}  // namespace copse::io
