/// A place in a source file: where a fiber was spawned.
#pragma once

namespace copse {

/// As a default argument it names the caller's line. Stands in for std::source_location, which clang only has from version
/// 16 on.
struct source_site {
    const char* file = nullptr;
    unsigned line = 0;

    static constexpr source_site current(const char* file = __builtin_FILE(),
                                         unsigned line = __builtin_LINE()) noexcept {
        return {file, line};
    }
};

}  // namespace copse
