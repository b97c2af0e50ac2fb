// Condition variables. Decision 3; SY03.

#include <copse/fibers.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>

using copse::condition_variable;
using copse::hub;
using copse::mutex;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class ConditionFixture : public copse_test::hub_test {};

class ConditionVariable : public ConditionFixture {
protected:
    auto waiting(int number) {
        return spawn([this, number] {
            std::unique_lock lock(m);
            changed.wait(lock);
            EXPECT_TRUE(lock.owns_lock());
            log(number);
        });
    }

    mutex m;
    condition_variable changed;
};

TEST_F(ConditionVariable, NotifyWakesInTheOrderOfWaiting) {
    for (int i = 0; i < 4; ++i) waiting(i);
    yield();
    changed.notify_one();
    log("notified");
    yield();
    EXPECT_EQ(log.take(), "notified 0");
    changed.notify_all();
    yield();
    sleep(1ns);
    EXPECT_EQ(log.text(), "1 2 3");
    EXPECT_FALSE(m.locked());
}

TEST_F(ConditionVariable, Fault_SY03_ANotificationThatNobodyWaitsForIsForgotten) {
    changed.notify_one();
    changed.notify_all();
    std::unique_lock lock(m);
    EXPECT_EQ(changed.wait_for(lock, 1s), std::cv_status::timeout);
    EXPECT_TRUE(lock.owns_lock());
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(ConditionVariable, NeverWakesForNothing) {
    int wakes = 0;
    const auto f = spawn([&] {
        std::unique_lock lock(m);
        changed.wait(lock);
        ++wakes;
    });
    for (int i = 0; i < 100; ++i) sleep(1s);
    EXPECT_EQ(wakes, 0);
    changed.notify_one();
    f.join();
    EXPECT_EQ(wakes, 1);
}

TEST_F(ConditionVariable, Fault_SY03_PredicatesAreAskedUnderTheLock) {
    int value = 0;
    const auto f = spawn([&] {
        std::unique_lock lock(m);
        changed.wait(lock, [&] {
            EXPECT_TRUE(m.locked());
            return value == 2;
        });
        log("two");
    });
    for (int i = 0; i < 3; ++i) {
        yield();
        const std::lock_guard lock(m);
        value = i;
        log("v", i);
        changed.notify_all();
    }
    f.join();
    EXPECT_EQ(log.text(), "v0 v1 v2 two");
}

TEST_F(ConditionVariable, TimedFormsSayHowTheyEnded) {
    std::unique_lock lock(m);
    EXPECT_FALSE(changed.wait_for(lock, 1s, [] { return false; }));
    EXPECT_TRUE(changed.wait_for(lock, 1s, [] { return true; }));
    EXPECT_EQ(changed.wait_until(lock, copse::clock::now() + 1s), std::cv_status::timeout);
    EXPECT_FALSE(changed.wait_until(lock, copse::clock::now() + 1s, [] { return false; }));
    EXPECT_EQ(changed.wait_for(lock, 0s), std::cv_status::timeout);
    EXPECT_EQ(time.elapsed(), 3s);
    spawn([this] { changed.notify_one(); });
    EXPECT_EQ(changed.wait_for(lock, 0s), std::cv_status::no_timeout);
}

TEST_F(ConditionVariable, WithoutTheLockIsRefused) {
    std::unique_lock lock(m, std::defer_lock);
    EXPECT_THROW(changed.wait(lock), copse::not_owner);
    m.lock();
    const auto f = spawn([&] {
        std::unique_lock claimed(m, std::adopt_lock);
        EXPECT_THROW(changed.wait(claimed), copse::not_owner);
        claimed.release();
    });
    f.get();
    EXPECT_TRUE(m.locked());
    m.unlock();
}

// SY03, P5: the notification goes to the next one
TEST_F(ConditionVariable, Fault_SY03_AKilledWaiterIsPassedOver) {
    const auto a = waiting(0);
    const auto b = waiting(1);
    yield();
    a.request_kill();
    changed.notify_one();
    join_all(a, b);
    EXPECT_TRUE(a.killed());
    EXPECT_EQ(log.text(), "1");
    EXPECT_FALSE(m.locked());
}

// decision 3: notified counts as acquired
TEST_F(ConditionVariable, Fault_SY03_AKillInTheTurnOfTheNotificationCompletes) {
    const auto f = spawn([this] {
        std::unique_lock lock(m);
        changed.wait(lock);
        log("notified");
        lock.unlock();
        yield();
        log("never");
    });
    yield();
    changed.notify_one();
    f.kill();
    EXPECT_EQ(log.text(), "notified");
    EXPECT_TRUE(f.killed());
}

TEST_F(ConditionVariable, Fault_SY03_AllAreNotifiedThoughOneIsKilled) {
    const auto a = waiting(0);
    const auto b = waiting(1);
    const auto c = waiting(2);
    yield();
    b.request_kill();
    changed.notify_all();
    join_all(a, b, c);
    EXPECT_EQ(log.text(), "0 2");
}

// The lock is held again on every way out, also when somebody else holds it at that moment.
TEST_F(ConditionVariable, AKilledWaiterHoldsTheLockWhileItUnwinds) {
    const auto f = spawn([this] {
        std::unique_lock lock(m);
        try {
            changed.wait(lock);
        } catch (const copse::greenlet_exit&) {
            log(lock.owns_lock() && m.locked() ? "held" : "?");
            throw;
        }
    });
    yield();
    m.lock();
    f.request_kill();
    sleep(1s);
    log("unlocking");
    m.unlock();
    f.join();
    EXPECT_EQ(log.text(), "unlocking held");
    EXPECT_FALSE(m.locked());
}

TEST_F(ConditionVariable, ATimeoutIsThrownWithTheLockHeld) {
    std::unique_lock lock(m);
    EXPECT_THROW(copse::with_timeout(1s, [&] { changed.wait(lock); }), copse::timeout_expired);
    EXPECT_TRUE(lock.owns_lock());
    EXPECT_TRUE(m.locked());
}

TEST_F(ConditionVariable, NotANumberIsRefusedWithTheLockHeldAndNoWaiterLeft) {
    const std::chrono::duration<double> nan(std::nan(""));
    std::unique_lock lock(m);
    EXPECT_THROW(changed.wait_for(lock, nan), copse::invalid_duration);
    EXPECT_THROW(changed.wait_for(lock, nan, [] { return false; }), copse::invalid_duration);
    EXPECT_TRUE(lock.owns_lock() && m.locked());
    changed.notify_all();
    yield();
}

// The whole of the predicate's waits has one deadline.
TEST_F(ConditionVariable, Fault_SY03_NotificationsDoNotExtendTheDeadline) {
    const auto noise = spawn([this] {
        for (int i = 0; i < 10; ++i) {
            sleep(300ms);
            changed.notify_all();
        }
    });
    std::unique_lock lock(m);
    int asked = 0;
    EXPECT_FALSE(changed.wait_for(lock, 1s, [&] {
        ++asked;
        return false;
    }));
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_EQ(asked, 5);  // at first, three times for nothing, and at the deadline
    lock.unlock();
    noise.join();
}

}  // namespace
