#include "name_lookup.hpp"

#include "endpoint_text.hpp"

namespace copse::io::detail {

std::vector<endpoint> find_endpoints(std::string_view text, limit within) {
    const host_and_port parts = split_name(text);
    if (parts.host.empty()) return {endpoint::parse(text)};
    return resolver_access::resolve(parts.host, parts.port, within);
}

}  // namespace copse::io::detail
