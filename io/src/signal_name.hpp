#pragma once

#include <string>

namespace copse::io::detail {

/// "SIGTERM"; "signal 40" for what has no name.
std::string signal_name(int signal);

}  // namespace copse::io::detail
