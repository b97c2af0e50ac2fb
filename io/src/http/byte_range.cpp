#include "http/byte_range.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include <copse/io/http/fields.hpp>

#include "http/characters.hpp"

namespace copse::io::http::detail {

namespace {

/// One that is too large is as good as the largest: no file is that long.
std::optional<std::uint64_t> number_of(std::string_view text) noexcept {
    std::uint64_t n = 0;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (text.empty() || bad == std::errc::invalid_argument || end != text.data() + text.size()) return std::nullopt;
    return bad == std::errc() ? n : std::numeric_limits<std::uint64_t>::max();
}

/// "-500": the last ones.
std::optional<byte_range> read_suffix(std::string_view length, std::uint64_t size) noexcept {
    const auto wanted = number_of(length);
    if (!wanted) return std::nullopt;
    const std::uint64_t count = std::min(*wanted, size);
    return byte_range{size - count, count};
}

}  // namespace

std::optional<byte_range> read_range(std::string_view field, std::uint64_t size) noexcept {
    constexpr std::string_view unit = "bytes=";
    if (!same_word(field.substr(0, unit.size()), unit)) return std::nullopt;
    const std::string_view range = trimmed(field.substr(unit.size()));
    const std::size_t dash = range.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    if (dash == 0) return read_suffix(range.substr(1), size);
    const auto first = number_of(range.substr(0, dash));
    const bool to_the_end = dash + 1 == range.size();
    const auto last = to_the_end ? std::numeric_limits<std::uint64_t>::max() : number_of(range.substr(dash + 1));
    if (!first || !last || *last < *first) return std::nullopt;
    if (*first >= size) return byte_range{};
    return byte_range{*first, std::min(*last, size - 1) - *first + 1};
}

}  // namespace copse::io::http::detail
