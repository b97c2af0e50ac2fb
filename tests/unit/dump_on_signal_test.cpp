// A signal makes every hub dump its fibers. Real time: the signal goes through a thread.

#include <copse/fibers.hpp>

#include "hub_test.hpp"

#include <signal.h>

#include <atomic>
#include <latch>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

using copse::dump_on_signal;
using copse::hub;
using copse::spawn;
using copse::yield;

namespace {

class DumpOnSignal : copse_test::hub_with_stack, public copse_test::leak_check {
protected:
    void TearDown() override {
        open = copse::hub_handle();
        hub::current().run_until_idle();
        leak_check::TearDown();
    }
    copse::hub_handle open = hub::current().handle();  // who waits for a signal is not dead-locked
};

TEST_F(DumpOnSignal, WakesAHubThatIsAsleep) {
    copse::event dumped, end;
    std::string text;
    const dump_on_signal on({.signal = SIGUSR1, .report = [&](std::string_view t) {
                                 text = t;
                                 dumped.set();
                             }});
    const auto f = spawn({.name = "patient"}, [&] { end.wait(); });
    yield();
    ::raise(SIGUSR1);
    dumped.wait();
    EXPECT_EQ(text.find("copse: fibers of process " + std::to_string(::getpid()) + "\n  main #"), 0u) << text;
    EXPECT_NE(text.find("\"patient\" parked in event 0x"), std::string::npos) << text;
    EXPECT_NE(text.find("  at 0x"), std::string::npos) << text;
    end.set();
    f.join();
}

TEST_F(DumpOnSignal, ReachesEveryHubOfTheProcess) {
    std::mutex mutex;
    std::set<std::thread::id> threads;
    copse::event both;
    const copse::hub_handle here = hub::current().handle();
    const dump_on_signal on({.signal = SIGUSR1, .show = {.stacks = false}, .report = [&](std::string_view) {
                                 const std::lock_guard lock(mutex);
                                 threads.insert(std::this_thread::get_id());
                                 if (threads.size() == 2) here.post([&] { both.set(); });
                             }});
    std::latch asleep(1);
    copse::hub_handle there;
    std::atomic<copse::event*> end{nullptr};
    std::thread other([&] {
        copse::event local_end;
        const copse::hub_handle mine = hub::current().handle();
        there = mine;
        end = &local_end;
        hub::current().post([&] { asleep.count_down(); });
        local_end.wait();
    });
    asleep.wait();
    ::raise(SIGUSR1);
    both.wait();
    there.post([&] { end.load()->set(); });
    other.join();
    there = copse::hub_handle();
}

std::atomic<int> foreign{0};

TEST_F(DumpOnSignal, PutsBackTheHandlerBefore) {
    struct sigaction theirs {
    }, before{}, after{};
    theirs.sa_handler = [](int) { ++foreign; };
    ASSERT_EQ(::sigaction(SIGUSR1, &theirs, &before), 0);
    { const dump_on_signal on({.signal = SIGUSR1}); }
    ASSERT_EQ(::sigaction(SIGUSR1, &before, &after), 0);
    EXPECT_EQ(after.sa_handler, theirs.sa_handler);
}

TEST_F(DumpOnSignal, LeavesAHandlerThatCameAfterIt) {
    struct sigaction theirs {
    }, before{}, after{};
    theirs.sa_handler = [](int) { ++foreign; };
    {
        const dump_on_signal on({.signal = SIGUSR1});
        ASSERT_EQ(::sigaction(SIGUSR1, &theirs, &before), 0);
    }
    theirs.sa_handler = SIG_DFL;
    ASSERT_EQ(::sigaction(SIGUSR1, &theirs, &after), 0);
    EXPECT_NE(after.sa_handler, SIG_DFL);
    EXPECT_EQ(after.sa_flags & SA_SIGINFO, 0);
}

TEST_F(DumpOnSignal, RefusesBadInputAndChangesNothing) {
    EXPECT_THROW(dump_on_signal({.signal = SIGKILL}), std::invalid_argument);
    EXPECT_THROW(dump_on_signal({.signal = SIGKILL}), std::invalid_argument);
    EXPECT_THROW(dump_on_signal({.signal = 0}), std::invalid_argument);
    EXPECT_THROW(dump_on_signal({.signal = 10'000}), std::invalid_argument);
    const dump_on_signal on({.signal = SIGUSR1});
    const dump_on_signal other({.signal = SIGUSR2});
    EXPECT_THROW(dump_on_signal({.signal = SIGUSR1}), copse::concurrent_use);
}

}  // namespace
