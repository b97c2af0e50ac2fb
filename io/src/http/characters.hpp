// The alphabets of RFC 9110 and 9112.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace copse::io::http::detail {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

constexpr bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

/// Letters, digits and these.
constexpr std::array<bool, 256> letters_digits_and(std::string_view others) noexcept {
    std::array<bool, 256> table{};
    for (unsigned c = 0; c < table.size(); ++c)
        table[c] = is_letter(static_cast<char>(c)) || is_digit(static_cast<char>(c));
    for (const char c : others) table[static_cast<unsigned char>(c)] = true;
    return table;
}

inline constexpr std::array<bool, 256> token_characters = letters_digits_and("!#$%&'*+-.^_`|~");
inline constexpr std::array<bool, 256> value_characters = [] {
    std::array<bool, 256> table{};
    for (unsigned c = 0; c < table.size(); ++c) table[c] = c == '\t' || (c >= ' ' && c != 0x7f);
    return table;
}();
inline constexpr std::array<bool, 256> host_characters = letters_digits_and("-._~!$&'()*+,;=:[]%");

constexpr bool is_token_character(char c) noexcept { return token_characters[static_cast<unsigned char>(c)]; }

/// What may stand in a Host, with its port.
constexpr bool is_host_character(char c) noexcept { return host_characters[static_cast<unsigned char>(c)]; }

/// What may stand in a value: printed characters, blanks, and bytes that are no ASCII, which are passed on as they are.
constexpr bool is_value_character(char c) noexcept { return value_characters[static_cast<unsigned char>(c)]; }

/// What may stand in a target: printed ASCII without the space.
constexpr bool is_target_character(char c) noexcept { return c > ' ' && c < 0x7f; }

template <bool (*Is)(char) noexcept>  // known when it is compiled, so that no call is left
constexpr bool all_are(std::string_view text) noexcept {
    for (const char c : text) {
        if (!Is(c)) return false;
    }
    return true;
}

/// Without the blanks around it.
constexpr std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

}  // namespace copse::io::http::detail
