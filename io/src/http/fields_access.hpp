// Fields from a message that was parsed: checked there, not again.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <copse/io/http/fields.hpp>

namespace copse::io::http::detail {

/// "Name: value\r\n", with one look at the capacity.
inline void append_line(std::string& to, std::string_view name, std::string_view value) {
    const std::size_t size = to.size();
    to.resize(size + name.size() + value.size() + 4);
    char* at = to.data() + size;
    at += name.copy(at, name.size());
    *at++ = ':';
    *at++ = ' ';
    at += value.copy(at, value.size());
    *at++ = '\r';
    *at = '\n';
}

struct fields_access {
    /// `name` is a token, `value` has no control characters and no blanks around it.
    static void add(fields& to, std::string_view name, std::string_view value) {
        append_line(to.lines_, name, value);
        ++to.count_;
    }
};

}  // namespace copse::io::http::detail
