// Condition variables over any lock. Decision 3; SY03.

#include <copse/condition_variable.hpp>
#include <copse/recursive_mutex.hpp>
#include <copse/shared_mutex.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>

using copse::condition_variable_any;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class ConditionVariableAny : public copse_test::hub_test {
protected:
    condition_variable_any changed;
};

TEST_F(ConditionVariableAny, TakesAMutexItself) {
    copse::mutex m;
    m.lock();
    spawn([&] {
        const std::lock_guard lock(m);
        changed.notify_one();
        log("notified");
    });
    changed.wait(m);
    EXPECT_TRUE(m.owned());
    EXPECT_EQ(log.text(), "notified");
    m.unlock();
}

TEST_F(ConditionVariableAny, TakesReadersOfASharedMutex) {
    copse::shared_mutex m;
    bool ready = false;
    for (int i = 0; i < 2; ++i) {
        spawn([&, i] {
            std::shared_lock lock(m);
            changed.wait(lock, [&] { return ready; });
            log(i, ":", m.readers());
            yield();
        });
    }
    yield();
    EXPECT_EQ(m.readers(), 0u);
    {
        const std::unique_lock lock(m);
        ready = true;
        changed.notify_all();
    }
    sleep(1s);
    EXPECT_EQ(log.text(), "0:1 1:2");
    EXPECT_EQ(m.readers(), 0u);
}

TEST_F(ConditionVariableAny, TakesARecursiveMutex) {
    copse::recursive_mutex m;
    std::unique_lock lock(m);
    EXPECT_EQ(changed.wait_for(lock, 1s), std::cv_status::timeout);
    EXPECT_EQ(m.depth(), 1u);
    EXPECT_FALSE(changed.wait_for(lock, 1s, [] { return false; }));
    EXPECT_TRUE(changed.wait_until(lock, copse::clock::now() - 1s, [] { return true; }));
    EXPECT_EQ(changed.wait_until(lock, std::chrono::steady_clock::now() - 1s), std::cv_status::timeout);
    EXPECT_THROW(changed.wait_for(lock, std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    EXPECT_TRUE(m.owned());
    EXPECT_EQ(time.elapsed(), 2s);
}

TEST_F(ConditionVariableAny, WithoutTheLockIsRefusedAndLeavesNoWaiter) {
    copse::mutex m;
    EXPECT_THROW(changed.wait(m), copse::not_owner);
    std::unique_lock lock(m, std::defer_lock);
    EXPECT_THROW(changed.wait(lock), copse::not_owner);
    copse::shared_mutex shared;
    EXPECT_THROW(changed.wait(shared), copse::not_owner);
    changed.notify_all();
    yield();
    EXPECT_FALSE(m.locked() || shared.locked());
}

TEST_F(ConditionVariableAny, Fault_SY03_AKilledWaiterHoldsTheLockWhileItUnwinds) {
    copse::shared_mutex m;
    const auto f = spawn([&] {
        std::shared_lock lock(m);
        try {
            changed.wait(lock);
        } catch (const copse::greenlet_exit&) {
            log("readers", m.readers());
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
    EXPECT_EQ(log.text(), "unlocking readers1");
    EXPECT_EQ(m.readers(), 0u);
}

TEST_F(ConditionVariableAny, Fault_SY03_AKillInTheTurnOfTheNotificationCompletes) {
    copse::recursive_mutex m;
    const auto f = spawn([&] {
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
    EXPECT_TRUE(f.killed());
    EXPECT_EQ(log.text(), "notified");
}

TEST_F(ConditionVariableAny, Fault_SY03_AKilledWaiterIsPassedOver) {
    copse::mutex m;
    const auto waiting = [&](int i) {
        return spawn([&, i] {
            std::unique_lock lock(m);
            changed.wait(lock);
            log(i);
        });
    };
    const auto a = waiting(0);
    const auto b = waiting(1);
    yield();
    a.request_kill();
    changed.notify_one();
    join_all(a, b);
    EXPECT_EQ(log.text(), "1");
    EXPECT_FALSE(m.locked());
}

TEST_F(ConditionVariableAny, ATimeoutIsThrownWithTheLockHeld) {
    copse::shared_mutex m;
    std::unique_lock lock(m);
    EXPECT_THROW(copse::with_timeout(1s, [&] { changed.wait(lock); }), copse::timeout_expired);
    EXPECT_TRUE(lock.owns_lock() && m.locked());
}

}  // namespace
