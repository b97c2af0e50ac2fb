#pragma once

/// fork(2) for a process with threads, under AddressSanitizer: that of g++ 12 lets its allocator's locks be held over a fork
/// by a thread that the child has not, and the child hangs at them. Who sleeps in a wait of ours holds none.

#include "sanitizer.hpp"

#include <sched.h>
#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace copse_test {

/// Whether every other thread of this process sleeps now.
inline bool others_sleep() {
    const std::string self = std::to_string(::gettid());
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        if (task.path().filename() == self) continue;
        std::ifstream stat(task.path() / "stat");
        const std::string text{std::istreambuf_iterator<char>(stat), {}};
        const auto name_end = text.rfind(") ");  // "tid (name) state": see proc(5)
        if (name_end != std::string::npos && text[name_end + 2] != 'S') return false;
    }
    return true;
}

/// As fork(2). If the others are never at rest it forks all the same, after some hundred looks.
inline pid_t fork_at_rest() {
    constexpr int patience = 300;
    // Twice in a row: who waited for a lock at the first look may have been woken by one who was at work.
    for (int seen = 0, looks = 0; address_sanitized && seen < 2 && looks < patience; ++looks) {
        seen = others_sleep() ? seen + 1 : 0;
        if (seen == 0) ::sched_yield();
    }
    return ::fork();
}

}  // namespace copse_test
