#include <copse/io/socket.hpp>

#include "name_lookup.hpp"
#include "stale_name.hpp"

namespace copse::io {

socket listen(const endpoint& here, const listen_options& with) {
    socket s(here.family());
    const bool internet = here.family() == AF_INET || here.family() == AF_INET6;
    if (internet && with.reuse_address) s.set_option(reuse_address{true});
    if (internet && with.reuse_port) s.set_option(reuse_port{true});
    if (here.family() == AF_INET6) s.set_option(v6_only{with.v6_only});
    detail::bind(s, here, SOCK_STREAM, with.replace_stale);
    s.listen(with.backlog);
    return s;
}

socket listen(std::string_view here, const listen_options& with) { return detail::listen_by(here, with, {}); }

socket detail::listen_by(std::string_view here, const listen_options& with, limit within) {
    return listen(find_endpoints(here, within).front(), with);
}

}  // namespace copse::io
