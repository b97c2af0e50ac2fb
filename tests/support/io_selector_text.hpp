#pragma once

/// What a selector reports, as text.

#include <copse/fiber.hpp>
#include <copse/io/selector.hpp>

#include <map>
#include <string>
#include <vector>

namespace copse_test {

/// "7:r 9:rw", by number.
inline std::string text_of_events(const std::vector<copse::io::selected>& all) {
    std::map<int, copse::io::readiness> sorted;
    for (const auto& one : all) sorted[one.key->fd] = one.events;
    std::string text;
    for (const auto& one : sorted) {
        text += (text.empty() ? "" : " ") + std::to_string(one.first) + ":";
        if (has(one.second, copse::io::readiness::read)) text += 'r';
        if (has(one.second, copse::io::readiness::write)) text += 'w';
    }
    return text;
}

inline std::string event_of(int fd, const char* what) { return std::to_string(fd) + ":" + what; }

/// Lets others run until what they began is waiting.
inline void settle() {
    for (int i = 0; i < 3; ++i) copse::yield();
}

}  // namespace copse_test
