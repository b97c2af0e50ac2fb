// How the text of an endpoint is taken apart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace copse::io::detail {

/// Names the text and what is wrong with it, as a std::invalid_argument.
[[noreturn]] void refuse_text(std::string_view text, const std::string& reason);

struct host_and_port {
    std::string_view host;
    std::uint16_t port = 0;
};

/// "host:port". The host is what stands before the last colon: brackets are the caller's business.
/// Throws: std::invalid_argument.
host_and_port split_port(std::string_view text);

/// The host is empty if the text is no "name:port" but something for endpoint::parse.
host_and_port split_name(std::string_view text);

}  // namespace copse::io::detail
