// The cold half of value: the report of a wrong cast.

#include <copse/detail/type_name.hpp>
#include <copse/error.hpp>
#include <copse/value.hpp>

namespace copse::detail {

void throw_bad_value_cast(const std::type_info* held, const std::type_info& asked) {
    const std::string what = held == nullptr ? "is empty" : "holds " + type_name(*held);
    throw bad_value_cast("value " + what + ", asked for " + type_name(asked));
}

}  // namespace copse::detail
