#pragma once

#include <string>
#include <typeinfo>

namespace copse::detail {

/// The name of a type as a person would write it, for messages: "std::string", "std::vector<int>". Default
/// allocators, deleters and the library's inline namespaces are left out.
[[nodiscard]] std::string type_name(const std::type_info& type);

}  // namespace copse::detail
