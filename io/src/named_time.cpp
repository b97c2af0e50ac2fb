#include "named_time.hpp"

#include <stdexcept>
#include <string>

namespace copse::io::detail {

void check_times(const char* whose, std::initializer_list<named_time> all) {
    for (const named_time& one : all) {
        if (one.value.count() < 0) throw std::invalid_argument(std::string(whose) + ": `" + one.name + "` is negative");
    }
}

}  // namespace copse::io::detail
