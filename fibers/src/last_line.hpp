// What a process that aborts during an exploration still says: how to repeat the execution.
#pragma once

#include <csignal>
#include <string>

#include "choices.hpp"

namespace copse::detail {

/// While one lives, an abort on this thread writes `beginning` and the choices so far to stderr, and dies as before.
class last_line {
public:
    /// `told` null: `beginning` is all.
    last_line(std::string beginning, const choices* told) noexcept;
    last_line(const last_line&) = delete;
    last_line& operator=(const last_line&) = delete;
    ~last_line();

private:
    static void on_abort(int signal) noexcept;
    void write() const noexcept;

    const std::string beginning_;
    const choices* const told_;
    struct sigaction before_ {};
};

}  // namespace copse::detail
