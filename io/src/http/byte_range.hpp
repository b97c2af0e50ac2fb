// Which part of a file a request wants.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace copse::io::http::detail {

struct byte_range {
    std::uint64_t first = 0;
    std::uint64_t count = 0;  // 0: nothing of the file is in it
};

/// Of the field Range, for `size` bytes. Empty if it is to be passed over, as anybody may do (RFC 9110, 14.2): another unit,
/// several ranges, or none that can be read.
std::optional<byte_range> read_range(std::string_view field, std::uint64_t size) noexcept;

}  // namespace copse::io::http::detail
