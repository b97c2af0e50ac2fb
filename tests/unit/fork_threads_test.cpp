// Fork in a process of several threads: their locks, what they share, pools, watchdogs, signals.

#include "fork_at_rest.hpp"
#include "fork_test.hpp"

#include <copse/fibers.hpp>
#include <copse/shared.hpp>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using copse_test::in_child;
using copse_test::in_child_of_fiber;

using ForkAndThreads = copse_test::fork_test;

TEST_F(ForkAndThreads, Fault_FK02_FromAThreadWithoutAHub) {
    std::thread([] {
        in_child([] {
            auto f = copse::spawn([] {
                copse::sleep(1us);
                return 3;
            });
            EXPECT_EQ(f.get(), 3);
        });
    }).join();
}

// A hundred forks while another thread posts, which takes every lock that a post takes.
TEST_F(ForkAndThreads, Fault_FK02_WhileAnotherThreadHoldsOurLocks) {
    std::atomic<bool> stop{false};
    std::atomic<int> posted{0};
    std::thread poster([&, home = copse::hub::current().handle()] {
        while (!stop) {
            if (++posted < 100) home.post([] {});
        }
    });
    for (int i = 0; i < 100; ++i) {
        in_child(
            [] {
                copse::hub::current().post([] {});
                copse::sleep(1s);
                copse::local<int> value;
                *value = 1;
            },
            ::fork);
        copse::yield();
        posted = 0;
    }
    stop = true;
    poster.join();
    copse::hub::current().run_until_idle();
}

TEST_F(ForkAndThreads, Fault_DN10_ThreadPoolWorksInTheChild) {
    copse::thread_pool pool({.threads = 1});
    EXPECT_EQ(pool.apply([] { return 1; }), 1);  // its thread is there, and idle
    std::atomic<bool> go{false};
    auto waiting = copse::spawn([&] {
        pool.apply([&go] {
            while (!go) std::this_thread::yield();
        });
    });
    copse::yield();
    auto in_line = copse::spawn([&] { return pool.apply([] { return 2; }); });
    copse::yield();
    in_child_of_fiber([&] {
        EXPECT_EQ(pool.queued(), 0U);
        EXPECT_EQ(pool.apply([] { return 3; }), 3);
        EXPECT_EQ(copse::blocking([] { return 4; }), 4);
        copse::thread_pool().apply([] {});  // and may end
    });
    go = true;
    waiting.join();
    EXPECT_EQ(in_line.get(), 2);
}

TEST_F(ForkAndThreads, Fault_FK02_FromAThreadOfAPoolEndsTheChildWithTheFunction) {
    const pid_t child = copse::blocking([] { return copse_test::fork_at_rest(); });
    ASSERT_GT(child, 0) << "the child has nobody to return it to";
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    if (!copse_test::address_sanitized) {  // which finds that the memory of the other threads leaks
        EXPECT_EQ(status, 0);
    }
}

TEST_F(ForkAndThreads, WorkersAreTheParents) {
    copse::shared::event end;
    copse::workers two(2, [&](std::size_t) { end.wait(); });
    in_child([&] {
        EXPECT_THROW(two.join(), copse::left_in_parent);
        EXPECT_TRUE(two.hub(0).expired());
        copse::workers mine(1, [&](std::size_t) { log("mine"); });
        mine.join();
        EXPECT_EQ(log.text(), "mine");
    });
    end.set();
    two.join();
}

TEST_F(ForkAndThreads, WorkersMayEndInTheChild) {
    copse::shared::event end;
    auto two = std::make_unique<copse::workers>(2, [&](std::size_t) { end.wait(); });
    in_child([&] { two.reset(); });
    end.set();
    two->join();
}

TEST_F(ForkAndThreads, SharedObjectsHandNothingToWhoIsNotThere) {
    copse::shared::semaphore permits(0);
    copse::shared::queue<int> items(1);
    auto wants_permit = copse::spawn([&] { permits.acquire(); });
    auto wants_item = copse::spawn([&] { return items.get(); });
    copse::yield();
    in_child_of_fiber([&] {
        permits.release();
        EXPECT_TRUE(permits.try_acquire());
        items.put(7);
        EXPECT_EQ(items.try_get(), 7);
        copse::event never;
        EXPECT_THROW(never.wait(), copse::would_block_forever) << "those who waited for other threads are gone";
    });
    permits.release();
    items.put(8);
    wants_permit.join();
    EXPECT_EQ(wants_item.get(), 8);
}

// The other thread takes the mutex of the object all the time.
TEST_F(ForkAndThreads, SharedObjectsThatAreInUseMeanwhile) {
    copse::shared::semaphore permits(0);
    auto waiting = copse::spawn([&] { permits.acquire(); });
    copse::yield();
    std::atomic<bool> stop{false};
    std::thread other([&] {
        while (!stop) permits.try_acquire();
    });
    for (int i = 0; i < 100; ++i) {
        in_child(
            [&] {
                permits.release();
                EXPECT_TRUE(permits.try_acquire());
            },
            ::fork);
    }
    stop = true;
    other.join();
    permits.release();
    waiting.join();
}

// AddressSanitizer leaves a lock that another thread holds at a fork locked in the child: ours have begun and sleep by then.
void let_threads_sleep() { copse::sleep(1ms); }

TEST_F(ForkAndThreads, WatchdogWatchesTheChild) {
    std::atomic<int> reports{0};
    const copse::watchdog guard({.limit = 20ms, .report = [&](const copse::stall_report&) { ++reports; }});
    const auto watches = [&] {
        while (reports == 0) std::this_thread::yield();
    };
    watches();
    let_threads_sleep();
    reports = 0;
    in_child([&] { watches(); });
}

TEST_F(ForkAndThreads, WatchdogAndDumpMayEndInTheChild) {
    std::atomic<int> reports{0};
    std::atomic<bool> dumped{false};
    auto guard = std::make_unique<copse::watchdog>(
        copse::watchdog_options{.limit = 20ms, .report = [&](const copse::stall_report&) { ++reports; }});
    auto dumps = std::make_unique<copse::dump_on_signal>(
        copse::dump_on_signal_options{.report = [&](std::string_view) { dumped = true; }});
    while (reports == 0) std::this_thread::yield();
    ::raise(SIGQUIT);
    while (!dumped) copse::yield();
    let_threads_sleep();
    in_child([&] {
        guard.reset();
        dumps.reset();
    });
}

TEST_F(ForkAndThreads, DumpOnSignalAnswersInTheChild) {
    std::string text;
    const copse::dump_on_signal dumps({.report = [&](std::string_view said) { text = said; }});
    auto parked = copse::spawn({.name = "left"}, [] { copse::sleep(1ms); });
    copse::yield();
    in_child([&] {
        const copse::hub_handle awake = copse::hub::current().handle();
        ::raise(SIGQUIT);
        auto mine = copse::spawn({.name = "mine"}, [&] {
            while (text.empty()) copse::yield();
        });
        mine.join();
        EXPECT_NE(text.find("\"mine\""), std::string::npos) << text;
        EXPECT_EQ(text.find("\"left\""), std::string::npos) << text;
    });
    parked.join();
}

TEST_F(ForkAndThreads, HandlesOfOtherThreadsHubsHaveExpired) {
    copse::shared::event end;
    copse::workers other(1, [&](std::size_t) { end.wait(); });
    const copse::hub_handle there = other.hub(0);
    std::atomic<bool> stop{false};
    std::thread poster([&] {  // holds the hub's door most of the time
        while (!stop) there.expired();
    });
    for (int i = 0; i < 50; ++i) {
        in_child(
            [&] {
                EXPECT_TRUE(there.expired());
                EXPECT_THROW(there.post([] {}), copse::thread_exited);
            },
            ::fork);
    }
    stop = true;
    poster.join();
    end.set();
    other.join();
}

TEST_F(ForkAndThreads, AStopScopeStillHearsOfOtherThreads) {
    std::stop_source source;
    copse::spawn([&] {
        const copse::stop_scope until(source.get_token());
        in_child([&] {
            copse::event never;
            std::thread stopper([&] { source.request_stop(); });
            EXPECT_THROW(never.wait(), copse::stop_requested);
            stopper.join();
        });
    }).get();
}

TEST_F(ForkAndThreads, SharedLockOfWhoIsNotThereSaysSo) {
    copse::shared::timed_mutex lock;
    auto holder = copse::spawn([&] {
        const std::lock_guard in(lock);
        copse::sleep(1ms);
    });
    copse::yield();
    in_child([&] {
        EXPECT_THROW(lock.lock(), copse::left_in_parent);
        EXPECT_FALSE(lock.try_lock());
    });
    holder.join();
}

TEST_F(ForkAndThreads, SharedObjectsThatOtherThreadsWaitForMayEndInTheChild) {
    auto items = std::make_unique<copse::shared::queue<int>>(1);
    std::atomic<bool> waits{false};
    std::thread other([&] {
        waits = true;
        EXPECT_EQ(items->get(), 1);
    });
    while (!waits) std::this_thread::yield();
    copse::sleep(1ms);
    in_child([&] { items.reset(); });
    items->put(1);
    other.join();
}
