// A process of ours: its number, the pidfd that stands for it, how it ended.
//
// Invariant: its status is taken (waitid) at most once, through the pidfd; until then the number is its own.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include <copse/io/detail/limit.hpp>
#include <copse/io/exit_status.hpp>
#include <copse/io/process_options.hpp>

#include <copse/io/descriptor.hpp>

namespace copse::io::detail {

/// Our ends of its pipes.
struct child_pipes {
    descriptor input;
    descriptor output;
    descriptor errors;
};

/// Throws:  see process.
pid_t start_child(const std::vector<std::string>& arguments, const process_options& with, child_pipes& pipes);

class child {
public:
    child() noexcept;
    ~child();
    child(const child&) = delete;
    child& operator=(const child&) = delete;

    /// A fresh process, once. It is killed if this fails.
    void adopt(pid_t pid);

    pid_t pid() const noexcept { return pid_; }

    /// Whether it has ended. Takes the status if it is there.
    const std::optional<exit_status>& look() noexcept;

    /// Waits for that; empty at the deadline. Whoever calls it holds it meanwhile.
    std::optional<exit_status> wait(limit& within);

    /// False if it has ended.
    bool signal(int number) const;

    /// We have started it, not the process that we were forked from.
    bool is_ours() const noexcept;

    /// Blocks the thread until it has ended.
    void wait_blocking() noexcept;

private:
    pid_t pid_ = 0;
    const pid_t made_by_;
    int pidfd_ = -1;  // also of a process that has gone without a trace
    std::optional<exit_status> status_;
};

}  // namespace copse::io::detail
