// Processes. Rules 44 and 120 of gevent's list.

#include "io_leak_check.hpp"
#include "worker.hpp"

#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

class GeventProcess : public io_leak_check {
protected:
    void TearDown() override {
        io_leak_check::TearDown();
        EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child was left behind";
        EXPECT_EQ(errno, ECHILD);
    }
};

/// Ends when its input does.
io::process reader_of_its_input() { return io::process({"cat"}, {.input = io::redirect::pipe}); }

/// Blocks the thread until the process has ended, and takes nothing.
void await_end(const io::process& p) {
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(p.pid()), &info, WEXITED | WNOWAIT), 0);
}

// rule 120: only the caller waits.
TEST_F(GeventProcess, WaitingParksTheCallerAlone) {
    io::process p = reader_of_its_input();
    auto waiting = copse::spawn([&] {
        const auto status = p.wait();
        log("ended");
        return status;
    });
    copse::yield();
    log("others");
    p.input().close();
    EXPECT_EQ(waiting.get().code(), 0);
    EXPECT_EQ(log.text(), "others ended");
}

// rule 120, changed: who never waits sees the end too.
TEST_F(GeventProcess, PollSeesTheEndWithoutATurnOfTheHub) {
    io::process p = reader_of_its_input();
    auto other = copse::spawn([&] { log("other"); });
    EXPECT_EQ(p.poll(), std::nullopt);
    p.input().close();
    await_end(p);
    EXPECT_EQ(p.poll(), io::exit_status::exited_with(0));
    log("polled");
    other.join();
    EXPECT_EQ(log.text(), "polled other");
}

// rule 120, changed: every thread has processes, not only the one that was first.
TEST_F(GeventProcess, EveryThreadMayStartAndWait) {
    in_thread([] {
        io::process p = reader_of_its_input();
        auto waiting = copse::spawn([&] { return p.wait(); });
        copse::yield();
        p.input().close();
        EXPECT_EQ(waiting.get().code(), 0);
    });
}

// rule 120, and test__issue600: children of others are told to others, before and after.
TEST_F(GeventProcess, ChildrenOfOthersAreWaitedForByOthers) {
    for (int i = 0; i < 2; ++i) {
        const pid_t others = ::fork();
        if (others == 0) ::_exit(7);
        EXPECT_EQ(io::run({"true"}).status.code(), 0);
        int status = 0;
        EXPECT_EQ(::waitpid(others, &status, 0), others);
        EXPECT_EQ(WEXITSTATUS(status), 7);
    }
}

// rule 44: a mix of waits, by readiness. A process is waited for by a fiber.
TEST_F(GeventProcess, IsWaitedForAmongOthersByReadiness) {
    io::process first = reader_of_its_input();
    io::process second = reader_of_its_input();
    const auto end_of = [](io::process& p) { return copse::spawn([&p] { return p.wait().code(); }); };
    const std::vector<copse::fiber<int>> ends = {end_of(first), end_of(second)};
    copse::event never;
    second.input().close();
    EXPECT_EQ(copse::wait_any(ends[0], ends[1], never), 1U);
    first.input().close();
    EXPECT_EQ(copse::wait_any(ends[0], never), 0U);
}

}  // namespace
