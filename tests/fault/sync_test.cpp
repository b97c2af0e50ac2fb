// Hand-overs under kills and timeouts: permits, locks, items, notifications are passed on, never lost. P1, P2, P5, KL09, KL11,
// SY03; decision 3.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class HandOver : public copse_test::hub_test {};

// KL09: kill before the hand-over, in its turn, and after, for every place in the line
TEST_F(HandOver, Fault_KL09_OfPermitsIsExactWhoeverIsKilledWhenever) {
    for (int victim = 0; victim < 3; ++victim) {
        for (int when = 0; when < 3; ++when) {
            copse::semaphore permits(0);
            int taken = 0;
            std::vector<copse::fiber<void>> all;
            for (int i = 0; i < 3; ++i) {
                all.push_back(spawn([&] {
                    permits.acquire();
                    ++taken;
                }));
            }
            yield();
            const auto& killed = all[static_cast<std::size_t>(victim)];
            if (when == 0) killed.request_kill();
            permits.release(2);
            if (when == 1) killed.request_kill();
            yield();
            if (when == 2) killed.request_kill();
            permits.release(1);
            for (const auto& f : all) f.join();
            EXPECT_EQ(taken + permits.available(), 3) << "victim " << victim << " when " << when;
        }
    }
}

// KL09
TEST_F(HandOver, Fault_KL09_OfItemsIsExactWhoeverIsKilledWhenever) {
    for (int victim = 0; victim < 3; ++victim) {
        for (int when = 0; when < 3; ++when) {
            copse::queue<int> q(8);
            std::string got;
            std::vector<copse::fiber<void>> all;
            for (int i = 0; i < 3; ++i) all.push_back(spawn([&] { got += std::to_string(q.get()); }));
            yield();
            const auto& killed = all[static_cast<std::size_t>(victim)];
            if (when == 0) killed.request_kill();
            q.put(1);
            q.put(2);
            if (when == 1) killed.request_kill();
            yield();
            if (when == 2) killed.request_kill();
            q.put(3);
            for (const auto& f : all) f.join();
            while (const auto left = q.try_get()) got += std::to_string(*left);
            EXPECT_EQ(got, "123") << "victim " << victim << " when " << when;
        }
    }
}

// KL09: a putter that was let in is not killed out of it; one that was not takes its item away
TEST_F(HandOver, Fault_KL09_OfRoomIsExactWhoeverIsKilledWhenever) {
    for (int when = 0; when < 2; ++when) {
        copse::queue<int> q(1);
        q.put(1);
        bool put = false;
        const auto putter = spawn([&] {
            q.put(2);
            put = true;
        });
        yield();
        if (when == 0) putter.request_kill();
        EXPECT_EQ(q.get(), 1);
        if (when == 1) putter.request_kill();
        putter.join();
        EXPECT_EQ(put, when == 1);
        EXPECT_EQ(q.size(), put ? 1u : 0u);
    }
}

// KL11: the deadline and the hand-over in one turn give one result, and nothing is thrown later
TEST_F(HandOver, Fault_KL11_AtTheDeadlineIsOneOrTheOther) {
    for (const int offset : {-1, 0, 1}) {
        copse::semaphore permits(0);
        const auto f = spawn([&] {
            const bool taken = permits.try_acquire_for(1ms);
            sleep(1s);  // nothing comes later
            return taken;
        });
        yield();
        const auto giver = spawn([&] {
            sleep(1ms + std::chrono::microseconds(offset));
            permits.release();
        });
        const bool taken = f.get();
        giver.join();
        EXPECT_EQ(taken, offset < 0) << offset;
        EXPECT_EQ(permits.available(), taken ? 0 : 1) << offset;
    }
}

// P2
TEST_F(HandOver, OfAMutexGoesDownTheLineOfAHundred) {
    copse::mutex m;
    m.lock();
    for (int i = 0; i < 100; ++i) {
        spawn([&, i] {
            const std::lock_guard lock(m);
            log(i);
            yield();
        });
    }
    yield();
    m.unlock();
    hub::current().run_until_idle();
    std::string expected = "0";
    for (int i = 1; i < 100; ++i) expected += " " + std::to_string(i);
    EXPECT_EQ(log.text(), expected);
}

// SY03
TEST_F(HandOver, Fault_SY03_ANotificationGivenToAKilledFiberIsUsedByIt) {
    copse::mutex m;
    copse::condition_variable changed;
    int ready = 0;
    int taken = 0;
    const auto taking = [&] {
        return spawn([&] {
            std::unique_lock lock(m);
            while (ready == 0) changed.wait(lock);
            --ready;
            ++taken;
        });
    };
    const auto a = taking();
    const auto b = taking();
    yield();
    {
        const std::lock_guard lock(m);
        ready = 1;
        changed.notify_one();
        a.request_kill();
    }
    a.join();
    EXPECT_EQ(taken, 1);
    EXPECT_TRUE(a.successful());
    b.kill();
    EXPECT_FALSE(m.locked());
}

// Killed while it waits to lock again, a condition's waiter still holds the lock on its way out.
TEST_F(HandOver, Fault_SY03_KilledTwiceOnTheWayBackToTheLock) {
    copse::mutex m;
    copse::condition_variable changed;
    const auto f = spawn([&] {
        std::unique_lock lock(m);
        changed.wait(lock);
        log("never");
    });
    yield();
    m.lock();
    f.request_kill();
    sleep(1s);
    f.request_kill();
    sleep(1s);
    EXPECT_FALSE(f.ready());
    m.unlock();
    f.join();
    EXPECT_TRUE(f.killed());
    EXPECT_FALSE(m.locked());
    EXPECT_EQ(log.text(), "");
}

// KL11: a timeout that is taken back after it ended the wait
TEST_F(HandOver, Fault_KL11_ATimeoutCancelledByAnotherFiberAfterItExpiredDoesNotFakeALock) {
    copse::mutex m;
    copse::timeout* limit = nullptr;
    const auto meddler = spawn([&] {
        sleep(1s);
        limit->cancel();
    });
    m.lock();
    const auto victim = spawn([&] {
        copse::timeout mine(1s);
        limit = &mine;
        m.lock();
        m.unlock();
    });
    meddler.join();
    victim.kill();
    EXPECT_TRUE(victim.killed() || copse_test::what_is_thrown_by([&] { victim.get(); }) == "timeout of 1 s expired");
    EXPECT_TRUE(m.locked());
    m.unlock();
}

TEST_F(HandOver, Fault_KL09_KillOfTheWholeLineLeavesTheLockFree) {
    copse::mutex m;
    m.lock();
    std::vector<copse::fiber<void>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(spawn([&] {
            const std::lock_guard lock(m);
            sleep(1ms);
        }));
    }
    yield();
    for (const auto& f : all) f.request_kill();
    m.unlock();
    join_all(all);
    for (const auto& f : all) EXPECT_TRUE(f.killed());
    EXPECT_FALSE(m.locked());
    EXPECT_TRUE(m.try_lock());
    m.unlock();
}

}  // namespace
