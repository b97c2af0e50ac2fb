// Threads of our own take no signals: those are for the threads that the program made.
#pragma once

#include <signal.h>

namespace copse::detail {

/// While one lives, threads that are made start with all signals blocked but those that say what they themselves did wrong.
/// Programs that they start inherit that.
class signals_kept_out {
public:
    signals_kept_out() noexcept {
        sigset_t all;
        sigfillset(&all);
        for (const int own_fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS})
            sigdelset(&all, own_fault);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    signals_kept_out(const signals_kept_out&) = delete;
    signals_kept_out& operator=(const signals_kept_out&) = delete;
    ~signals_kept_out() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_;
};

}  // namespace copse::detail
