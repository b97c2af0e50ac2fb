#include "http/request_head.hpp"

#include "http/characters.hpp"
#include "http/fields_access.hpp"

namespace copse::io::http::detail {

namespace {

/// Apart, so that fields which are good pay nothing for it.
[[noreturn]] void refuse(errc what, const char* why) { throw error(what, why); }

/// Takes the characters of a kind off the front. Each byte of a head is looked at once: what ends one part is what begins
/// the next, or is an error.
template <bool (*Is)(char) noexcept>
std::string_view take(std::string_view& from) noexcept {
    std::size_t length = 0;
    while (length != from.size() && Is(from[length])) ++length;
    const std::string_view taken = from.substr(0, length);
    from.remove_prefix(length);
    return taken;
}

bool take(char wanted, std::string_view& from) noexcept {
    if (from.empty() || from.front() != wanted) return false;
    from.remove_prefix(1);
    return true;
}

bool take_line_end(std::string_view& from) noexcept { return take('\r', from) && take('\n', from); }

version take_version(std::string_view& from) {
    const std::string_view text = from.substr(0, 8);
    const bool has_form =
        text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) && text[6] == '.' && is_digit(text[7]);
    from.remove_prefix(text.size());
    if (!has_form || !take_line_end(from)) throw error(errc::bad_start_line);
    if (text[5] != '1' || text[7] > '1') throw error(errc::version_not_supported);
    return text[7] == '1' ? version::http_1_1 : version::http_1_0;
}

void take_start_line(std::string_view& from, const limits& with, request& into) {
    const std::string_view method = take<is_token_character>(from);
    if (method.empty() || !take(' ', from)) throw error(errc::bad_start_line);
    const std::string_view target = take<is_target_character>(from);
    if (target.empty() || !take(' ', from)) throw error(errc::bad_start_line);
    into.version = take_version(from);
    if (method.size() > with.method) throw error(errc::method_not_known);
    if (target.size() > with.target) throw error(errc::target_too_long);
    into.method = method;
    into.target = target;
}

field take_field(std::string_view& from) {
    const std::string_view name = take<is_token_character>(from);
    if (name.empty() || !take(':', from)) refuse(errc::bad_field, "no name and colon");
    const std::string_view value = take<is_value_character>(from);
    if (!take_line_end(from)) refuse(errc::bad_field, "a control character in a value");
    return {name, trimmed(value)};
}

}  // namespace

framing parse_request_head(std::string_view head, const limits& with, request& into) {
    into.headers.clear();
    into.body.clear();
    take_start_line(head, with, into);
    framing found;
    while (!take_line_end(head)) {
        if (into.headers.size() == with.header_count) refuse(errc::header_too_large, "too many fields");
        const field f = take_field(head);
        fields_access::add(into.headers, f.name, f.value);
        found.note(f.name, f.value);
    }
    found.conclude_request(into.method.text(), into.target, into.version);
    return found;
}

}  // namespace copse::io::http::detail
