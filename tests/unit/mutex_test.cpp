// Mutexes. Decision 3; gevent rules 80, 81, 86; SY01, SY02.

#include <copse/fibers.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <mutex>
#include <stdexcept>

using copse::hub;
using copse::mutex;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class Mutex : public copse_test::hub_test {};

TEST_F(Mutex, MeetsTheStandardsRequirements) {
    mutex a;
    mutex b;
    {
        const std::lock_guard guard(a);
        EXPECT_TRUE(a.locked());
    }
    {
        const std::scoped_lock both(a, b);
        EXPECT_TRUE(a.locked() && b.locked());
    }
    std::unique_lock timed(a, std::defer_lock);
    EXPECT_TRUE(timed.try_lock());
    timed.unlock();
    EXPECT_TRUE(timed.try_lock_for(1s));
    timed.unlock();
    EXPECT_TRUE(timed.try_lock_until(std::chrono::steady_clock::now()));
    timed.unlock();
    EXPECT_EQ(std::try_lock(a, b), -1);
    EXPECT_EQ(std::try_lock(a, b), 0);
    a.unlock();
    b.unlock();
    EXPECT_FALSE(a.locked() || b.locked());
}

// rule 81 changed
TEST_F(Mutex, IsHandedToTheLongestWaiter) {
    mutex m;
    const auto looping = [&](char name) {
        return spawn([&, name] {
            for (int i = 0; i < 3; ++i) {
                const std::lock_guard lock(m);
                log(name, i);
                yield();
            }
        });
    };
    const auto a = looping('a');
    const auto b = looping('b');
    const auto c = looping('c');
    join_all(a, b, c);
    EXPECT_EQ(log.text(), "a0 b0 c0 a1 b1 c1 a2 b2 c2");
}

// rule 80 changed
TEST_F(Mutex, UnlockAndLockAgainDoesNotBargeIn) {
    mutex m;
    m.lock();
    const auto waiter = spawn([&] {
        const std::lock_guard lock(m);
        log("waiter");
    });
    yield();
    m.unlock();
    EXPECT_TRUE(m.locked());  // it is the waiter's already
    EXPECT_FALSE(m.try_lock());
    m.lock();
    log("main");
    m.unlock();
    waiter.join();
    EXPECT_EQ(log.text(), "waiter main");
}

TEST_F(Mutex, TimedFormsAnswer) {
    mutex m;
    m.lock();
    const auto f = spawn([&] {
        EXPECT_FALSE(m.try_lock_for(1s));
        EXPECT_FALSE(m.try_lock_until(copse::clock::now() + 1s));
        EXPECT_FALSE(m.try_lock_for(0s));
        EXPECT_FALSE(m.try_lock_for(-1s));
        EXPECT_EQ(time.elapsed(), 2s);
        EXPECT_TRUE(m.try_lock_for(5s));
        m.unlock();
    });
    sleep(3s);
    m.unlock();
    f.get();
    EXPECT_EQ(time.elapsed(), 3s);
}

// Decision 3: the lock is the fiber's, and it unlocks it on its way out.
TEST_F(Mutex, AKillInTheTurnOfTheHandOverCompletes) {
    mutex m;
    m.lock();
    const auto f = spawn([&] {
        const std::lock_guard lock(m);
        log("locked");
        yield();
        log("never");
    });
    yield();
    m.unlock();
    f.kill();
    EXPECT_EQ(log.text(), "locked");
    EXPECT_TRUE(f.killed());
    EXPECT_FALSE(m.locked());
}

TEST_F(Mutex, AKilledWaiterIsPassedOver) {
    mutex m;
    m.lock();
    const auto locking = [&](int i) {
        return spawn([&, i] {
            const std::lock_guard lock(m);
            log(i);
        });
    };
    const auto a = locking(0);
    const auto b = locking(1);
    yield();
    a.request_kill();
    m.unlock();
    join_all(a, b);
    EXPECT_EQ(log.text(), "1");
    EXPECT_FALSE(m.locked());
}

// SY01
TEST_F(Mutex, Fault_SY01_AnOwnerThatThrowsOrIsKilledUnlocksByItsGuard) {
    mutex m;
    const auto throws = spawn([&] {
        const std::lock_guard lock(m);
        sleep(1s);
        throw std::runtime_error("owner");
    });
    const auto killed = spawn([&] {
        const std::lock_guard lock(m);
        sleep(1h);
    });
    EXPECT_THROW(throws.get(), std::runtime_error);
    killed.kill();
    EXPECT_FALSE(m.locked());
}

// SY01, rule 86: the lock belongs to the greenlet, and an end of the greenlet does not release it
TEST_F(Mutex, Fault_SY01_OneWhoseOwnerEndedStaysLockedForWhoeverComesNext) {
    mutex m;
    spawn([&] { m.lock(); }).join();
    yield();
    EXPECT_TRUE(m.locked());
    EXPECT_FALSE(m.try_lock());
    // The next fiber is likely to get the memory of the dead owner: it must not be taken for it.
    const auto next = spawn([&] {
        EXPECT_THROW(m.unlock(), copse::not_owner);
        return m.try_lock_for(1s);
    });
    EXPECT_FALSE(next.get());
}

// SY02
TEST_F(Mutex, Fault_SY02_WrongUsersAreRefused) {
    mutex m;
    EXPECT_THROW(m.unlock(), copse::not_owner);
    m.lock();
    EXPECT_THROW(m.lock(), copse::error);
    EXPECT_THROW(m.try_lock_for(1s), copse::error);
    EXPECT_FALSE(m.try_lock());
    const auto f = spawn([&] { EXPECT_THROW(m.unlock(), copse::not_owner); });
    f.get();
    EXPECT_TRUE(m.locked());
    m.unlock();
    EXPECT_FALSE(m.locked());
    EXPECT_THROW(m.unlock(), copse::not_owner);
}

TEST_F(Mutex, AGreenletMadeByHandIsAnOwnerOfItsOwn) {
    mutex m;
    const auto f = spawn([&] {
        m.lock();
        const copse::greenlet child([&] {
            EXPECT_FALSE(m.try_lock());
            EXPECT_THROW(m.unlock(), copse::not_owner);
            EXPECT_FALSE(m.try_lock_for(1s));
        });
        child.switch_to();
        m.unlock();
    });
    f.get();
    EXPECT_EQ(time.elapsed(), 1s);
}

}  // namespace
