// Virtual time, and the seeded order of what is ready. SC08, P21.

#include <copse/fibers.hpp>
#include <copse/virtual_time.hpp>

#include "leak_check.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::virtual_time;
using copse::yield;
using namespace std::chrono_literals;

namespace {

struct hub_with_stack {
    hub_with_stack() {
        hub::current().post([] {});
        hub::current().run_until_idle();
    }
};

class VirtualTime : hub_with_stack, public copse_test::leak_check {
protected:
    void TearDown() override {
        hub::current().run_until_idle();
        EXPECT_EQ(hub::current().stats().timers, 0u);
        EXPECT_EQ(hub::current().stats().fibers, 0u);
        leak_check::TearDown();
    }
};

TEST_F(VirtualTime, JumpsExactlyToTheNextDeadline) {
    virtual_time time;
    const auto start = copse::clock::now();
    EXPECT_EQ(time.elapsed(), 0ns);
    const auto real = std::chrono::steady_clock::now();
    sleep(24h);
    EXPECT_EQ(time.elapsed(), 24h);
    EXPECT_EQ(copse::clock::now() - start, 24h);
    for (const auto length : {1ns, 999ns, 1234567ns}) {
        const auto before = time.elapsed();
        sleep(length);
        EXPECT_EQ(time.elapsed() - before, length);
    }
    sleep(24h * 365 * 100);
    EXPECT_LT(std::chrono::steady_clock::now() - real, 5s);
}

TEST_F(VirtualTime, DoesNotPassWhileFibersAreReady) {
    virtual_time time;
    const auto sleeper = spawn([&] {
        sleep(1s);
        log("woken");
    });
    for (int i = 0; i < 1000; ++i) yield();
    EXPECT_EQ(time.elapsed(), 0ns);
    EXPECT_EQ(log.text(), "");
    time.advance(1s);
    for (int i = 0; i < 64; ++i) yield();
    EXPECT_EQ(log.text(), "woken");
    sleeper.join();
}

TEST_F(VirtualTime, AdvanceMovesTheClockWithoutASwitch) {
    virtual_time time;
    spawn([this] { log("other"); });
    time.advance(5s);
    EXPECT_EQ(time.elapsed(), 5s);
    EXPECT_EQ(log.text(), "");
    yield();
}

TEST_F(VirtualTime, IsRefusedWhileTimersOfTheRealClockAreArmed) {
    const auto f = copse::spawn_after(1h, [] {});
    EXPECT_THROW(virtual_time(), copse::error);
    f.kill();
    virtual_time time;
    sleep(1h);
}

TEST_F(VirtualTime, LeavesNoTraceInWaitedAndTheRealClockIsBack) {
    {
        virtual_time time;
        sleep(1h);
    }
    const auto f = spawn({.name = "parked"}, [] { sleep(1h); });
    yield();
    for (const copse::fiber_info& info : hub::current().fibers()) EXPECT_GE(info.waited, 0ns);
    f.kill();
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    EXPECT_LT(copse::clock::now().time_since_epoch() - now, 1min);
}

// What happens in which order is the seed's choice alone.
std::string order_of(std::uint64_t seed) {
    virtual_time time(seed);
    copse_test::event_log log;
    std::vector<copse::fiber<void>> all;
    for (const char name : {'a', 'b', 'c', 'd'}) {
        all.push_back(spawn([&log, name] {
            for (int i = 0; i < 3; ++i) {
                log(name, i);
                yield();
            }
        }));
    }
    join_all(all);
    return log.text();
}

// P21
TEST_F(VirtualTime, Fault_SC08_TheSameSeedGivesTheSameOrder) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) EXPECT_EQ(order_of(seed), order_of(seed)) << "seed " << seed;
}

TEST_F(VirtualTime, Fault_SC08_DifferentSeedsGiveManyOrders) {
    std::set<std::string> orders;
    for (std::uint64_t seed = 0; seed < 100; ++seed) orders.insert(order_of(seed));
    EXPECT_GT(orders.size(), 90u);
}

TEST_F(VirtualTime, Fault_SC08_WithoutASeedTheOrderIsFirstInFirstOutAgain) {
    order_of(7);
    virtual_time time;
    for (int i = 0; i < 10; ++i) {
        spawn([this, i] { log(i); });
    }
    yield();
    EXPECT_EQ(log.text(), "0 1 2 3 4 5 6 7 8 9");
}

// A clock of the wall stands still meanwhile: it is not waited for again and again.
TEST_F(VirtualTime, APointOfAnotherClockIsSleptOnce) {
    virtual_time time;
    copse::sleep_until(std::chrono::system_clock::now() + 10h);
    EXPECT_GT(time.elapsed(), 9h);
    EXPECT_LT(time.elapsed(), 11h);
}

TEST_F(VirtualTime, AdvanceNeitherGoesBackNorOverflows) {
    virtual_time time;
    time.advance(-5h);
    EXPECT_EQ(time.elapsed(), 0ns);
    time.advance(5h);
    EXPECT_EQ(time.elapsed(), 5h);
    time.advance(std::chrono::nanoseconds::max());
    time.advance(std::chrono::nanoseconds::max());
    EXPECT_GT(time.elapsed(), 24h * 365 * 200);
    EXPECT_THROW(copse::event().wait_for(1s), copse::would_block_forever);  // the end of time
}

TEST_F(VirtualTime, AWaitThatBeganInItIsNotListedAsNegative) {
    copse::event flag;
    {
        virtual_time time;
        copse::sleep(1h);
        spawn([&flag] { flag.wait(); });
        yield();
    }
    const auto all = copse::hub::current().fibers();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].waited, 0ns);
    flag.set();
    yield();
}

TEST_F(VirtualTime, MayOutliveItsHub) {
    std::optional<virtual_time> outlives;
    std::thread([&outlives] {
        outlives.emplace();
        copse::sleep(1h);
    }).join();
    outlives.reset();
}

TEST_F(VirtualTime, ATwiceShuffledHubStillTakesEveryFiberOnce) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        virtual_time time(seed);
        std::set<int> ran;
        std::vector<copse::fiber<void>> all;
        for (int i = 0; i < 20; ++i) all.push_back(spawn([&ran, i] { EXPECT_TRUE(ran.insert(i).second); }));
        join_all(all);
        EXPECT_EQ(ran.size(), 20u);
    }
}

}  // namespace
