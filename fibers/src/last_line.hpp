// What a process that aborts during an exploration still says: how to repeat the execution.
#pragma once

#include <array>
#include <csignal>
#include <cstddef>
#include <string>

#include "choices.hpp"

namespace copse::detail {

/// While one lives, a signal that ends the process and was raised by this thread first writes `beginning` and the choices
/// so far to stderr. What handled it before comes next.
class last_line {
public:
    /// `told` null: `beginning` is all.
    last_line(std::string beginning, const choices* told) noexcept;
    last_line(const last_line&) = delete;
    last_line& operator=(const last_line&) = delete;
    ~last_line();

    /// On this thread, while it is not null: written before. Kept by the caller.
    static void say(const char* why) noexcept;

private:
    static constexpr std::array signals = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

    static void on_signal(int signal, const siginfo_t& what) noexcept;
    void write() const noexcept;
    void restore() const noexcept;

    const std::string beginning_;
    const choices* const told_;
    std::array<struct sigaction, signals.size()> before_{};
};

}  // namespace copse::detail
