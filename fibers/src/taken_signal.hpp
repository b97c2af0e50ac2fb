// A signal of the process that we handle for a while.
#pragma once

#include <signal.h>

namespace copse::detail {

/// Not thread-safe: for one signal there is at most one at a time.
class taken_signal {
public:
    using handler = void (*)(int, siginfo_t*, void*);

    /// The handler runs on the alternate stack of its thread if that has one; system calls that it interrupts are restarted
    /// where the kernel can.
    /// Throws:  std::invalid_argument, `who` in its text, if there is no such signal or it cannot be handled.
    taken_signal(int signal, handler handle, const char* who);
    /// Puts back what was there, unless somebody has taken the signal since.
    ~taken_signal();
    taken_signal(const taken_signal&) = delete;
    taken_signal& operator=(const taken_signal&) = delete;

    const struct sigaction& before() const noexcept { return before_; }

private:
    int signal_;
    handler handle_;
    struct sigaction before_ {};
};

/// Calls what `action` is, if it is a function. Async-signal-safe if that is.
void pass_on(const struct sigaction& action, int signal, siginfo_t* info, void* context) noexcept;

}  // namespace copse::detail
