#include "child.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include <copse/io/wait.hpp>

#include "failure.hpp"
#include "reactor.hpp"
#include "signal_name.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

namespace {

std::string name_of(pid_t pid) { return "process " + std::to_string(pid); }

// Where SIGCHLD is ignored, a process that has ended leaves nothing: its number may be another's already.
bool is_still_child(pid_t pid) noexcept {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/// -1 if it has gone without a trace.
int open_pidfd(pid_t pid) {
    const int fd = sys.pidfd_open(pid);
    if (fd >= 0) return fd;
    const int error = errno;
    if (error == ESRCH) return -1;
    if (is_still_child(pid)) {
        ::kill(pid, SIGKILL);
        while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {}
    }
    fail(error, "pidfd_open of " + name_of(pid));
}

exit_status status_of(const siginfo_t& info) noexcept {
    if (info.si_code == CLD_EXITED) return exit_status::exited_with(info.si_status);
    return exit_status::ended_by(info.si_status, info.si_code == CLD_DUMPED);
}

}  // namespace

child::child() noexcept : made_by_(::getpid()) {}

void child::adopt(pid_t pid) {
    pid_ = pid;
    pidfd_ = open_pidfd(pid);
    if (pidfd_ < 0) status_ = exit_status::lost();
}

child::~child() {
    if (pidfd_ < 0) return;
    notify_closing(pidfd_);
    sys.close(pidfd_);
}

const std::optional<exit_status>& child::look() noexcept {
    if (status_) return status_;
    siginfo_t info{};
    const int result = sys.wait_pidfd(pidfd_, &info, WEXITED | WNOHANG);
    if (result == 0 && info.si_pid != 0) status_ = status_of(info);
    // Somebody else has taken the status, or SIGCHLD is ignored: what is left is to know when it ends.
    if (result < 0 && errno == ECHILD && sys.pidfd_send_signal(pidfd_, 0) != 0 && errno == ESRCH)
        status_ = exit_status::lost();
    return status_;
}

std::optional<exit_status> child::wait(limit& within) {
    copse::detail::attend();
    while (!look()) {
        // A pidfd stays readable once it is: of many who wait, each that is woken leaves the event to the next.
        if (!reactor::here().await_by_number(pidfd_, direction::in, within, sharing::many, "wait for a process"))
            return look();
    }
    return status_;
}

bool child::signal(int number) const {
    if (status_) return false;
    if (sys.pidfd_send_signal(pidfd_, number) == 0) return true;
    if (errno == ESRCH) return false;
    fail(errno, signal_name(number) + " to " + name_of(pid_));
}

bool child::is_ours() const noexcept { return made_by_ == ::getpid(); }

void child::wait_blocking() noexcept {
    siginfo_t info{};
    while (sys.wait_pidfd(pidfd_, &info, WEXITED) < 0 && errno == EINTR) {}
    status_ = exit_status::lost();
}

}  // namespace copse::io::detail
