// Several threads: posting to a hub, its handles, ends of threads with parked fibers, drops from elsewhere. TP01, TP02, KL15,
// KL16, P13 to P15; gevent rules 111, 113, 116, 117.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "sanitizer.hpp"
#include "worker.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::error_recorder;
using copse_test::in_thread;
using copse_test::up_to;
using namespace std::chrono_literals;

namespace {

struct hub_with_stack {
    hub_with_stack() {
        hub::current().post([] {});
        hub::current().run_until_idle();
    }
};

class Threads : hub_with_stack, public copse_test::leak_check {
protected:
    void TearDown() override {
        hub::current().run_until_idle();
        EXPECT_EQ(hub::current().stats().timers, 0u);
        EXPECT_EQ(hub::current().stats().fibers, 0u);
        leak_check::TearDown();
    }
};

class Posting : public Threads {};
class ThreadEnd : public Threads {};
class ForeignDrop : public Threads {};

// TP01
TEST_F(Posting, Fault_TP01_FromEightThreadsLosesNothingAndKeepsEachPostersOrder) {
    constexpr int posters = 8;
    const int each = copse_test::sanitized ? 5'000 : 100'000;
    std::vector<int> next(posters, 0);
    int received = 0;
    bool in_order = true;
    copse::semaphore all_there(0);
    const copse::hub_handle handle = hub::current().handle();
    std::vector<std::thread> threads;
    for (int p = 0; p < posters; ++p) {
        threads.emplace_back([&, handle, p] {
            for (int i = 0; i < each; ++i) {
                handle.post([&, p, i] {
                    in_order = in_order && next[static_cast<std::size_t>(p)]++ == i;
                    if (++received == posters * each) all_there.release();
                });
                if (i % 1000 == p) std::this_thread::yield();
            }
        });
    }
    // The hub goes idle at times.
    const auto ticking = spawn([&] {
        for (int i = 0; i < 20; ++i) sleep(200us);
    });
    all_there.acquire();
    ticking.join();
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(received, posters * each);
    EXPECT_TRUE(in_order);
}

// rule 117: a sleeping hub is woken
TEST_F(Posting, WakesAHubThatSleeps) {
    copse::event flag;
    const copse::hub_handle handle = hub::current().handle();
    std::thread poster([&, handle] {
        std::this_thread::sleep_for(5ms);
        handle.post([&] { flag.set(); });
    });
    EXPECT_TRUE(flag.wait_for(10s));
    poster.join();
}

// decision 6: who holds a handle may post, so nothing is a deadlock
TEST_F(Posting, AHandleKeepsMainWaitingAndItsEndTellsOfTheDeadlock) {
    copse::event flag;
    std::optional<copse::hub_handle> handle(hub::current().handle());
    std::thread holder([held = *std::exchange(handle, std::nullopt)]() mutable {
        std::this_thread::sleep_for(5ms);
        const copse::hub_handle copy = held;
        held = {};
        EXPECT_FALSE(copy.expired());
        std::this_thread::sleep_for(5ms);
    });
    EXPECT_THROW(flag.wait(), copse::would_block_forever);
    holder.join();
}

// TP02
TEST_F(Posting, Fault_TP02_ToAHubThatHasEndedIsRefused) {
    copse::hub_handle handle;
    bool ran = false;
    in_thread([&] {
        handle = hub::current().handle();
        handle.post([&] { ran = true; });
        yield();
        hub::current().run_until_idle_for(1ms);
    });
    EXPECT_TRUE(ran);
    EXPECT_TRUE(handle.expired());
    EXPECT_THROW(handle.post([] {}), copse::thread_exited);
}

// TP02: every function is either called or its post refused; none is lost while the hub ends
TEST_F(Posting, Fault_TP02_WhileTheHubEndsEndsEveryFunctionOnce) {
    const auto token = std::make_shared<int>(0);
    int posted = 0;
    for (int round = 0; round < (copse_test::sanitized ? 10 : 50); ++round) {
        copse::hub_handle handle;
        std::atomic<bool> ready{false};
        std::thread owner([&] {
            handle = hub::current().handle();
            ready = true;
            hub::current().run_until_idle_for(200us);
        });
        while (!ready) std::this_thread::yield();
        try {
            for (;;) {
                handle.post([kept = token] {});
                ++posted;
            }
        } catch (const copse::thread_exited&) {}
        owner.join();
        EXPECT_EQ(token.use_count(), 1) << "functions that were never called were not destroyed either";
    }
    EXPECT_GT(posted, 0);
}

TEST_F(Posting, FromAFiberOfAnotherHub) {
    copse::event flag;
    const copse::hub_handle handle = hub::current().handle();
    std::thread other([&, handle] {
        const auto f = spawn([&] {
            sleep(1ms);
            handle.post([&] { flag.set(); });
        });
        f.join();
    });
    flag.wait();
    other.join();
}

// P15, KL15
TEST_F(ThreadEnd, Fault_KL15_ParkedFibersAreKilledTheNewestFirstOnTheirThread) {
    const int n = up_to(10'000);
    std::vector<int> ended;
    std::thread::id owner;
    bool on_owner = true;
    in_thread([&] {
        owner = std::this_thread::get_id();
        for (int i = 0; i < n; ++i) {
            spawn({.stack_size = 16 * 1024}, [&, i] {
                const at_end note([&, i] {
                    ended.push_back(i);
                    on_owner = on_owner && std::this_thread::get_id() == owner;
                });
                sleep(1h);
            });
        }
        yield();
    });
    EXPECT_TRUE(on_owner);
    EXPECT_EQ(ended.size(), static_cast<std::size_t>(n));
    EXPECT_TRUE(std::is_sorted(ended.rbegin(), ended.rend()));
}

TEST_F(ThreadEnd, UnstartedAndDelayedFibersEndWithoutRunning) {
    const auto token = std::make_shared<int>(1);
    in_thread([&] {
        for (int i = 0; i < 10; ++i) {
            spawn([this, token] { log("ran"); });
            copse::spawn_after(1h, [this, token] { log("ran"); });
        }
    });
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(token.use_count(), 1);
}

// KL14: clean-up may park at the end too
TEST_F(ThreadEnd, Fault_KL16_CleanUpThatParksIsWaitedFor) {
    in_thread([this] {
        spawn([this] {
            const at_end flush([this] {
                sleep(2ms);
                log("flushed");
            });
            sleep(1h);
        });
        yield();
    });
    EXPECT_EQ(log.text(), "flushed");
}

// KL16, P15: those that refuse are reported and given up; the thread ends
TEST_F(ThreadEnd, Fault_KL16_AFiberThatRefusesToEndIsGivenUp) {
    std::size_t told = 0;
    in_thread([&] {
        static copse::event never_set;  // outlives the abandoned stack that waits for it
        copse::set_error_handler([&](const std::exception_ptr&, const copse::greenlet&) { ++told; });
        spawn({.name = "stubborn"}, [] {
            for (;;) {
                try {
                    never_set.wait();
                } catch (...) {}
            }
        });
        spawn([this] {
            const at_end note([this] { log("other"); });
            sleep(1h);
        });
        yield();
    });
    EXPECT_GE(told, 1u);
    EXPECT_EQ(log.text(), "other");
}

// KL16: what lives in other threads gets errors
TEST_F(ThreadEnd, Fault_KL16_HandlesThatOutliveTheThreadAreRefused) {
    copse::fiber<int> f;
    copse::greenlet g;
    in_thread([&] {
        f = spawn([] { return sleep(1h), 1; });
        yield();
        g = f.underlying();
    });
    EXPECT_THROW(f.get(), copse::thread_exited);
    EXPECT_THROW(f.kill(), copse::thread_exited);
    EXPECT_THROW(g.switch_to(), copse::thread_exited);
    EXPECT_TRUE(g.dead());
}

TEST_F(ThreadEnd, FibersSpawnedByTheCleanUpEndToo) {
    in_thread([this] {
        spawn([this] {
            const at_end more([this] {
                spawn([this] {
                    const at_end note([this] { log("child"); });
                    yield();
                    sleep(1h);
                });
                sleep(1ms);
            });
            sleep(1h);
        });
        yield();
    });
    EXPECT_EQ(log.text(), "child");
}

TEST_F(ThreadEnd, TwoHubsLiveSideBySide) {
    std::atomic<int> sum{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            std::vector<copse::fiber<int>> all;
            for (int i = 0; i < 100; ++i) all.push_back(spawn([i] { return sleep(1ms), i; }));
            for (const auto& f : all) sum += f.get();
        });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(sum.load(), 4 * 4950);
}

// Dropping a fiber's handle elsewhere does not stop it; dropping a parked greenlet's last one does, on its own thread.
TEST_F(ForeignDrop, OfAParkedGreenletUnwindsItOnItsThreadWhileTheHubSleeps) {
    std::thread::id where;
    in_thread([&] {
        copse::event never_set;
        copse::event unwound;
        const copse::hub_handle handle = hub::current().handle();
        auto parked = std::make_unique<copse::greenlet>([&] {
            const at_end note([&] {
                where = std::this_thread::get_id();
                unwound.set();
            });
            never_set.wait();
        });
        spawn([g = parked.get()] { g->switch_to(); });
        yield();
        const auto here = std::this_thread::get_id();
        std::thread dropper([dropped = std::move(parked)]() mutable {
            std::this_thread::sleep_for(2ms);
            dropped.reset();
        });
        EXPECT_TRUE(unwound.wait_for(10s));
        dropper.join();
        EXPECT_EQ(where, here);
    });
}

TEST_F(ForeignDrop, OfTheHandlesOfARunningFiberLeavesItRunning) {
    copse_test::worker worker;
    auto f = std::make_unique<copse::fiber<void>>(spawn([this] {
        sleep(5ms);
        log("ran");
    }));
    yield();
    worker.run([&] { f.reset(); });
    sleep(10ms);
    EXPECT_EQ(log.text(), "ran");
}

TEST_F(ForeignDrop, OfAFinishedFiberFreesItOnceItsOwnerLooks) {
    copse_test::worker worker;
    const auto before = copse::debug::live_greenlets();
    std::vector<copse::fiber<std::string>> all;
    for (int i = 0; i < 100; ++i) all.push_back(spawn([] { return std::string(100, 'x'); }));
    join_all(all);
    worker.run([&] { all.clear(); });
    copse::greenlet::current();
    spawn([] {}).join();
    yield();
    EXPECT_EQ(copse::debug::live_greenlets(), before);
}

// Decision 5: the failure is told by the fiber's own thread, whoever drops the last handle.
TEST_F(ForeignDrop, OfAFailureIsReportedByTheOwner) {
    std::thread::id told_on;
    const auto before = copse::set_error_handler(
        [&](const std::exception_ptr&, const copse::greenlet&) { told_on = std::this_thread::get_id(); });
    auto f = std::make_unique<copse::fiber<void>>(spawn([] { throw std::runtime_error("unseen"); }));
    f->join();
    copse_test::worker worker;
    worker.run([&] { f.reset(); });
    sleep(1ms);
    copse::set_error_handler(before);
    EXPECT_EQ(told_on, std::this_thread::get_id());
}

}  // namespace
