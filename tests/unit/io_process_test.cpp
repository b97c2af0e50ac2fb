// Processes: starting, feeding, reading, waiting, ending; the SP rows of the fault list.

#include "at_end.hpp"
#include "exceptions.hpp"
#include "fork_at_rest.hpp"
#include "io_leak_check.hpp"
#include "io_system_calls.hpp"
#include "system_calls.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <limits>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::redirect;

namespace {

/// No child is left when the test ends, ended or not.
class IoProcess : public io_leak_check {
protected:
    void TearDown() override {
        io_leak_check::TearDown();
        EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child was left behind";
        EXPECT_EQ(errno, ECHILD);
    }
    ~IoProcess() override { put_back_system_calls(); }
};

io::process sleeper() { return io::process({"sleep", "600"}); }

TEST_F(IoProcess, TellsHowItEnded) {
    EXPECT_EQ(io::process({"true"}).wait(), io::exit_status::exited_with(0));
    const io::process failing({"sh", "-c", "exit 3"});
    EXPECT_EQ(failing.wait().code(), 3);
    EXPECT_EQ(failing.wait().code(), 3);
    EXPECT_EQ(failing.poll()->code(), 3);
    EXPECT_FALSE(failing.kill());
    const io::exit_status by_signal = io::process({"sh", "-c", "kill -USR1 $$"}).wait();
    EXPECT_TRUE(by_signal.signalled());
    EXPECT_EQ(by_signal.signal(), SIGUSR1);
    EXPECT_EQ(by_signal.code(), -1);
    EXPECT_EQ(to_string(by_signal), "ended by SIGUSR1");
    EXPECT_EQ(to_string(failing.wait()), "exited with 3");
}

TEST_F(IoProcess, OthersRunMeanwhile) {
    const io::process p = sleeper();
    auto waiting = copse::spawn([&] { return p.wait(); });
    copse::yield();
    EXPECT_FALSE(p.poll());
    EXPECT_TRUE(p.terminate());
    EXPECT_EQ(waiting.get().signal(), SIGTERM);
}

TEST_F(IoProcess, ManyWait) {
    const io::process p = sleeper();
    std::vector<copse::fiber<io::exit_status>> waiting;
    for (int i = 0; i < 5; ++i) waiting.push_back(copse::spawn([&] { return p.wait(); }));
    copse::yield();
    p.kill();
    for (const auto& w : waiting) EXPECT_EQ(w.get().signal(), SIGKILL);
}

TEST_F(IoProcess, TimeIsUp) {
    const io::process p = sleeper();
    EXPECT_EQ(p.wait_for(0s), std::nullopt);
    EXPECT_EQ(p.wait_for(-1s), std::nullopt);
    EXPECT_EQ(p.wait_for(1ms), std::nullopt);
    EXPECT_THROW(p.wait_for(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())),
                 copse::invalid_duration);
    EXPECT_EQ(p.stop_for(10s).signal(), SIGTERM);
}

// SP01: the child's error, the program's name, nothing left.
TEST_F(IoProcess, Fault_SP01_CannotStart) {
    EXPECT_EQ(error_of([] { io::process({"/no/such/program"}); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(error_of([] { io::process({"no-such-program-in-path"}); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(error_of([] { io::process({"/etc/passwd"}); }), std::errc::permission_denied);
    EXPECT_EQ(error_of([] { io::process({"true"}, {.cwd = "/no/such"}); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(error_of([] { io::process({"true", std::string(4 << 20, 'x')}); }), std::errc::argument_list_too_long);
    EXPECT_EQ(error_of([] { io::process({"true"}, {.input = redirect::file("/no/such")}); }),
              std::errc::no_such_file_or_directory);
    EXPECT_EQ(text_of([] { io::process({"/no/such/program"}, {.output = redirect::pipe}); }),
              "start of \"/no/such/program\": No such file or directory");
}

TEST_F(IoProcess, Fault_SP01_NoPidfd) {
    io::detail::sys.pidfd_open = [](pid_t) {
        errno = EMFILE;
        return -1;
    };
    EXPECT_EQ(error_of([] { sleeper(); }), std::errc::too_many_files_open);
}

// SP02: with SIGCHLD ignored it may have gone before we could look.
TEST_F(IoProcess, Fault_SP02_GoneBeforeWeLook) {
    io::detail::sys.pidfd_open = [](pid_t pid) {
        ::waitpid(pid, nullptr, 0);
        errno = ESRCH;
        return -1;
    };
    const io::process p({"true"});
    EXPECT_FALSE(p.wait().known());
    EXPECT_FALSE(p.kill());
}

TEST_F(IoProcess, RefusesWhatIsNoCommand) {
    EXPECT_THROW(io::process(std::vector<std::string>{}), std::invalid_argument);
    EXPECT_THROW(io::process({"true"}, {.env = io::environment{{"A=B", ""}}}), std::invalid_argument);
    EXPECT_THROW(io::process({"true"}, {.env = io::environment{{"", "x"}}}), std::invalid_argument);
    EXPECT_THROW(io::process({"true"}, {.output = redirect::to_output}), std::invalid_argument);
    EXPECT_THROW(io::process().wait(), copse::empty_handle);
    EXPECT_EQ(error_of([] { sleeper().kill(1000); }), std::errc::invalid_argument);
}

// SP02: fifty at once, on two threads.
TEST_F(IoProcess, Fault_SP02_ManyAtOnce) {
    const auto start_many = [] {
        std::vector<copse::fiber<int>> all;
        for (int i = 0; i < 25; ++i)
            all.push_back(copse::spawn([i] {
                return io::run({"sh", "-c", "exit " + std::to_string(i)}).status.code();
            }));
        for (int i = 0; i < 25; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].get(), i);
    };
    std::thread other(start_many);
    start_many();
    other.join();
}

// SP03: whatever the program does with SIGCHLD.
TEST_F(IoProcess, Fault_SP03_SigchldIsTheProgramsOwn) {
    static std::atomic<bool> told;
    told = false;
    const auto before = ::signal(SIGCHLD, [](int) { told = true; });
    EXPECT_TRUE(io::run({"true"}).status.success());
    while (!told) copse::yield();  // the kernel sends it after the end has been seen, to whichever thread
    ::signal(SIGCHLD, SIG_IGN);
    const copse_test::at_end put_back([before] { ::signal(SIGCHLD, before); });
    for (int i = 0; i < 20; ++i) EXPECT_FALSE(io::process({"true"}).wait().known());
}

TEST_F(IoProcess, Fault_SP03_OthersChildrenAreTheirs) {
    const pid_t foreign = ::fork();
    if (foreign == 0) ::_exit(5);
    EXPECT_TRUE(io::run({"true"}).status.success());
    int status = 0;
    EXPECT_EQ(::waitpid(foreign, &status, 0), foreign);
    EXPECT_EQ(WEXITSTATUS(status), 5);
}

TEST_F(IoProcess, Fault_SP03_StatusTakenByAnother) {
    const io::process p = sleeper();
    p.kill();
    EXPECT_EQ(::waitpid(-1, nullptr, 0), p.pid());
    EXPECT_FALSE(p.wait().known());
}

// SP04: neither side waits for the other, whatever the sizes.
TEST_F(IoProcess, Fault_SP04_MuchBothWays) {
    const std::string sent = pattern(1 << 20);
    const io::process_result result = io::run({"cat"}, {}, sent);
    EXPECT_TRUE(result.output == sent);
    EXPECT_TRUE(result.status.success());
    const io::process_result twice = io::run({"sh", "-c", "tee /dev/stderr"}, {}, sent);
    EXPECT_TRUE(twice.output == sent);
    EXPECT_TRUE(twice.errors == sent);
}

TEST_F(IoProcess, Fault_SP05_ClosesItsInputEarly) {
    const io::process_result result = io::run({"head", "-c", "3"}, {}, pattern(1 << 20));
    EXPECT_EQ(result.output.size(), 3U);
    EXPECT_TRUE(result.status.success());
}

TEST_F(IoProcess, Fault_SP05_WritesMoreThanItMay) {
    for (const char* where : {"yes", "yes >&2"}) {
        EXPECT_EQ(error_of([&] {
                      io::run({"sh", "-c", where}, {.max_output = 1 << 16});
                  }),
                  std::errc::file_too_large)
            << where;
    }
}

TEST_F(IoProcess, Fault_SP05_IgnoresSigterm) {
    io::process p({"sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"}, {.output = redirect::pipe});
    EXPECT_EQ(p.output().read_pooled().text(), "ready\n");
    EXPECT_EQ(p.stop_for(10ms).signal(), SIGKILL);
}

// Its cat holds the other stream open until `held` is closed.
TEST_F(IoProcess, Fault_SP05_TooMuchOfOneStreamEndsBoth) {
    for (const char* program : {"exec 3<&0; cat <&3 & yes >&2", "exec 3<&0; cat <&3 >&2 & yes"}) {
        auto held = io::pipe();
        io::process p({"sh", "-c", program}, {.input = redirect::descriptor(held.reader.native_handle()),
                                              .output = redirect::pipe,
                                              .errors = redirect::pipe,
                                              .max_output = 1000});
        EXPECT_EQ(error_of([&] { p.communicate_for(10s); }), std::errc::file_too_large) << program;
        EXPECT_EQ(p.wait().signal(), SIGKILL);
    }
}

TEST_F(IoProcess, OneFiberCommunicates) {
    const std::string sent = pattern(1 << 20);
    io::process p({"sh", "-c", "read line; cat"}, {.input = redirect::pipe, .output = redirect::pipe});
    auto first = copse::spawn([&] { return p.communicate("go\n" + sent).output; });
    copse::yield();
    EXPECT_EQ(text_of([&] { p.communicate("more"); }), "communicate: another fiber is in this direction of the stream");
    EXPECT_TRUE(first.get() == sent);
}

// Its streams have ended, it has not.
TEST_F(IoProcess, OneFiberCommunicatesToTheEnd) {
    io::process p({"sh", "-c", "exec >&-; exec sleep 600"}, {.output = redirect::pipe});
    auto first = copse::spawn([&] { return p.communicate(); });
    copse::yield();
    while (p.output().is_open()) copse::sleep(1ms);
    EXPECT_THROW(p.communicate(), copse::concurrent_use);
    p.kill();
    EXPECT_EQ(first.get().status.signal(), SIGKILL);
}

TEST_F(IoProcess, RefusesInputWithoutAPipe) {
    io::process p({"cat"}, {.input = redirect::null, .output = redirect::pipe});
    EXPECT_THROW(p.communicate("text"), std::invalid_argument);
    EXPECT_EQ(p.communicate().output, "");
}

TEST_F(IoProcess, CommunicateGoesOnAfterATimeout) {
    io::process p({"sh", "-c", "echo one; read line; echo $line"}, {.input = redirect::pipe, .output = redirect::pipe});
    io::process stuck({"sh", "-c", "echo one; exec sleep 600"}, {.output = redirect::pipe});
    EXPECT_THROW(stuck.communicate_for(50ms), io::timed_out);
    EXPECT_FALSE(stuck.poll());
    EXPECT_EQ(p.communicate("two\n").output, "one\ntwo\n");
}

TEST_F(IoProcess, CommunicateIsGivenItsInputOnce) {
    const std::string much = pattern(300'000);
    io::process deaf({"sleep", "600"}, {.input = redirect::pipe});
    EXPECT_THROW(deaf.communicate_for(1ms, much), io::timed_out);
    EXPECT_THROW(deaf.communicate_for(1ms, "another"), std::invalid_argument);
    // It reads nothing before it is told to go on: else all of it might be over before anybody looks at a clock.
    io::process counting({"sh", "-c", "kill -STOP $$; exec wc -c"},
                         {.input = redirect::pipe, .output = redirect::pipe});
    EXPECT_THROW(counting.communicate_for(0ms, much), io::timed_out);
    siginfo_t stopped{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(counting.pid()), &stopped, WSTOPPED), 0);
    counting.kill(SIGCONT);
    EXPECT_EQ(counting.communicate(much).output, "300000\n");
}

// SP06: there is no shell.
TEST_F(IoProcess, Fault_SP06_ArgumentsAsTheyAre) {
    const std::string odd = "a b;c\n$HOME `x` \"'*";
    EXPECT_EQ(io::check_output({"printf", "%s|", odd, "-n", "", "--"}), odd + "|-n||--|");
    EXPECT_THROW(io::process({"echo", std::string("a\0b", 3)}), std::invalid_argument);
    EXPECT_THROW(io::process({"true"}, {.cwd = std::string("/\0", 2)}), std::invalid_argument);
}

// SP07: also what has no CLOEXEC.
TEST_F(IoProcess, Fault_SP07_SeesThreeDescriptors) {
    const int leaky = ::open("/dev/null", O_RDONLY);
    // The last is the directory that ls itself has open.
    EXPECT_EQ(io::check_output({"ls", "/proc/self/fd"}), "0\n1\n2\n3\n");
    ::close(leaky);
}

TEST_F(IoProcess, Fault_SP07_ItsPipesBlock) {
    const std::string flags = io::check_output({"grep", "flags", "/proc/self/fdinfo/0", "/proc/self/fdinfo/1"},
                                               {.input = redirect::pipe}, "x");
    EXPECT_EQ(flags, "/proc/self/fdinfo/0:flags:\t00\n/proc/self/fdinfo/1:flags:\t01\n");
}

// The other end, and our own use of this one, still does not.
TEST_F(IoProcess, Fault_SP07_PipesOfOursBlockInIt) {
    auto in = io::pipe();
    auto out = io::pipe();
    io::process p({"grep", "flags", "/proc/self/fdinfo/0", "/proc/self/fdinfo/1"},
                  {.input = redirect::descriptor(in.reader.native_handle()),
                   .output = redirect::descriptor(out.writer.native_handle())});
    out.writer.close();
    const std::string flags = out.reader.read_to_end();
    EXPECT_NE(flags.find("1:flags:"), std::string::npos) << flags;
    EXPECT_EQ(flags.find("4000"), std::string::npos) << flags << "O_NONBLOCK";
    EXPECT_TRUE(p.wait().success());
    EXPECT_NE(::fcntl(in.reader.native_handle(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(IoProcess, Fault_SP07_SocketsOfOursAreGivenOrRefused) {
    auto [given, kept] = io::socketpair();
    const int fd = given.native_handle();
    EXPECT_EQ(text_of([&] { io::process({"cat"}, {.input = redirect::descriptor(fd)}); }),
              "process: redirection on fd " + std::to_string(fd) +
                  ": a socket of ours, which does not block: the program could not use it. Hand it over with "
                  "redirect::give, or copy through redirect::pipe");
    const auto visitor = std::make_unique<redirect>(redirect::give(std::move(given)));
    EXPECT_FALSE(given.is_open());
    const io::process p({"sh", "-c", "grep flags /proc/self/fdinfo/0; exec cat"},
                        {.input = *visitor, .output = *visitor});
    kept.send_all("text");
    kept.shutdown(io::shut::write);
    std::string all;
    while (all.find("text") == std::string::npos) all += recv_text(kept);
    EXPECT_EQ(all, "flags:\t02\ntext");
    EXPECT_TRUE(p.wait().success());
    EXPECT_EQ(error_of([&] { redirect::give(io::socket()); }), std::errc::bad_file_descriptor);
}

// The other end hears of the program's end at once.
TEST_F(IoProcess, Fault_SP07_WhatIsGivenIsNotOursAnyMore) {
    auto [given, kept] = io::socketpair();
    const io::process p({"echo", "text"}, {.output = redirect::give(std::move(given))});
    EXPECT_EQ(recv_to_end(kept), "text\n");
    p.wait();
}

// SP08: it ends with the fiber that holds it.
TEST_F(IoProcess, Fault_SP08_KillAndTimeoutOfTheFiberEndIt) {
    pid_t pid = 0;
    auto holder = copse::spawn([&] {
        const io::process p = sleeper();
        pid = p.pid();
        p.wait();
    });
    copse::yield();
    EXPECT_EQ(::kill(pid, 0), 0);
    holder.kill();
    copse::hub::current().run_until_idle_for(10s);
    EXPECT_EQ(::kill(pid, 0), -1);  // no zombie either
    EXPECT_FALSE(copse::with_timeout(
        10ms,
        [] {
            return io::run({"sleep", "600"}).status.success();
        },
        false));
}

TEST_F(IoProcess, KilledWaiterLeavesItToTheOthers) {
    const io::process p = sleeper();
    auto killed = copse::spawn([&] { p.wait(); });
    auto other = copse::spawn([&] { return p.wait(); });
    copse::yield();
    killed.kill();
    EXPECT_FALSE(p.poll());
    p.kill();
    EXPECT_EQ(other.get().signal(), SIGKILL);
}

TEST_F(IoProcess, ForksDoNotEndIt) {
    const io::process p = sleeper();
    const pid_t child = fork_at_rest();
    if (child == 0) {
        io::process copy = std::move(const_cast<io::process&>(p));
        try {
            copy.wait();
        } catch (const copse::left_in_parent&) {
            copy = io::process();  // ends its process, were it ours
            ::_exit(7);
        }
        ::_exit(0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 7);
    EXPECT_FALSE(p.poll());
}

TEST_F(IoProcess, Detached) {
    io::process p = sleeper();
    const pid_t pid = p.detach();
    EXPECT_FALSE(p);
    EXPECT_EQ(::kill(pid, SIGTERM), 0);
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST_F(IoProcess, DirectoryEnvironmentAndSignals) {
    EXPECT_EQ(io::check_output({"pwd"}, {.cwd = "/"}), "/\n");
    EXPECT_EQ(io::check_output({"/usr/bin/env"}, {.env = io::environment{{"TREE", "yew"}}}), "TREE=yew\n");
    auto env = io::current_environment();
    EXPECT_EQ(env.at("PATH"), ::getenv("PATH"));
    sigset_t all, before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const std::string blocked = io::check_output({"grep", "SigBlk", "/proc/self/status"});
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    EXPECT_EQ(blocked, "SigBlk:\t0000000000000000\n");
}

TEST_F(IoProcess, Redirections) {
    const std::string name = testing::TempDir() + "copse_redirect_" + std::to_string(::getpid());
    const std::vector<std::string> both = {"sh", "-c", "echo out; echo err >&2"};
    EXPECT_TRUE(io::run(both, {.output = redirect::file(name), .errors = redirect::to_output}).status.success());
    EXPECT_TRUE(io::run({"echo", "more"}, {.output = redirect::append(name)}).status.success());
    EXPECT_EQ(io::check_output({"cat"}, {.input = redirect::file(name)}), "out\nerr\nmore\n");
    EXPECT_EQ(io::check_output(both, {.errors = redirect::to_output}), "out\nerr\n");
    EXPECT_EQ(io::check_output({"cat"}, {.input = redirect::null}), "");
    const int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(io::check_output({"cat"}, {.input = redirect::descriptor(fd)}), "out\nerr\nmore\n");
    ::close(fd);
    std::filesystem::remove(name);
}

TEST_F(IoProcess, CheckOutputTellsWhy) {
    try {
        io::check_output({"sh", "-c", "echo out; echo why >&2; exit 4"});
        FAIL();
    } catch (const io::process_failed& e) {
        EXPECT_STREQ(e.what(), "\"sh\" exited with 4: why");
        EXPECT_EQ(e.result().status.code(), 4);
        EXPECT_EQ(e.result().output, "out\n");
    }
}

}  // namespace
