// The time of day as HTTP writes it.
#pragma once

#include <ctime>
#include <string_view>

namespace copse::io::http::detail {

/// "Sun, 06 Nov 1994 08:49:37 GMT". Made at most once a second and thread: good until this thread asks again.
std::string_view date_now() noexcept;

/// The same of `when`, into 30 bytes. Returns: the 29 before the end of the text.
std::string_view write_date(std::time_t when, char* into) noexcept;

}  // namespace copse::io::http::detail
