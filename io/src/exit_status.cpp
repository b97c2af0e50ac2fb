#include <copse/io/exit_status.hpp>

#include <ostream>

#include "signal_name.hpp"

namespace copse::io {

std::string to_string(const exit_status& status) {
    if (status.exited()) return "exited with " + std::to_string(status.code());
    if (!status.known()) return "ended, nobody knows how";
    return "ended by " + detail::signal_name(status.signal()) + (status.core_dumped() ? ", core dumped" : "");
}

std::ostream& operator<<(std::ostream& out, const exit_status& status) { return out << to_string(status); }

}  // namespace copse::io
