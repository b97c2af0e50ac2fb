// Latches. SY06.

#include <copse/latch.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>

using copse::latch;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class Latch : public copse_test::hub_test {};

TEST_F(Latch, OpensAtZeroForGoodAndLetsAllGoOnInOrder) {
    latch open(3);
    for (int i = 0; i < 3; ++i) {
        spawn([&, i] {
            open.wait();
            log(i);
        });
    }
    yield();
    open.count_down();
    EXPECT_FALSE(open.try_wait());
    yield();
    EXPECT_EQ(log.text(), "");
    open.count_down(2);
    log("opened");
    EXPECT_TRUE(open.try_wait());
    yield();
    EXPECT_EQ(log.text(), "opened 0 1 2");
    spawn([this] { log("other"); });
    open.wait();
    EXPECT_TRUE(open.wait_for(0s));
    EXPECT_TRUE(open.wait_until(copse::clock::now()));
    EXPECT_EQ(log.text(), "opened 0 1 2");
    yield();
}

TEST_F(Latch, ThoseThatArriveWaitForTheLast) {
    latch open(3);
    for (int i = 1; i <= 3; ++i) {
        spawn([&, i] {
            sleep(i * 1s);
            log("a", i);
            open.arrive_and_wait();
            log("go", i);
        });
    }
    open.wait();
    EXPECT_EQ(time.elapsed(), 3s);
    yield();
    EXPECT_EQ(log.text(), "a1 a2 a3 go3 go1 go2");
}

TEST_F(Latch, Fault_SY06_MiscountsAreRefusedAndChangeNothing) {
    EXPECT_THROW(latch(-1), std::invalid_argument);
    latch at_once(0);
    EXPECT_TRUE(at_once.try_wait());
    at_once.wait();
    EXPECT_THROW(at_once.count_down(), std::invalid_argument);
    latch open(2);
    EXPECT_THROW(open.count_down(3), std::invalid_argument);
    EXPECT_THROW(open.count_down(-1), std::invalid_argument);
    EXPECT_THROW(open.arrive_and_wait(3), std::invalid_argument);
    open.count_down(0);
    EXPECT_FALSE(open.try_wait());
    open.arrive_and_wait(2);
    EXPECT_TRUE(open.try_wait());
    EXPECT_THROW(open.arrive_and_wait(), std::invalid_argument);
    latch widest((latch::max)());
    EXPECT_THROW(widest.count_down(std::numeric_limits<std::ptrdiff_t>::min()), std::invalid_argument);
    widest.count_down((latch::max)());
    EXPECT_TRUE(widest.try_wait());
}

TEST_F(Latch, TimedFormsAnswerAndLeaveNoWaiter) {
    latch open(1);
    EXPECT_FALSE(open.wait_for(1s));
    EXPECT_FALSE(open.wait_until(copse::clock::now() + 1s));
    EXPECT_FALSE(open.wait_for(0s));
    EXPECT_FALSE(open.wait_for(-1h));
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_THROW(open.wait_for(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    EXPECT_THROW(copse::with_timeout(1s, [&] { open.wait(); }), copse::timeout_expired);
    spawn([&] { open.count_down(); });
    EXPECT_TRUE(open.wait_for(0s));  // the others had their turn
}

TEST_F(Latch, Fault_KL11_AtTheDeadlineIsOneOrTheOther) {
    for (const int offset : {-1, 0, 1}) {
        latch open(1);
        const auto waiter = spawn([&] { return open.wait_for(1ms); });
        yield();
        sleep(1ms + std::chrono::microseconds(offset));
        open.count_down();
        EXPECT_EQ(waiter.get(), offset < 0) << offset;
    }
}

TEST_F(Latch, Fault_SY06_WhoIsKilledWhileItWaitsHasArrived) {
    latch open(2);
    const auto victim = spawn([&] {
        open.arrive_and_wait();
        log("never");
    });
    yield();
    victim.kill();
    open.arrive_and_wait();
    EXPECT_TRUE(open.try_wait());
    EXPECT_EQ(log.text(), "");
}

TEST_F(Latch, Fault_SY06_WhoWasKilledBeforeHasNotArrived) {
    latch open(1);
    copse::fiber<void> victim;
    victim = spawn([&] {
        victim.request_kill();
        open.arrive_and_wait();
    });
    victim.join();
    EXPECT_TRUE(victim.killed());
    EXPECT_FALSE(open.try_wait());
}

// Waiting acquires nothing.
TEST_F(Latch, AKillInTheTurnOfTheOpeningIsThrown) {
    latch open(1);
    const auto victim = spawn([&] {
        open.wait();
        log("never");
    });
    const auto other = spawn([&] {
        open.wait();
        log("other");
    });
    yield();
    open.count_down();
    victim.kill();
    other.join();
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(log.text(), "other");
}

TEST_F(Latch, MayEndBeforeThoseThatWaitedHaveRun) {
    auto open = std::make_unique<latch>(1);
    const auto waiter = spawn([&] { return open->wait_for(1h); });
    yield();
    open->count_down();
    open.reset();
    EXPECT_TRUE(waiter.get());
}

}  // namespace
