// From "name:port" to endpoints. Blocks the thread for names that are not known here: the resolver will replace it.
#pragma once

#include <string_view>
#include <vector>

#include <copse/io/endpoint.hpp>

namespace copse::io::detail {

/// At least one, in the order in which they should be tried.
/// Throws: std::invalid_argument for the text; std::system_error of name_category().
std::vector<endpoint> find_endpoints(std::string_view text);

}  // namespace copse::io::detail
