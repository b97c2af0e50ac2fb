// Base64 (RFC 4648, 4) with padding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace copse::io::http::detail {

inline std::string base64(std::string_view bytes) {
    constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string made;
    made.reserve((bytes.size() + 2) / 3 * 4);
    while (!bytes.empty()) {
        const std::string_view three = bytes.substr(0, 3);
        bytes.remove_prefix(three.size());
        std::uint32_t bits = 0;
        for (std::size_t i = 0; i < 3; ++i)
            bits = bits << 8 | (i < three.size() ? static_cast<unsigned char>(three[i]) : 0U);
        for (std::size_t i = 0; i < 4; ++i) made += i <= three.size() ? letters[bits >> (18 - 6 * i) & 63] : '=';
    }
    return made;
}

}  // namespace copse::io::http::detail
