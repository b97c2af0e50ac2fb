// Mutexes that their owner may lock again. Decision 3; gevent rule 86; SY01, SY02, SY08.

#include <copse/recursive_mutex.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <mutex>
#include <stdexcept>

using copse::recursive_mutex;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class RecursiveMutex : public copse_test::hub_test {};

TEST_F(RecursiveMutex, IsFreeWhenUnlockedAsOftenAsLocked) {
    recursive_mutex m;
    EXPECT_FALSE(m.locked() || m.owned());
    m.lock();
    EXPECT_TRUE(m.try_lock());
    EXPECT_TRUE(m.try_lock_for(0s));
    EXPECT_TRUE(m.try_lock_until(copse::clock::now()));
    EXPECT_EQ(m.depth(), 4u);
    EXPECT_TRUE(m.owned());
    const auto other = spawn([&] {
        EXPECT_FALSE(m.owned());
        EXPECT_FALSE(m.try_lock());
        const std::lock_guard lock(m);
        log("other");
    });
    for (int i = 0; i < 4; ++i) {
        yield();
        log("u", i);
        m.unlock();
    }
    other.join();
    EXPECT_EQ(log.text(), "u0 u1 u2 u3 other");
    EXPECT_FALSE(m.locked());
    EXPECT_EQ(m.depth(), 0u);
}

TEST_F(RecursiveMutex, IsHandedToTheLongestWaiterWhoCanLockItAgain) {
    recursive_mutex m;
    m.lock();
    for (const char name : {'a', 'b'}) {
        spawn([&, name] {
            const std::lock_guard outer(m);
            const std::lock_guard inner(m);
            log(name, m.depth());
            yield();
            log(name);
        });
    }
    yield();
    m.unlock();
    EXPECT_TRUE(m.locked());
    EXPECT_FALSE(m.owned());
    EXPECT_FALSE(m.try_lock());  // it is a's already
    m.lock();
    log("main");
    m.unlock();
    EXPECT_EQ(log.text(), "a2 a b2 b main");
}

// rule 86, SY02
TEST_F(RecursiveMutex, Fault_SY02_OnlyItsOwnerUnlocksIt) {
    recursive_mutex m;
    EXPECT_THROW(m.unlock(), copse::not_owner);
    m.lock();
    const auto other = spawn([&] { EXPECT_THROW(m.unlock(), copse::not_owner); });
    other.get();
    EXPECT_EQ(m.depth(), 1u);
    m.unlock();
    EXPECT_THROW(m.unlock(), copse::not_owner);
}

// Between the hand-over and the turn of the new owner it belongs to neither of the others.
TEST_F(RecursiveMutex, Fault_SY02_WhoHandedItOverDoesNotHoldIt) {
    recursive_mutex m;
    m.lock();
    const auto waiter = spawn([&] {
        m.lock();
        EXPECT_EQ(m.depth(), 1u);
        m.unlock();
    });
    yield();
    m.unlock();
    EXPECT_THROW(m.unlock(), copse::not_owner);
    waiter.get();
}

// rule 86: the owner is the greenlet, and its end does not unlock
TEST_F(RecursiveMutex, Fault_SY01_StaysLockedWhenItsOwnerEnds) {
    recursive_mutex m;
    const auto owner = spawn([&] { m.lock(); });
    owner.join();
    EXPECT_TRUE(m.locked());
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_for(1s));
    EXPECT_THROW(m.unlock(), copse::not_owner);
}

TEST_F(RecursiveMutex, Fault_SY01_AKilledOwnersGuardsUnlockIt) {
    recursive_mutex m;
    const auto owner = spawn([&] {
        const std::lock_guard outer(m);
        const std::lock_guard inner(m);
        sleep(1h);
    });
    yield();
    EXPECT_EQ(m.depth(), 2u);
    owner.kill();
    EXPECT_FALSE(m.locked());
    EXPECT_TRUE(m.try_lock());
    m.unlock();
}

TEST_F(RecursiveMutex, BelongsToTheGreenletNotTheThread) {
    recursive_mutex m;
    m.lock();
    copse::greenlet inner([&] {
        EXPECT_FALSE(m.owned());
        EXPECT_FALSE(m.try_lock());
        EXPECT_THROW(m.unlock(), copse::not_owner);
    });
    inner.switch_to();
    EXPECT_EQ(m.depth(), 1u);
    m.unlock();
}

TEST_F(RecursiveMutex, TooDeepIsRefused) {
    recursive_mutex m;
    for (std::uint32_t i = 0; i < recursive_mutex::maximum_depth; ++i) m.lock();
    EXPECT_THROW(m.lock(), std::overflow_error);
    EXPECT_FALSE(m.try_lock());
    EXPECT_THROW(m.try_lock_for(1s), std::overflow_error);
    EXPECT_EQ(m.depth(), recursive_mutex::maximum_depth);
    const auto other = spawn([&] {
        EXPECT_FALSE(m.try_lock());
        EXPECT_FALSE(m.try_lock_for(0s));
    });
    other.get();
    for (std::uint32_t i = 0; i < recursive_mutex::maximum_depth; ++i) m.unlock();
    EXPECT_FALSE(m.locked());
}

TEST_F(RecursiveMutex, TimedFormsAnswerAndLeaveNoWaiter) {
    recursive_mutex m;
    m.lock();
    const auto f = spawn([&] {
        EXPECT_FALSE(m.try_lock_for(1s));
        EXPECT_FALSE(m.try_lock_until(copse::clock::now() + 1s));
        EXPECT_FALSE(m.try_lock_for(0s));
        EXPECT_FALSE(m.try_lock_for(-1s));
        EXPECT_THROW(m.try_lock_for(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
        EXPECT_EQ(time.elapsed(), 2s);
        EXPECT_TRUE(m.try_lock_for(5s));
        EXPECT_EQ(m.depth(), 1u);
        m.unlock();
    });
    sleep(3s);
    m.unlock();
    f.get();
    EXPECT_EQ(time.elapsed(), 3s);
}

TEST_F(RecursiveMutex, AKilledWaiterIsPassedOver) {
    recursive_mutex m;
    m.lock();
    const auto locking = [&](char name) {
        return spawn([&, name] {
            const std::lock_guard lock(m);
            log(name);
        });
    };
    const auto a = locking('a');
    const auto b = locking('b');
    yield();
    a.request_kill();
    m.unlock();
    join_all(a, b);
    EXPECT_TRUE(a.killed());
    EXPECT_EQ(log.text(), "b");
    EXPECT_FALSE(m.locked());
}

// decision 3
TEST_F(RecursiveMutex, AKillInTheTurnOfTheHandOverCompletes) {
    recursive_mutex m;
    m.lock();
    const auto f = spawn([&] {
        const std::lock_guard lock(m);
        log("locked", m.depth());
        yield();
        log("never");
    });
    yield();
    m.unlock();
    f.kill();
    EXPECT_EQ(log.text(), "locked1");
    EXPECT_FALSE(m.locked());
}

TEST_F(RecursiveMutex, ATimeoutScopeEndsTheWait) {
    recursive_mutex m;
    const auto owner = spawn([&] {
        const std::lock_guard lock(m);
        sleep(2s);
    });
    yield();
    EXPECT_THROW(copse::with_timeout(1s, [&] { m.lock(); }), copse::timeout_expired);
    owner.join();
    EXPECT_FALSE(m.locked());
}

// SY08: nothing in it belongs to the thread, so a park in between is harmless
TEST_F(RecursiveMutex, Fault_SY08_HeldAcrossParks) {
    recursive_mutex m;
    for (const char name : {'a', 'b'}) {
        spawn([&, name] {
            const std::lock_guard outer(m);
            sleep(1s);
            const std::lock_guard inner(m);
            sleep(1s);
            log(name);
        });
    }
    sleep(5s);
    EXPECT_EQ(log.text(), "a b");
}

}  // namespace
