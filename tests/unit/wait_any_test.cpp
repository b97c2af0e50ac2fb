// wait_any, wait_all, as_completed, kill_all. gevent rules 29, 30, 43 to 46.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

using copse::as_completed;
using copse::fiber;
using copse::kill_all;
using copse::sleep;
using copse::spawn;
using copse::wait_all;
using copse::wait_any;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class WaitAny : public copse_test::hub_test {
protected:
    static fiber<int> lasting(int hours) {
        return spawn([hours] {
            sleep(std::chrono::hours(hours));
            return hours;
        });
    }
};

class WaitAll : public WaitAny {};
class AsCompleted : public WaitAny {};
class KillAll : public WaitAny {};

TEST_F(WaitAny, TellsWhichWasFirst) {
    const auto slow = lasting(3);
    const auto fast = lasting(1);
    copse::event flag;
    EXPECT_EQ(wait_any(slow, flag, fast), 2u);
    EXPECT_EQ(time.elapsed(), 1h);
    flag.set();
    EXPECT_EQ(wait_any(slow, flag, fast), 1u);  // the first of those that are ready
    EXPECT_EQ(wait_any(slow), 0u);
    EXPECT_EQ(time.elapsed(), 3h);
}

TEST_F(WaitAny, OverARangeAndWithATimeout) {
    std::vector<fiber<int>> all;
    for (const int hours : {3, 1, 2}) all.push_back(lasting(hours));
    EXPECT_EQ(wait_any({.timeout = 30min}, all), std::nullopt);
    EXPECT_EQ(wait_any(all), 1u);
    EXPECT_EQ(wait_any({.timeout = 0s}, all[0]), std::nullopt);
    EXPECT_EQ(wait_any({.timeout = 0s}, all[1]), 0u);
    EXPECT_EQ(wait_any(std::vector<fiber<int>>()), std::nullopt);
    copse::join_all(all);
}

// rule 44
TEST_F(WaitAny, MixesFibersEventsResultsAndSemaphores) {
    copse::async_result<int> answer;
    copse::semaphore permits(0);
    copse::bounded_semaphore bounded(1);
    copse::event flag;
    const auto f = lasting(4);
    EXPECT_EQ(wait_any(answer, permits, bounded, flag, f), 2u);
    bounded.acquire();
    const auto feeder = spawn([&] {
        sleep(1h);
        permits.release();
        sleep(1h);
        answer.set(1);
        sleep(1h);
        bounded.release();
    });
    EXPECT_EQ(wait_all(answer, permits, bounded, f), (std::vector<std::size_t>{1, 0, 2, 3}));
    EXPECT_EQ(permits.available(), 1);
    EXPECT_EQ(time.elapsed(), 4h);
    feeder.join();
}

// A permit that goes to somebody who waits for it was never free.
TEST_F(WaitAny, APermitThatIsHandedOverIsNotSeen) {
    copse::semaphore permits(0);
    const auto taker = spawn([&] { permits.acquire(); });
    yield();
    const auto giver = spawn([&] { permits.release(); });
    EXPECT_EQ(wait_any({.timeout = 1h}, permits), std::nullopt);
    copse::join_all(taker, giver);
}

// rule 45
TEST_F(WaitAny, AnEventThatWasSetAndClearedStillCounts) {
    copse::event flag;
    spawn([&] {
        flag.set();
        flag.clear();
    });
    EXPECT_EQ(wait_any({.timeout = 1h}, flag), 0u);
    EXPECT_FALSE(flag.is_set());
}

TEST_F(WaitAny, LeavesNothingBehind) {
    {
        copse::event flag;
        const auto f = lasting(1);
        const auto killed = spawn([&] { wait_any(flag, f); });
        const auto late =
            spawn([&] { EXPECT_THROW(copse::with_timeout(1min, [&] { wait_any(flag, f); }), copse::timeout_expired); });
        yield();
        killed.kill();
        EXPECT_TRUE(killed.killed());
        late.join();
        EXPECT_EQ(wait_any({.timeout = 1min}, flag), std::nullopt);
    }  // an event that is still watched would abort
}

TEST_F(WaitAny, AKillThatComesWithTheReadinessIsThrown) {
    copse::event flag;
    const auto f = spawn([&] {
        wait_any(flag);
        log("never");
    });
    yield();
    flag.set();
    f.kill();
    EXPECT_TRUE(f.killed());
    EXPECT_EQ(log.text(), "");
}

TEST_F(WaitAny, BadInput) {
    EXPECT_THROW(wait_any(fiber<int>()), copse::empty_handle);
    const auto f = spawn([] {});
    copse::event flag;
    EXPECT_THROW(wait_any(flag, f, fiber<void>()), copse::empty_handle);
    std::thread([&] { EXPECT_THROW(wait_any(f), copse::wrong_thread); }).join();
    EXPECT_THROW(wait_any(flag), copse::would_block_forever);
    f.join();
}

// rule 44
TEST_F(WaitAll, GivesThePlacesInTheOrderOfReadiness) {
    const auto slow = lasting(3);
    const auto fast = lasting(1);
    copse::event flag;
    const auto setter = spawn([&] {
        sleep(2h);
        flag.set();
    });
    EXPECT_EQ(wait_all({.count = 0}, slow, flag), std::vector<std::size_t>());
    EXPECT_EQ(time.elapsed(), 0h);
    EXPECT_EQ(wait_all({.count = 1}, slow, fast, flag), (std::vector<std::size_t>{1}));
    EXPECT_EQ(wait_all({.timeout = 90min}, slow, fast, flag), (std::vector<std::size_t>{1, 2}));
    EXPECT_EQ(wait_all(slow, fast, flag), (std::vector<std::size_t>{1, 2, 0}));
    EXPECT_EQ(wait_all(std::vector<fiber<int>>()), std::vector<std::size_t>());
    setter.join();
}

// rule 43
TEST_F(WaitAll, OneThatIsNamedTwiceCountsTwice) {
    const auto f = lasting(1);
    EXPECT_EQ(wait_all(f, f), (std::vector<std::size_t>{0, 1}));
}

TEST_F(AsCompleted, GivesHandlesInTheOrderOfTheirEnd) {
    std::vector<fiber<int>> all;
    for (const int hours : {3, 1, 2}) all.push_back(lasting(hours));
    for (const auto& f : as_completed(all)) log(f.get());
    EXPECT_EQ(log.text(), "1 2 3");
    EXPECT_EQ(time.elapsed(), 3h);
    // Those that are ready come in their own order.
    for (const auto& f : as_completed(std::vector(all.rbegin(), all.rend()))) log(f.get());
    EXPECT_EQ(log.text(), "1 2 3 2 1 3");
}

// rule 46
TEST_F(AsCompleted, WhatFinishesWhileTheBodyParksIsKept) {
    std::vector<fiber<int>> all;
    for (const int hours : {3, 1, 2}) all.push_back(lasting(hours));
    for (const auto& f : as_completed(all)) {
        log(f.get());
        sleep(5h);
    }
    EXPECT_EQ(log.text(), "1 2 3");
}

// rule 46
TEST_F(AsCompleted, LeftEarlyItForgetsTheRest) {
    std::vector<fiber<int>> all;
    for (const int hours : {3, 1, 2}) all.push_back(lasting(hours));
    for (const auto& f : as_completed(all)) {
        log(f.get());
        break;
    }
    EXPECT_EQ(log.text(), "1");
    copse::join_all(all);
    EXPECT_EQ(time.elapsed(), 3h);
}

TEST_F(AsCompleted, EndsWithItsTimeoutOrCount) {
    std::vector<fiber<int>> all;
    for (const int hours : {3, 1, 2}) all.push_back(lasting(hours));
    for (const auto& f : as_completed({.timeout = 150min}, all)) log(f.get());
    EXPECT_EQ(time.elapsed(), 150min);
    for (const auto& f : as_completed({.count = 1}, all)) log(f.get());
    EXPECT_EQ(log.text(), "1 2 1");
    copse::join_all(all);
}

// rules 18, 29
TEST_F(KillAll, EndsThoseThatHaveNotStartedAndThrowsInTheRestInOrder) {
    const auto body = [this](int n) {
        return [this, n] {
            try {
                sleep(1h);
            } catch (const copse::greenlet_exit&) {
                log(n);
                throw;
            }
        };
    };
    std::vector<fiber<void>> all{spawn(body(1)), spawn(body(2))};
    yield();
    all.push_back(spawn(body(3)));
    EXPECT_EQ(kill_all(all), 3u);
    for (const auto& f : all) EXPECT_TRUE(f.killed());
    EXPECT_EQ(log.text(), "1 2");
    EXPECT_EQ(kill_all(std::vector<fiber<void>>()), 0u);
}

// rule 25: the same answer as kill_for: how many have finished.
TEST_F(KillAll, WaitsNoLongerThanItsTimeout) {
    const auto stubborn = spawn([] {
        try {
            sleep(1h);
        } catch (const copse::greenlet_exit&) {
            const copse::shield finish;
            sleep(10h);
            throw;
        }
    });
    const auto quick = lasting(1);
    yield();
    EXPECT_EQ(kill_all({.timeout = 1h}, stubborn, quick), 1u);
    EXPECT_EQ(time.elapsed(), 1h);
    stubborn.join();
}

TEST_F(KillAll, WithAnException) {
    const auto a = lasting(1);
    const auto b = spawn([] { sleep(1h); });
    yield();
    EXPECT_EQ(kill_all({.exception = std::make_exception_ptr(std::runtime_error("out"))}, a, b), 2u);
    EXPECT_EQ(copse_test::what_of(a.exception()), "out");
    EXPECT_EQ(copse_test::what_of(b.exception()), "out");
}

// rule 29
TEST_F(KillAll, TheCallerAmongThemIsKilledToo) {
    const auto other = lasting(1);
    fiber<void> self;
    self = spawn([&] {
        kill_all(self, other);
        log("never");
    });
    self.join();
    other.join();
    EXPECT_TRUE(self.killed());
    EXPECT_TRUE(other.killed());
    EXPECT_EQ(log.text(), "");
}

}  // namespace
