// The name of the server that a client means.
#pragma once

#include <string>
#include <string_view>

namespace copse::io::detail {

struct host_name {
    std::string text;         // without brackets, zone and final dot
    bool is_address = false;  // a number, of which the certificate must have just that one

    /// Throws:  std::invalid_argument for what is no name.
    static host_name parse(std::string_view text);

    /// The host of "name:port" and of an endpoint.
    static host_name of_endpoint(std::string_view there);
};

}  // namespace copse::io::detail
