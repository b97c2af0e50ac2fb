// The end of a stream that may be of somebody's own making.
#pragma once

#include <exception>
#include <optional>

#include <copse/io/any_stream.hpp>
#include <copse/shield.hpp>

namespace copse::io::http::detail {

/// Closes it. A kill that comes while that parks comes after it; a stream that cannot even be closed is let be.
/// Also for what is ended late, when its thread's greenlets are gone: then nobody can be killed any more.
inline void close_quietly(any_stream& stream) noexcept {
    std::optional<shield> kept_back;
    try {
        kept_back.emplace();
    } catch (const std::exception&) {
        // It is closed all the same.
    }
    try {
        stream.close();
    } catch (...) {
        // Nothing can be done for it.
    }
}

}  // namespace copse::io::http::detail
