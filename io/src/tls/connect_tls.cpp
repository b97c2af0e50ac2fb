#include <copse/io/socket.hpp>
#include <copse/io/tls_stream.hpp>

#include "host_name.hpp"
#include "send_at_once.hpp"

namespace copse::io::detail {

namespace {

socket connected(std::string_view there, std::optional<limit> within) {
    return within ? connect_by(there, *within) : connect(there);
}

}  // namespace

tls_stream connect_tls_by(std::string_view there, const tls_context& with, std::optional<std::string_view> host,
                          std::optional<limit> within) {
    const host_name name = host ? host_name::parse(*host) : host_name::of_endpoint(there);
    if (within) within->deadline();  // one time for both
    socket below = connected(there, within);
    send_at_once(below);
    if (!within) return tls_stream::client(std::move(below), with, name.text);
    return tls_stream::client_until(std::move(below), with, name.text,
                                    clock::time_point(std::chrono::nanoseconds(within->deadline())));
}

}  // namespace copse::io::detail
