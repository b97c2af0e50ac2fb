// Signals that end the program, overflow, stop it, or come while a fiber has changed the mask: SG02, SG03, SG04. SG01 is in
// unit/io_on_signal_test.cpp.

#include "fork_at_rest.hpp"
#include "io_leak_check.hpp"
#include "sanitizer.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

/// Each test has children that wait in a hub of their own.
class IoSignalFault : public io_leak_check {
protected:
    void SetUp() override {
        if (thread_sanitized) GTEST_SKIP() << "ThreadSanitizer knows no forks";
    }
};

/// A child, and what it tells by a pipe.
class child {
public:
    template <class F>
    explicit child(F body) {
        io::pipe_pair ends = io::pipe();
        from_ = std::move(ends.reader);
        pid_ = fork_at_rest();
        if (pid_ == 0) {
            body(ends.writer);
            ::_exit(0);
        }
    }
    child(const child&) = delete;
    child& operator=(const child&) = delete;

    void send(int signal) const { EXPECT_EQ(::kill(pid_, signal), 0); }
    std::string hear() {
        std::array<char, 100> text{};
        return {text.data(), from_.read_for(std::as_writable_bytes(std::span(text)), 10s)};
    }
    /// Of waitpid.
    int changed(int options) const {
        int status = 0;
        EXPECT_EQ(::waitpid(pid_, &status, options), pid_);
        return status;
    }

private:
    io::pipe_reader from_;
    pid_t pid_ = -1;
};

// ---- SG02

TEST_F(IoSignalFault, Fault_SG02_AnInterruptEndsAProgramWhoseFibersAllPark) {
    child c([](io::pipe_writer& to) {
        copse::event never;
        copse::spawn([&] { never.wait(); });
        to.write_all("parked");
        copse::sleep(1h);
    });
    EXPECT_EQ(c.hear(), "parked");
    c.send(SIGINT);
    const int status = c.changed(0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

TEST_F(IoSignalFault, Fault_SG02_TheFirstIsHeardTheSecondEnds) {
    child c([](io::pipe_writer& to) {
        auto waiting = copse::spawn([] { return io::wait_signal({SIGINT}); });
        copse::yield();
        to.write_all("ready");
        to.write_all(waiting.get() == SIGINT ? "interrupted" : "something else");
        copse::sleep(1h);  // clean-up that takes too long for somebody
    });
    EXPECT_EQ(c.hear(), "ready");
    c.send(SIGINT);
    EXPECT_EQ(c.hear(), "interrupted");
    c.send(SIGINT);
    const int status = c.changed(0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

// ---- SG03

/// Real-time signals queue up to a limit; here they are one, as all signals, and nothing is lost but their number.
TEST_F(IoSignalFault, Fault_SG03_MoreRealTimeSignalsThanTheQueueHolds) {
    child c([](io::pipe_writer& to) {
        io::signal_listener listener({SIGRTMIN + 3});
        const rlimit few{20, 20};
        ::setrlimit(RLIMIT_SIGPENDING, &few);
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, SIGRTMIN + 3);
        ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
        bool overflowed = false;
        for (int i = 0; i < 100; ++i) overflowed |= ::sigqueue(::getpid(), SIGRTMIN + 3, {}) != 0 && errno == EAGAIN;
        ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
        const bool heard = listener.wait() == SIGRTMIN + 3;
        const bool once = !listener.try_wait();
        to.write_all(std::string(overflowed ? "overflowed " : "") + (heard && once ? "heard once" : "not heard"));
    });
    EXPECT_EQ(c.hear(), "overflowed heard once");
    EXPECT_EQ(c.changed(0), 0);
}

/// A program that was stopped goes on where it was; what is overdue comes at once.
TEST_F(IoSignalFault, Fault_SG03_StoppedAndContinued) {
    child c([](io::pipe_writer& to) {
        io::signal_listener listener({SIGCONT, SIGWINCH});
        const auto tick = copse::spawn([] { copse::sleep(20ms); });
        to.write_all("ready");
        const bool continued = listener.wait() == SIGCONT;
        tick.join();
        to.write_all(continued ? "continued" : "something else");
        to.write_all(listener.wait() == SIGWINCH ? ", resized" : ", something else");
    });
    EXPECT_EQ(c.hear(), "ready");
    c.send(SIGSTOP);
    EXPECT_TRUE(WIFSTOPPED(c.changed(WUNTRACED)));
    c.send(SIGCONT);
    EXPECT_EQ(c.hear(), "continued");
    c.send(SIGWINCH);
    EXPECT_EQ(c.hear(), ", resized");
    EXPECT_EQ(c.changed(0), 0);
}

// ---- SG04

/// The mask is the thread's: what one fiber blocks is blocked for all, until it says otherwise.
TEST_F(IoSignalFault, Fault_SG04_TheMaskIsTheThreads) {
    child c([](io::pipe_writer& to) {
        io::signal_listener listener({SIGUSR1});
        copse::event enough;
        const auto masking = copse::spawn([&] {
            sigset_t one;
            sigemptyset(&one);
            sigaddset(&one, SIGUSR1);
            ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
            enough.wait();
            ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
        });
        copse::yield();
        ::raise(SIGUSR1);
        const bool kept_back = !listener.try_wait();
        enough.set();
        masking.join();
        const bool came = listener.try_wait() == SIGUSR1;
        to.write_all(std::string(kept_back ? "kept back, " : "not kept back, ") + (came ? "came" : "lost"));
    });
    EXPECT_EQ(c.hear(), "kept back, came");
    EXPECT_EQ(c.changed(0), 0);
}

}  // namespace
