// Semaphores and locks. Rules 79 to 87 of gevent's list.

#include <copse/mutex.hpp>
#include <copse/recursive_mutex.hpp>
#include <copse/semaphore.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <mutex>
#include <stdexcept>

using copse::bounded_semaphore;
using copse::mutex;
using copse::recursive_mutex;
using copse::semaphore;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class GeventLock : public copse_test::hub_test {
protected:
    copse::fiber<void> acquiring(semaphore& permits, const char* name) {
        return spawn([this, &permits, name] {
            permits.acquire();
            log(name);
        });
    }
};

// rule 79
TEST_F(GeventLock, TwoReleasesWakeTwoInOrderAndTheThirdStays) {
    semaphore permits(0);
    const auto a = acquiring(permits, "a");
    const auto b = acquiring(permits, "b");
    const auto c = acquiring(permits, "c");
    yield();
    permits.release();
    permits.release();
    yield();
    EXPECT_EQ(log.text(), "a b");
    EXPECT_FALSE(c.ready());
    EXPECT_EQ(permits.available(), 0);
    permits.release();
    c.join();
}

// rule 80 changed: the permit is the waiter's (decision 3), for the releaser and for who was queued to start before
TEST_F(GeventLock, NobodyBargesIn) {
    semaphore permits(1);
    permits.acquire();
    const auto waiter = acquiring(permits, "waiter");
    yield();
    const auto third = acquiring(permits, "third");
    permits.release();
    EXPECT_FALSE(permits.try_acquire());
    log("released");
    waiter.join();
    yield();
    EXPECT_EQ(log.text(), "released waiter");
    permits.release();
    third.join();
}

// rule 81 changed: it alternates
TEST_F(GeventLock, HoldingItAcrossAYieldInALoopStarvesNobody) {
    mutex m;
    for (const char name : {'a', 'b'}) {
        spawn([&, name] {
            for (int i = 0; i < 3; ++i) {
                const std::lock_guard lock(m);
                log(name, i);
                yield();
            }
        });
    }
    sleep(1s);
    EXPECT_EQ(log.text(), "a0 b0 a1 b1 a2 b2");
}

// rule 82
TEST_F(GeventLock, ATimedAcquireLeavesNoTraceAndATryNeverSwitches) {
    semaphore permits(0);
    EXPECT_FALSE(permits.try_acquire_for(1s));
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_EQ(permits.available(), 0);
    spawn([this] { log("other"); });
    EXPECT_FALSE(permits.try_acquire());
    EXPECT_EQ(log.text(), "");
    permits.release();
    EXPECT_EQ(permits.available(), 1);  // nobody was linked any more
    yield();
}

// rule 83
TEST_F(GeventLock, TheCountIsExactWhetherTheKillComesBeforeOrAfterTheRelease) {
    semaphore permits(0);
    const auto after = acquiring(permits, "after");
    yield();
    permits.release();
    after.kill();  // its wake was queued: it has the permit
    EXPECT_EQ(log.take(), "after");
    EXPECT_EQ(permits.available(), 0);
    const auto before = acquiring(permits, "before");
    const auto next = acquiring(permits, "next");
    yield();
    before.request_kill();
    permits.release();
    next.join();
    EXPECT_TRUE(before.killed());
    EXPECT_EQ(log.text(), "next");
    EXPECT_EQ(permits.available(), 0);
}

// rule 84; decided: those that acquire come first, and it says nothing of how many are left
TEST_F(GeventLock, WaitIsForAvailabilityAndTakesNothing) {
    semaphore permits(0);
    const auto waiter = spawn([&] {
        permits.wait();
        log("waited", permits.available());
    });
    yield();
    const auto acquirer = acquiring(permits, "acquired");
    yield();
    permits.release();
    acquirer.join();
    permits.release();
    waiter.join();
    EXPECT_EQ(log.text(), "acquired waited1");
    EXPECT_EQ(permits.available(), 1);
}

// rule 86
TEST_F(GeventLock, TheEndOfItsOwnerDoesNotRelease) {
    semaphore permits(1);
    recursive_mutex m;
    spawn([&] {
        permits.acquire();
        m.lock();
    }).join();
    EXPECT_FALSE(permits.try_acquire_for(1s));
    EXPECT_FALSE(m.try_lock_for(1s));
    permits.release();  // belongs to nobody: whoever likes may release it
    EXPECT_THROW(m.unlock(), copse::not_owner);
}

// rule 86
TEST_F(GeventLock, ARecursiveOneBelongsToItsFiber) {
    recursive_mutex m;
    m.lock();
    m.lock();
    const auto other = spawn([&] {
        EXPECT_THROW(m.unlock(), copse::not_owner);
        EXPECT_FALSE(m.try_lock());
    });
    other.get();
    m.unlock();
    EXPECT_TRUE(m.locked());
    m.unlock();
    EXPECT_FALSE(m.locked());
}

// rule 87
TEST_F(GeventLock, NegativeValuesAndReleasesTooManyAreRefused) {
    EXPECT_THROW(semaphore(-1), std::invalid_argument);
    EXPECT_THROW(bounded_semaphore(-1), std::invalid_argument);
    bounded_semaphore permits(1);
    EXPECT_THROW(permits.release(), std::overflow_error);
    EXPECT_EQ(permits.available(), 1);
}

}  // namespace
