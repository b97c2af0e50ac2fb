#include "http/request_head.hpp"

#include "http/characters.hpp"
#include "http/fields_access.hpp"

namespace copse::io::http::detail {

namespace {

/// Takes the first line off, and returns it without its end.
std::string_view take_line(std::string_view& lines) noexcept {
    const std::size_t length = lines.find('\n') - 1;
    const std::string_view line = lines.substr(0, length);
    lines.remove_prefix(length + 2);
    return line;
}

/// Takes what precedes the next space off, and the space.
std::string_view take_word(std::string_view& line) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) throw error(errc::bad_start_line);
    const std::string_view word = line.substr(0, space);
    line.remove_prefix(space + 1);
    return word;
}

version version_of(std::string_view text) {
    const bool has_form =
        text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) && text[6] == '.' && is_digit(text[7]);
    if (!has_form) throw error(errc::bad_start_line);
    if (text[5] != '1' || text[7] > '1') throw error(errc::version_not_supported);
    return text[7] == '1' ? version::http_1_1 : version::http_1_0;
}

void parse_start_line(std::string_view line, const limits& with, request& into) {
    const std::string_view method = take_word(line);
    const std::string_view target = take_word(line);
    if (!is_token(method) || target.empty() || !all_are<is_target_character>(target)) throw error(errc::bad_start_line);
    into.version = version_of(line);
    if (method.size() > with.method) throw error(errc::method_not_known);
    if (target.size() > with.target) throw error(errc::target_too_long);
    into.method = method;
    into.target = target;
}

field parse_field(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) throw error(errc::bad_field, "a line without a colon");
    const field f{line.substr(0, colon), trimmed(line.substr(colon + 1))};
    if (!is_token(f.name)) throw error(errc::bad_field, "a name that is no token");
    if (!all_are<is_value_character>(f.value)) throw error(errc::bad_field, "a control character in a value");
    return f;
}

}  // namespace

framing parse_request_head(std::string_view head, const limits& with, request& into) {
    into.headers.clear();
    into.body.clear();
    parse_start_line(take_line(head), with, into);
    framing found;
    for (std::string_view line = take_line(head); !line.empty(); line = take_line(head)) {
        if (into.headers.size() == with.header_count) throw error(errc::header_too_large, "too many fields");
        const field f = parse_field(line);
        fields_access::add(into.headers, f.name, f.value);
        found.note(f.name, f.value);
    }
    found.conclude_request(into.method.text(), into.target, into.version);
    return found;
}

}  // namespace copse::io::http::detail
