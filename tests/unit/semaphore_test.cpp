// Semaphores. Decision 3; gevent rules 14, 79 to 83, 87.

#include <copse/fibers.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>

using copse::hub;
using copse::semaphore;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class Semaphore : public copse_test::hub_test {};

// rules 14, 82
TEST_F(Semaphore, WithPermitsNobodyIsSwitchedTo) {
    semaphore permits(3);
    spawn([this] { log("other"); });
    permits.acquire();
    EXPECT_TRUE(permits.try_acquire());
    EXPECT_TRUE(permits.try_acquire_for(1h));
    EXPECT_FALSE(permits.try_acquire());
    permits.release(2);
    EXPECT_EQ(permits.available(), 2);
    EXPECT_EQ(log.text(), "");
    yield();
}

// rule 79
TEST_F(Semaphore, AsManyReleasesAsWaitersWakeInOrder) {
    semaphore permits(0);
    for (int i = 0; i < 3; ++i) {
        spawn([&, i] {
            permits.acquire();
            log(i);
        });
    }
    yield();
    permits.release(2);
    yield();
    EXPECT_EQ(log.text(), "0 1");
    permits.release();
    yield();
    EXPECT_EQ(log.text(), "0 1 2");
    EXPECT_EQ(permits.available(), 0);
}

// rule 80 changed: no barging
TEST_F(Semaphore, ARunningFiberCannotBargeInBeforeTheWaiter) {
    semaphore permits(0);
    const auto waiter = spawn([&] {
        permits.acquire();
        log("waiter");
        permits.release();
    });
    yield();
    spawn([&] {
        permits.acquire();
        log("third");
        permits.release();
    });
    permits.release();
    log("released");
    EXPECT_FALSE(permits.try_acquire());
    EXPECT_EQ(permits.available(), 0);
    permits.acquire();
    log("main");
    permits.release();
    waiter.join();
    sleep(1ns);
    EXPECT_EQ(log.text(), "released waiter main third");
}

// rule 81 changed
TEST_F(Semaphore, AcquireAndYieldInALoopDoesNotStarve) {
    semaphore permits(1);
    const auto looping = [&](char name) {
        return spawn([&, name] {
            for (int i = 0; i < 3; ++i) {
                permits.acquire();
                log(name, i);
                yield();
                permits.release();
            }
        });
    };
    const auto a = looping('a');
    const auto b = looping('b');
    join_all(a, b);
    EXPECT_EQ(log.text(), "a0 b0 a1 b1 a2 b2");
}

// rule 82, decision 7
TEST_F(Semaphore, TimedFormsAnswerAndLeaveNoWaiter) {
    semaphore permits(0);
    EXPECT_FALSE(permits.try_acquire_for(1s));
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_FALSE(permits.try_acquire_until(copse::clock::now() + 1s));
    EXPECT_FALSE(permits.try_acquire_for(-1s));
    spawn([&] { permits.release(); });
    EXPECT_TRUE(permits.try_acquire_for(0s));
    EXPECT_EQ(time.elapsed(), 2s);
    permits.release();
    EXPECT_EQ(permits.available(), 1);
}

// rule 83, decision 3
TEST_F(Semaphore, AKillInTheTurnOfTheHandOverCompletesAndIsThrownAtTheNextWait) {
    semaphore permits(0);
    const auto f = spawn([&] {
        permits.acquire();
        log("acquired");
        permits.release();
        yield();
        log("never");
    });
    yield();
    permits.release();
    f.kill();
    EXPECT_EQ(log.text(), "acquired");
    EXPECT_TRUE(f.killed());
    EXPECT_EQ(permits.available(), 1);
}

TEST_F(Semaphore, AKilledWaiterIsPassedOver) {
    semaphore permits(0);
    const auto waiting = [&](int i) {
        return spawn([&, i] {
            permits.acquire();
            log(i);
        });
    };
    const auto a = waiting(0);
    const auto b = waiting(1);
    yield();
    a.request_kill();
    permits.release();
    join_all(a, b);
    EXPECT_TRUE(a.killed());
    EXPECT_EQ(log.text(), "1");
    EXPECT_EQ(permits.available(), 0);
}

TEST_F(Semaphore, AWaiterThatTimedOutIsPassedOver) {
    semaphore permits(0);
    const auto a = spawn([&] { return permits.try_acquire_for(1s); });
    const auto b = spawn([&] { return permits.try_acquire_for(3s); });
    spawn([&] {
        sleep(2s);
        permits.release();
    });
    EXPECT_FALSE(a.get());
    EXPECT_TRUE(b.get());
}

// rule 87, SY04
TEST_F(Semaphore, Fault_SY04_WrongCountsAreRefused) {
    EXPECT_THROW(semaphore(-1), std::invalid_argument);
    semaphore permits(1);
    EXPECT_THROW(permits.release(-1), std::invalid_argument);
    EXPECT_THROW(permits.release(std::numeric_limits<std::ptrdiff_t>::max()), std::overflow_error);
    permits.release(0);
    EXPECT_EQ(permits.available(), 1);
    permits.release(std::numeric_limits<std::ptrdiff_t>::max() - 1);
    EXPECT_EQ(permits.available(), std::numeric_limits<std::ptrdiff_t>::max());
}

TEST_F(Semaphore, Fault_SY04_MoreReleasedThanThereAreWaiters) {
    semaphore permits(0);
    const auto a = spawn([&] { permits.acquire(); });
    yield();
    permits.release(3);
    EXPECT_EQ(permits.available(), 2);
    a.join();
    EXPECT_EQ(permits.available(), 2);
}

// rule 84
TEST_F(Semaphore, WaitTakesNothing) {
    semaphore permits(1);
    spawn([this] { log("other"); });
    EXPECT_FALSE(permits.locked());
    permits.wait();
    EXPECT_TRUE(permits.wait_for(0s));
    EXPECT_TRUE(permits.wait_until(copse::clock::now()));
    EXPECT_EQ(permits.available(), 1);
    EXPECT_EQ(log.text(), "");
    permits.acquire();
    EXPECT_TRUE(permits.locked());
    for (const char name : {'a', 'b'}) {
        spawn([&, name] {
            permits.wait();
            log(name, permits.available());
        });
    }
    yield();
    permits.release();
    yield();
    EXPECT_EQ(log.text(), "other a1 b1");
    EXPECT_EQ(permits.available(), 1);
}

// rule 84: who waits for availability sees only what no acquirer is entitled to, also of those that came later
TEST_F(Semaphore, WaitComesAfterThoseThatAcquire) {
    semaphore permits(0);
    const auto watcher = spawn([&] {
        permits.wait();
        log("available", permits.available());
    });
    const auto acquirer = spawn([&] {
        permits.acquire();
        log("acquired");
    });
    yield();
    permits.release();
    yield();
    EXPECT_EQ(log.take(), "acquired");
    EXPECT_FALSE(watcher.ready());
    permits.release();
    EXPECT_TRUE(permits.try_acquire());  // before the watcher has run
    watcher.join();
    EXPECT_EQ(log.text(), "available0");
    acquirer.join();
}

TEST_F(Semaphore, WaitTimedOutKilledOrBoth) {
    semaphore permits(0);
    EXPECT_FALSE(permits.wait_for(1s));
    EXPECT_FALSE(permits.wait_until(copse::clock::now() + 1s));
    EXPECT_FALSE(permits.wait_for(-1s));
    EXPECT_THROW(permits.wait_for(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    EXPECT_THROW(copse::with_timeout(1s, [&] { permits.wait(); }), copse::timeout_expired);
    EXPECT_EQ(time.elapsed(), 3s);
    const auto a = spawn([&] { permits.wait(); });
    const auto b = spawn([&] { permits.wait(); });
    yield();
    a.kill();
    permits.release();
    b.request_kill();  // acquires nothing: thrown
    b.join();
    EXPECT_TRUE(a.killed() && b.killed());
    EXPECT_EQ(permits.available(), 1);
}

}  // namespace
