// Times that users set as options.
#pragma once

#include <chrono>
#include <initializer_list>

namespace copse::io::detail {

struct named_time {
    const char* name;
    std::chrono::nanoseconds value;
};

/// A time below 0 would be over before it begins: nobody means that, and few would find out why nothing works.
/// Throws:  std::invalid_argument, which names it.
void check_times(const char* whose, std::initializer_list<named_time> all);

}  // namespace copse::io::detail
