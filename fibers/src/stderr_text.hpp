// Reports that must come out whole, whoever else writes.
#pragma once

#include <cerrno>
#include <string_view>
#include <unistd.h>

namespace copse::detail {

/// In one write if the kernel takes it; what cannot be written is lost.
inline void write_to_stderr(std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace copse::detail
