// Points in time, made of what a caller gave and of what the options say.
#pragma once

#include <chrono>
#include <optional>

#include <copse/clock.hpp>
#include <copse/io/detail/limit.hpp>

namespace copse::io::http::detail {

inline constexpr clock::time_point no_deadline = clock::time_point(std::chrono::nanoseconds(copse::detail::never));

inline clock::time_point deadline_of(io::detail::limit within) {
    return clock::time_point(std::chrono::nanoseconds(within.deadline()));
}

/// Saturates where the clock ends.
inline clock::time_point deadline_in(std::chrono::nanoseconds length) {
    return deadline_of(io::detail::limit::within(length));
}

/// Of an option: 0 is for ever.
inline clock::time_point standing_deadline(std::chrono::nanoseconds length) {
    return length.count() > 0 ? deadline_in(length) : no_deadline;
}

/// The caller's own, if it gave one.
inline clock::time_point deadline_of(std::optional<io::detail::limit> within, std::chrono::nanoseconds standing) {
    return within ? deadline_of(*within) : standing_deadline(standing);
}

}  // namespace copse::io::http::detail
