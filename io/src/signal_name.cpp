#include "signal_name.hpp"

#include <string.h>

namespace copse::io::detail {

std::string signal_name(int signal) {
    const char* const name = ::sigabbrev_np(signal);
    return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

}  // namespace copse::io::detail
