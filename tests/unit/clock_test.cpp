// Durations, deadlines, and what the timed forms make of them. Decision 7; P17; gevent rules 5, 6, 8, 40, 74, 92.

#include <copse/fibers.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <limits>
#include <mutex>
#include <ratio>

using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse::detail::length_of;
using copse::detail::never;
using namespace std::chrono_literals;

namespace {

class Clock : public copse_test::hub_test {};

class RealClock : copse_test::hub_with_stack, public copse_test::leak_check {};

TEST_F(Clock, LengthsAreNeverShortened) {
    EXPECT_EQ(length_of(1ns), 1);
    EXPECT_EQ(length_of(2h), 7'200'000'000'000);
    EXPECT_EQ(length_of(std::chrono::duration<std::int64_t, std::pico>(1)), 1);
    EXPECT_EQ(length_of(std::chrono::duration<std::int64_t, std::pico>(1001)), 2);
    EXPECT_EQ(length_of(std::chrono::duration<double>(0.5e-9)), 1);
    EXPECT_EQ(length_of(std::chrono::duration<float>(1.5F)), 1'500'000'000);
    EXPECT_EQ(length_of(std::chrono::duration<int, std::ratio<1, 3>>(1)), 333'333'334);
    EXPECT_EQ(length_of(std::chrono::duration<unsigned char, std::milli>(250)), 250'000'000);
}

TEST_F(Clock, NegativeOnesCountAsNothing) {
    EXPECT_EQ(length_of(0s), 0);
    EXPECT_EQ(length_of(-1ns), 0);
    EXPECT_EQ(length_of(std::chrono::nanoseconds::min()), 0);
    EXPECT_EQ(length_of(std::chrono::hours::min()), 0);
    EXPECT_EQ(length_of(std::chrono::duration<double>(-0.0)), 0);
    EXPECT_EQ(length_of(std::chrono::duration<double>(-std::numeric_limits<double>::infinity())), 0);
    EXPECT_EQ(length_of(std::chrono::duration<double>(std::numeric_limits<double>::lowest())), 0);
}

TEST_F(Clock, HugeOnesAreNever) {
    EXPECT_EQ(length_of(std::chrono::nanoseconds::max()), never);
    EXPECT_EQ(length_of(std::chrono::seconds::max()), never);
    EXPECT_EQ(length_of(std::chrono::hours::max()), never);
    EXPECT_EQ(length_of(std::chrono::duration<std::int64_t, std::ratio<86400 * 365>>(300)), never);
    EXPECT_EQ(length_of(std::chrono::duration<double>(1e300)), never);
    EXPECT_EQ(length_of(std::chrono::duration<double>(std::numeric_limits<double>::infinity())), never);
    time.advance(std::chrono::hours(24 * 365 * 10));
    EXPECT_EQ(copse::detail::deadline_after(std::chrono::hours(24 * 365 * 289)),
              never);  // beyond the clock, from now on
}

TEST_F(Clock, NotANumberIsRefused) {
    EXPECT_THROW(length_of(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    EXPECT_THROW(length_of(std::chrono::duration<float, std::milli>(std::nanf(""))), copse::invalid_duration);
}

// TM01, through every door
TEST_F(Clock, Fault_TM01_EveryTimedCallRefusesWhatIsNotANumber) {
    const std::chrono::duration<double> nan(std::nan(""));
    copse::event flag;
    copse::semaphore permits(0);
    copse::mutex m;
    copse::condition_variable changed;
    const auto f = spawn([] { sleep(1s); });
    yield();
    EXPECT_THROW(sleep(nan), copse::invalid_duration);
    EXPECT_THROW(copse::spawn_after(nan, [] {}), copse::invalid_duration);
    EXPECT_THROW(f.join_for(nan), copse::invalid_duration);
    EXPECT_THROW(f.get_for(nan), copse::invalid_duration);
    EXPECT_THROW(f.kill_for(nan), copse::invalid_duration);
    EXPECT_THROW(flag.wait_for(nan), copse::invalid_duration);
    EXPECT_THROW(permits.try_acquire_for(nan), copse::invalid_duration);
    EXPECT_THROW(hub::current().run_until_idle_for(nan), copse::invalid_duration);
    EXPECT_THROW(copse::timeout{nan}, copse::invalid_duration);
    {
        std::unique_lock lock(m);
        EXPECT_THROW(changed.wait_for(lock, nan), copse::invalid_duration);
        EXPECT_TRUE(lock.owns_lock());
        spawn([&] { EXPECT_THROW(m.try_lock_for(nan), copse::invalid_duration); }).get();
    }
    EXPECT_FALSE(f.ready());
    flag.set();
    permits.release();
    EXPECT_EQ(permits.available(), 1);
    f.join();
}

// TM02
TEST_F(Clock, Fault_TM02_SleepsAreExactFromOneNanosecondToCenturies) {
    for (const auto length : {std::chrono::nanoseconds(1), std::chrono::nanoseconds(1s) + 1ns,
                              std::chrono::nanoseconds(std::chrono::hours(24 * 365 * 100))}) {
        const auto before = time.elapsed();
        sleep(length);
        EXPECT_EQ(time.elapsed() - before, length);
    }
}

// P17: a deadline that never comes is no reason to live
TEST_F(Clock, Fault_TM01_AnEndlessSleepIsNoTimer) {
    const auto endless = spawn([] { sleep(std::chrono::hours::max()); });
    yield();
    EXPECT_EQ(hub::current().stats().timers, 0u);
    EXPECT_FALSE(endless.join_for(24h * 365));
    EXPECT_THROW(endless.join(), copse::would_block_forever);
    endless.kill();
}

TEST_F(Clock, SleepUntilAPointOfTheHubsClockOrOfTheSteadyOneIsExact) {
    copse::sleep_until(copse::clock::now() + 3s);
    EXPECT_EQ(time.elapsed(), 3s);
    copse::sleep_until(copse::clock::now() - 1h);
    EXPECT_EQ(time.elapsed(), 3s);
    copse::sleep_until(std::chrono::steady_clock::time_point(copse::clock::now().time_since_epoch()) + 2s);
    EXPECT_EQ(time.elapsed(), 5s);
}

TEST_F(Clock, SleepUntilAPointThatHasPassedIsAYield) {
    spawn([this] { log("other"); });
    copse::sleep_until(copse::clock::now());
    log("main");
    EXPECT_EQ(log.text(), "other main");
}

// TM10: a clock that can be set is asked again
TEST_F(RealClock, Fault_TM10_SleepUntilAnotherClockIsNeverEarly) {
    const auto when = std::chrono::system_clock::now() + 3ms;
    copse::sleep_until(when);
    EXPECT_GE(std::chrono::system_clock::now(), when);
}

// Decision 7: `_for(0)` lets the others run once, `try_` never does.
TEST_F(Clock, ZeroGivesTheOthersOneTurnTryNone) {
    copse::event flag;
    copse::semaphore permits(0);
    copse::queue<int> q(1);
    spawn([this] { log("one"); });
    EXPECT_FALSE(permits.try_acquire());
    EXPECT_FALSE(q.try_get());
    EXPECT_EQ(log.text(), "");
    EXPECT_FALSE(permits.try_acquire_for(0s));
    EXPECT_EQ(log.text(), "one");
    spawn([this] { log("two"); });
    EXPECT_FALSE(q.get_for(0ns));
    spawn([this] { log("three"); });
    EXPECT_FALSE(flag.wait_for(-1s));
    EXPECT_EQ(log.text(), "one two three");
    EXPECT_EQ(time.elapsed(), 0ns);
}

// Years that 64 bits of nanoseconds cannot hold.
TEST_F(Clock, WhatIsPastComesAtOnceWhatIsOutOfReachNever) {
    using std::chrono::system_clock;
    copse::event flag;
    EXPECT_FALSE(flag.wait_until(system_clock::time_point::min()));
    EXPECT_FALSE(flag.wait_until(std::chrono::sys_seconds::min()));
    EXPECT_FALSE(flag.wait_until(std::chrono::sys_days(std::chrono::year(1500) / 1 / 1)));
    EXPECT_EQ(time.elapsed(), 0ns);
    EXPECT_THROW(flag.wait_until(system_clock::time_point::max()), copse::would_block_forever);
    EXPECT_THROW(flag.wait_until(std::chrono::sys_seconds::max()), copse::would_block_forever);
    EXPECT_THROW(flag.wait_until(std::chrono::sys_days::max()), copse::would_block_forever);
    EXPECT_THROW(flag.wait_until(std::chrono::sys_days(std::chrono::year(3000) / 1 / 1)), copse::would_block_forever);
    EXPECT_EQ(time.elapsed(), 0ns);
}

// With the real clock: nothing is early.
TEST_F(RealClock, NothingIsEarly) {
    for (const auto length : {1ns, 10'000ns, 2'000'000ns}) {
        const auto start = std::chrono::steady_clock::now();
        sleep(length);
        EXPECT_GE(std::chrono::steady_clock::now() - start, length);
    }
    const auto start = copse::clock::now();
    copse::event flag;
    EXPECT_FALSE(flag.wait_for(3ms));
    EXPECT_GE(copse::clock::now() - start, 3ms);
}

TEST_F(RealClock, WithoutAHubItIsTheSteadyClock) {
    const auto before = std::chrono::steady_clock::now().time_since_epoch();
    const auto now = copse::clock::now().time_since_epoch();
    EXPECT_GE(now, before);
    EXPECT_LE(now, std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace
