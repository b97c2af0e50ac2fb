// Threads for what blocks. gevent rules 118, 142; faults TP03 to TP05. With the real clock: other threads live by it.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using copse::spawn;
using copse::thread_pool;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class ThreadPool : copse_test::hub_with_stack, public copse_test::leak_check {
protected:
    void TearDown() override {
        copse::hub::current().run_until_idle();
        EXPECT_EQ(copse::hub::current().stats().fibers, 0u);
        leak_check::TearDown();
    }
};

TEST_F(ThreadPool, CallsOnAnotherThreadAndBringsTheResultBack) {
    thread_pool pool;
    const auto here = std::this_thread::get_id();
    EXPECT_NE(pool.apply([] { return std::this_thread::get_id(); }), here);
    EXPECT_EQ(pool.apply([](int a, const std::string& b) { return b + std::to_string(a); }, 7, "seven "), "seven 7");
    EXPECT_EQ(*pool.apply([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(3)), 3);
    int number = 1;
    int& same = pool.apply([&number]() -> int& { return number; });
    EXPECT_EQ(&same, &number);
    pool.apply([&number] { number = 2; });
    EXPECT_EQ(number, 2);
    EXPECT_NE(copse::blocking([] { return std::this_thread::get_id(); }), here);
}

TEST_F(ThreadPool, TheOthersRunMeanwhile) {
    thread_pool pool;
    std::latch go(1);
    const auto waiting = spawn([&] {
        pool.apply([&go] { go.wait(); });
        log("back");
    });
    yield();
    log("others");
    go.count_down();
    waiting.join();
    EXPECT_EQ(log.text(), "others back");
}

// rule 118
TEST_F(ThreadPool, WhatItThrowsIsThrownInTheFiber) {
    thread_pool pool;
    copse_test::error_recorder errors;
    EXPECT_EQ(copse_test::what_is_thrown_by([&] { pool.apply([] { throw std::runtime_error("there"); }); }), "there");
    EXPECT_EQ(errors.count(), 0u);
}

TEST_F(ThreadPool, GrowsWithTheWorkAndNotBeyondItsLimit) {
    thread_pool pool({.threads = 3});
    EXPECT_EQ(pool.size(), 0u);
    std::latch go(1);
    std::vector<copse::fiber<void>> all;
    for (int i = 0; i < 5; ++i) all.push_back(pool.spawn([&go] { go.wait(); }));
    while (pool.queued() != 2) yield();
    EXPECT_EQ(pool.size(), 3u);
    go.count_down();
    EXPECT_EQ(copse::join_all(all), 5u);
    EXPECT_EQ(pool.size(), 3u);
}

TEST_F(ThreadPool, AThreadThatHasNothingToDoIsUsedAgainAndEndsAfterAWhile) {
    thread_pool pool({.threads = 8, .idle = 1ms});
    const auto first = pool.apply([] { return std::this_thread::get_id(); });
    pool.apply([] {});
    EXPECT_NE(first, std::this_thread::get_id());
    while (pool.size() != 0) copse::sleep(1ms);
    EXPECT_EQ(pool.apply([] { return 1; }), 1);
}

TEST_F(ThreadPool, BeginsCallsInTheirOrder) {
    thread_pool pool({.threads = 1});
    std::vector<int> order;
    std::vector<copse::fiber<void>> all;
    for (int i = 0; i < 100; ++i) all.push_back(pool.spawn([&order, i] { order.push_back(i); }));
    copse::join_all(all);
    ASSERT_EQ(order.size(), 100u);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

// rules 118, 142: the waiter goes, a call that has begun goes on. One that has not is not made.
TEST_F(ThreadPool, AKilledOrTimedOutWaiterLeavesItsCallBehind) {
    std::atomic<int> done{0};
    {
        thread_pool pool({.threads = 1});
        std::latch go(1);
        const auto victim = spawn([&] { pool.apply([&] { go.wait(), ++done; }); });
        const auto behind = spawn([&] { pool.apply([&done] { ++done; }); });
        while (pool.size() == 0 || pool.queued() != 1) yield();
        victim.kill();
        EXPECT_TRUE(victim.killed());
        EXPECT_THROW(copse::with_timeout(1ms, [&] { pool.apply([&done] { ++done; }); }), copse::timeout_expired);
        EXPECT_EQ(done, 0);
        EXPECT_EQ(pool.queued(), 1u);
        go.count_down();
        behind.join();
    }
    EXPECT_EQ(done, 2);
}

TEST_F(ThreadPool, WhatHasNotBegunWhenItEndsNeverDoes) {
    std::atomic<int> done{0};
    std::latch go(1);
    {
        thread_pool pool({.threads = 1});
        const auto running = spawn([&] { pool.apply([&] { go.wait(), ++done; }); });
        while (pool.size() == 0 || pool.queued() != 0) yield();
        const auto queued = spawn([&] { pool.apply([&done] { ++done; }); });
        yield();
        EXPECT_EQ(pool.queued(), 1u);
        copse::kill_all(running, queued);
        go.count_down();
    }
    EXPECT_EQ(done, 1);  // the running one was waited for
}

// What comes when the queue is full waits in the fiber, in its order, and the thread goes on.
TEST_F(ThreadPool, Fault_TP03_WhoFindsTheQueueFullWaitsForRoomInOrder) {
    thread_pool pool({.threads = 1, .queue_limit = 2});
    std::latch go(1);
    std::vector<int> order;
    std::vector<copse::fiber<void>> all;
    for (int i = 0; i < 6; ++i) {
        all.push_back(pool.spawn([&, i] {
            go.wait();
            order.push_back(i);
        }));
    }
    while (pool.queued() != 2) yield();
    for (int n = 0; n < 10; ++n) yield();
    EXPECT_EQ(pool.queued(), 2u);
    const auto waits = copse::hub::current().fibers();
    EXPECT_EQ(std::count_if(waits.begin(), waits.end(),
                            [](const auto& f) { return f.waits_for.starts_with("shared semaphore"); }),
              3);
    go.count_down();
    EXPECT_EQ(copse::join_all(all), 6u);
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST_F(ThreadPool, Fault_TP03_AWaitForRoomEndsByItsTimeout) {
    thread_pool pool({.threads = 1, .queue_limit = 0});
    std::latch go(1);
    const auto running = pool.spawn([&] { go.wait(); });
    while (pool.size() == 0 || pool.queued() != 0) yield();
    EXPECT_THROW(copse::with_timeout(1ms, [&] { pool.apply([] {}); }), copse::timeout_expired);
    EXPECT_EQ(pool.queued(), 0u);
    go.count_down();
    running.join();
    EXPECT_EQ(pool.apply([] { return 1; }), 1);
}

// Neither those who wait for room nor those whose call has not begun keep a place when they have gone.
TEST_F(ThreadPool, Fault_TP05_WhoLeavesGivesUpItsPlace) {
    thread_pool pool({.threads = 1, .queue_limit = 1});
    std::latch go(1);
    std::atomic<int> done{0};
    const auto running = pool.spawn([&] { go.wait(), ++done; });
    while (pool.size() == 0 || pool.queued() != 0) yield();
    auto captured = std::make_shared<int>(0);
    const auto queued = pool.spawn([&done, captured] { done += 100; });
    const auto for_room = pool.spawn([&done, captured] { done += 100; });
    const auto last = pool.spawn([&done] { ++done; });
    yield();
    EXPECT_EQ(pool.queued(), 1u);
    for_room.kill();
    queued.kill();  // its place goes to the last
    EXPECT_EQ(captured.use_count(), 1);
    yield();
    EXPECT_EQ(pool.queued(), 1u);
    go.count_down();
    copse::join_all(running, last);
    EXPECT_EQ(done, 2);
}

// The copies end where the call ran, whether somebody waits or not.
TEST_F(ThreadPool, Fault_TP05_WhatWasCopiedForACallEndsOnItsThread) {
    struct tracker {
        explicit tracker(std::thread::id& end) : ended_on(&end) {}
        tracker(tracker&& other) noexcept : ended_on(std::exchange(other.ended_on, nullptr)) {}
        tracker& operator=(tracker&&) = delete;
        ~tracker() {
            if (ended_on != nullptr) *ended_on = std::this_thread::get_id();
        }
        std::thread::id* ended_on;
    };
    std::thread::id ended_on;
    std::thread::id ran_on;
    {
        thread_pool pool({.threads = 1});
        pool.apply([&ran_on](const tracker&) { ran_on = std::this_thread::get_id(); }, tracker(ended_on));
        EXPECT_EQ(ended_on, ran_on);
        ended_on = {};
        std::latch go(1);
        std::atomic<bool> begun{false};
        const auto left = pool.spawn([&](const tracker&) { begun = true, go.wait(); }, tracker(ended_on));
        while (!begun) yield();
        left.kill();
        EXPECT_EQ(ended_on, std::thread::id());
        go.count_down();
    }
    EXPECT_EQ(ended_on, ran_on);
}

// Decision 3: the room came with the kill. The call is not made.
TEST_F(ThreadPool, AKillThatComesWithTheRoomIsThrownAndTheRoomGivenBack) {
    thread_pool pool({.threads = 1, .queue_limit = 0});
    std::latch go(1);
    std::atomic<int> done{0};
    const auto running = pool.spawn([&] { go.wait(), ++done; });
    while (pool.size() == 0 || pool.queued() != 0) yield();
    const auto waiting = pool.spawn([&] { done += 100; });
    yield();
    const auto killer = spawn([&] { waiting.request_kill(); });
    go.count_down();
    copse::join_all(running, waiting, killer);
    EXPECT_TRUE(waiting.killed() || done == 101);
    EXPECT_EQ(pool.apply([] { return 1; }), 1);
}

// rule 118
TEST_F(ThreadPool, ATaskThatAppliesToItsOwnPoolRunsInline) {
    thread_pool pool({.threads = 1});
    EXPECT_TRUE(pool.apply([&pool] {
        const auto outer = std::this_thread::get_id();
        return pool.apply([] { return std::this_thread::get_id(); }) == outer;
    }));
}

TEST_F(ThreadPool, AFiberThatWaitsForItIsNoDeadlock) {
    thread_pool pool;
    pool.apply([] { std::this_thread::sleep_for(1ms); });  // main has nothing else to wait for
}

TEST_F(ThreadPool, ServesTheFibersOfSeveralThreads) {
    thread_pool pool({.threads = 2});
    std::atomic<int> sum{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            std::vector<copse::fiber<int>> all;
            for (int i = 0; i < 50; ++i) all.push_back(pool.spawn([i] { return i; }));
            for (const auto& f : all) sum += f.get();
        });
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(sum, 4 * 50 * 49 / 2);
}

TEST_F(ThreadPool, AHubMayEndBeforeTheCallDoes) {
    std::latch go(1);
    thread_pool pool;
    std::thread([&] {
        spawn([&] { pool.apply([&go] { go.wait(); }); });
        yield();
    }).join();  // its fiber was killed with it
    go.count_down();
    EXPECT_EQ(pool.apply([] { return 1; }), 1);
}

TEST_F(ThreadPool, ItsThreadsTakeNoSignals) {
    EXPECT_TRUE(thread_pool().apply([] {
        sigset_t blocked;
        pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
        return sigismember(&blocked, SIGINT) == 1 && sigismember(&blocked, SIGTERM) == 1;
    }));
}

TEST_F(ThreadPool, ItsThreadsMayUseFibersToo) {
    EXPECT_EQ(copse::blocking([] { return spawn([] { return yield(), 5; }).get(); }), 5);
}

TEST_F(ThreadPool, BadInput) {
    EXPECT_THROW(thread_pool({.threads = 0}), std::invalid_argument);
    thread_pool pool;
    EXPECT_THROW(pool.apply(std::function<void()>()), copse::null_callable);
    EXPECT_THROW(pool.spawn(std::function<void()>()), copse::null_callable);
}

}  // namespace
