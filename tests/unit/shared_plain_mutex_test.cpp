// Mutexes between threads. Decision 3; rule 86; SY01, SY02.

#include <copse/fibers.hpp>

#include "hub_test.hpp"
#include "worker.hpp"

#include <chrono>
#include <cmath>
#include <concepts>
#include <mutex>
#include <thread>
#include <vector>

using copse::sleep;
using copse::spawn;
using copse::yield;
using copse::shared::mutex;
using copse_test::in_thread;
using copse_test::worker;
using namespace std::chrono_literals;

namespace {

class SharedPlainMutex : public copse_test::hub_test {
protected:
    copse::fiber<void> locking(mutex& m, const char* name) {
        return spawn([this, &m, name] {
            const std::lock_guard held(m);
            log(name);
        });
    }
};

// [thread.timedmutex.requirements]
template <class M>
concept timed_mutex_type = std::is_default_constructible_v<M> && !std::is_copy_constructible_v<M> && requires(M m) {
    { m.lock() } -> std::same_as<void>;
    { m.try_lock() } -> std::same_as<bool>;
    { m.try_lock_for(1ms) } -> std::same_as<bool>;
    { m.try_lock_for(std::chrono::duration<double>(1)) } -> std::same_as<bool>;
    { m.try_lock_until(std::chrono::steady_clock::now()) } -> std::same_as<bool>;
    { m.try_lock_until(std::chrono::system_clock::now()) } -> std::same_as<bool>;
    { m.try_lock_until(copse::clock::now()) } -> std::same_as<bool>;
    { m.unlock() } -> std::same_as<void>;
};
static_assert(timed_mutex_type<mutex>);

TEST_F(SharedPlainMutex, UnlockingHandsItToTheLongestWaiter) {
    mutex m;
    m.lock();
    EXPECT_TRUE(m.locked());
    EXPECT_TRUE(m.owned());
    const auto a = locking(m, "a");
    const auto b = locking(m, "b");
    yield();
    EXPECT_EQ(log.text(), "");
    m.unlock();
    EXPECT_TRUE(m.locked());
    EXPECT_FALSE(m.owned());
    copse::join_all(a, b);
    EXPECT_EQ(log.text(), "a b");
    EXPECT_FALSE(m.locked());
}

TEST_F(SharedPlainMutex, IsHandedFromThreadToThread) {
    mutex m;
    worker other;
    m.lock();
    const auto a = locking(m, "a");
    yield();
    other.run([&] {
        EXPECT_FALSE(m.try_lock());
        spawn([&] {
            const std::lock_guard held(m);
            log("b");
        });
        yield();
    });
    m.unlock();
    a.join();
    other.run([] { copse::hub::current().run_until_idle(); });
    EXPECT_EQ(log.text(), "a b");
    m.lock();
    m.unlock();
}

// A hold of a thread that knows nothing of fibers, before and after it learns of them.
TEST_F(SharedPlainMutex, IsHeldByAThreadWithoutFibers) {
    mutex m;
    in_thread([&] {
        EXPECT_TRUE(m.try_lock());
        EXPECT_FALSE(m.try_lock());
        in_thread([&] {
            EXPECT_FALSE(m.owned());
            EXPECT_FALSE(m.try_lock());
            EXPECT_THROW(m.unlock(), copse::not_owner);
        });
        EXPECT_THROW(m.lock(), copse::self_deadlock);
        spawn([&] { EXPECT_FALSE(m.owned()); }).join();
        EXPECT_TRUE(m.owned());
        m.unlock();
    });
    EXPECT_FALSE(m.locked());
}

TEST_F(SharedPlainMutex, Fault_SY02_Misuse) {
    mutex m;
    EXPECT_THROW(m.unlock(), copse::not_owner);
    m.lock();
    EXPECT_THROW(m.lock(), copse::self_deadlock);
    EXPECT_THROW(m.try_lock_for(1s), copse::self_deadlock);
    EXPECT_FALSE(m.try_lock());
    spawn([&] { EXPECT_THROW(m.unlock(), copse::not_owner); }).join();
    EXPECT_THROW(spawn([&] { m.try_lock_for(std::chrono::duration<float>(std::nanf(""))); }).get(),
                 copse::invalid_duration);
    m.unlock();
    EXPECT_FALSE(m.locked());
}

TEST_F(SharedPlainMutex, TimesOut) {
    mutex m;
    m.lock();
    const auto a = spawn([&] {
        EXPECT_FALSE(m.try_lock_for(1s));
        EXPECT_FALSE(m.try_lock_until(copse::clock::now() + 1s));
        EXPECT_FALSE(m.try_lock_for(0s));
        EXPECT_FALSE(m.try_lock_for(-1s));
        EXPECT_TRUE(m.try_lock_for(10s));
        m.unlock();
    });
    sleep(3s);
    m.unlock();
    a.join();
    EXPECT_EQ(time.elapsed(), 3s);
    EXPECT_FALSE(m.locked());
}

// SY01
TEST_F(SharedPlainMutex, Fault_SY01_KilledInTheLineAndKilledWhenItWasHandedOver) {
    mutex m;
    m.lock();
    const auto a = locking(m, "a");
    const auto b = spawn([&] {
        const std::lock_guard held(m);
        log("b");
        sleep(1h);
        log("never");
    });
    const auto c = locking(m, "c");
    yield();
    a.kill();
    m.unlock();  // b's
    b.request_kill();
    copse::join_all(b, c);
    EXPECT_TRUE(b.killed());
    EXPECT_EQ(log.text(), "b c");
    EXPECT_FALSE(m.locked());
}

// As with copse::mutex: once, by another than who handed it over, and the waiter is the first in line after that.
TEST_F(SharedPlainMutex, WhatWasHandedToAWaiterThatHasNotRunMayBeTakenBackOnce) {
    mutex m;
    m.lock();
    const auto a = locking(m, "a");
    yield();
    m.unlock();
    EXPECT_FALSE(m.try_lock());  // we have just given it away
    worker robber;
    robber.run([&] { EXPECT_TRUE(m.try_lock()); });
    yield();
    EXPECT_FALSE(a.ready());
    const auto b = locking(m, "b");
    yield();
    robber.run([&] {
        m.unlock();
        in_thread([&] { EXPECT_FALSE(m.try_lock()); });
    });
    copse::join_all(a, b);
    EXPECT_EQ(log.text(), "a b");
    EXPECT_FALSE(m.locked());
}

TEST_F(SharedPlainMutex, AScopedLockOverSeveralComesToAnEnd) {
    mutex m1;
    mutex m2;
    mutex m3;
    int rounds = 0;
    std::vector<copse::fiber<void>> all;
    for (int i = 0; i < 6; ++i) {
        all.push_back(spawn([&, i] {
            for (int n = 0; n < 50; ++n) {
                if (i % 3 == 0) {
                    const std::scoped_lock held(m1, m2, m3);
                    yield();
                    ++rounds;
                } else if (i % 3 == 1) {
                    const std::scoped_lock held(m3, m1, m2);
                    yield();
                    ++rounds;
                } else {
                    const std::scoped_lock held(m2, m3, m1);
                    yield();
                    ++rounds;
                }
            }
        }));
    }
    EXPECT_EQ(copse::join_all({.timeout = 1h}, all), 6u);
    EXPECT_EQ(rounds, 300);
}

// Two threads that know nothing of fibers, one after the other: they may have everything else in common.
TEST_F(SharedPlainMutex, AThreadIsNotTakenForOneThatHasEnded) {
    mutex m;
    std::thread([&m] { EXPECT_TRUE(m.try_lock()); }).join();
    std::thread([&m] {
        EXPECT_FALSE(m.owned());
        EXPECT_FALSE(m.try_lock());
        EXPECT_THROW(m.unlock(), copse::not_owner);
    }).join();
}

}  // namespace
