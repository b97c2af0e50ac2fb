#include "http/dial.hpp"

#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include <copse/io/error.hpp>
#include <copse/io/socket_option.hpp>

#include "by_deadline.hpp"
#include "failure.hpp"
#include "http/secure_default.hpp"
#include "name_lookup.hpp"

namespace copse::io::http::detail {

namespace {

/// What is looked at is what is connected to: a second lookup could say something else.
socket connect_to_allowed(const std::string& there, const address_filter& allowed, clock::time_point deadline) {
    const auto within = io::detail::limit::until(deadline);
    std::vector<endpoint> all = io::detail::find_endpoints(there, within);
    io::detail::by_deadline(deadline, "client_options::allow_address",
                            [&] { return std::erase_if(all, [&](const endpoint& e) { return !allowed(e); }); });
    if (all.empty()) io::detail::fail(EACCES, "connect to " + there + ", none of whose addresses allow_address allows");
    return io::detail::connect_to_one_of(std::move(all), within);
}

}  // namespace

socket dial(const url& to, const socket_maker& own, const address_filter& allowed, clock::time_point deadline) {
    if (own) return io::detail::by_deadline(deadline, "client_options::connect", [&] { return own(to); });
    const std::string there = to.host_and_port();
    socket made = allowed ? connect_to_allowed(there, allowed, deadline) : connect_until(there, deadline);
    made.set_option(no_delay(true));  // head and body leave together: there is nothing to wait for
    return made;
}

any_stream secure(socket plain, const std::string& host, const stream_securer& own, clock::time_point deadline) {
    return io::detail::by_deadline(deadline, "TLS handshake", [&]() -> any_stream {
        return own ? own(std::move(plain), host) : secure_by_default(std::move(plain), host);
    });
}

}  // namespace copse::io::http::detail
