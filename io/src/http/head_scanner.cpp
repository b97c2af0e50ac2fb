#include "http/head_scanner.hpp"

#include <algorithm>

#include "http/characters.hpp"

namespace copse::io::http::detail {

namespace {

/// Apart, so that lines which are good pay nothing for it.
[[noreturn]] void refuse(errc what, const char* why) { throw error(what, why); }

}  // namespace

std::size_t head_scanner::look(std::string_view so_far) {
    // TLS and other languages are known by their first byte.
    if (!so_far.empty() && !is_token_character(so_far.front())) throw error(errc::bad_start_line);
    for (;;) {
        const std::size_t newline = so_far.find('\n', searched_);
        if (newline == std::string_view::npos) {
            searched_ = so_far.size();
            check_length(so_far, so_far.size());
            return 0;
        }
        const bool is_last = newline == line_ + 1;
        end_line(so_far, newline);
        if (is_last) return newline + 1;
    }
}

void head_scanner::end_line(std::string_view so_far, std::size_t newline) {
    if (newline == line_ || so_far[newline - 1] != '\r')
        refuse(lines_ == 0 ? errc::bad_start_line : errc::bad_field, "a line ends without CR");
    if (lines_ != 0 && is_blank(so_far[line_])) refuse(errc::bad_field, "a line is continued");
    check_length(so_far, newline + 1);
    if (++lines_ > limits_.header_count + 2) refuse(errc::header_too_large, "too many fields");
    line_ = searched_ = newline + 1;
}

// Of a head that is too long the first line may be to blame.
void head_scanner::refuse_length(std::string_view so_far) const {
    if (lines_ != 0) throw error(errc::header_too_large);
    const std::size_t method = std::min(so_far.find(' '), so_far.size());
    throw error(method > limits_.method ? errc::method_not_known : errc::target_too_long);
}

}  // namespace copse::io::http::detail
