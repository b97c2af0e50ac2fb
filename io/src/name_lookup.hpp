// From "name:port" to endpoints.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <copse/io/detail/limit.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/socket.hpp>

namespace copse::io::detail {

/// The common resolver, within a limit.
struct resolver_access {
    static std::vector<endpoint> resolve(std::string_view host, std::uint16_t port, limit within);
};

/// At least one, in the order in which they should be tried.
/// Parks:   for a name that is not known here.
/// Throws: std::invalid_argument for the text; std::system_error of name_category(); timed_out.
std::vector<endpoint> find_endpoints(std::string_view text, limit within);

/// The first of them that is connected: they race, each with a head start (RFC 8305).
/// Parks:   until then.
/// Throws:  as `connect` of a text; `all` must not be empty.
socket connect_to_one_of(std::vector<endpoint> all, limit within);

}  // namespace copse::io::detail
