// Fields from a message that was parsed: checked there, not again.
#pragma once

#include <string_view>

#include <copse/io/http/fields.hpp>

namespace copse::io::http::detail {

struct fields_access {
    /// `name` is a token, `value` has no control characters and no blanks around it.
    static void add(fields& to, std::string_view name, std::string_view value) {
        to.lines_.append(name).append(": ").append(value).append("\r\n");
        ++to.count_;
    }
};

}  // namespace copse::io::http::detail
