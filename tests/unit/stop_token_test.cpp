// The bridge to std::stop_token.

#include "hub_test.hpp"

#include <copse/fibers.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <stop_token>
#include <thread>

using namespace std::chrono_literals;

namespace {

class StopScope : public copse_test::hub_test {};
class StopToken : public copse_test::hub_test {};
class StopInConditionVariable : public copse_test::hub_test {
protected:
    copse::mutex lock;
    copse::condition_variable_any changed;
    std::stop_source source;
    bool open = false;
};

}  // namespace

TEST_F(StopScope, EndsTheWaitInsideIt) {
    std::stop_source source;
    auto f = copse::spawn([&] {
        const copse::stop_scope until(source.get_token());
        try {
            copse::sleep(1h);
        } catch (const copse::stop_requested& e) {
            log(e.what());
            EXPECT_TRUE(until.stopped());
        }
        copse::sleep(1ms);  // once is enough
        log("after");
    });
    copse::yield();
    source.request_stop();
    f.get();
    EXPECT_EQ(log.text(), "a stop was requested after");
    EXPECT_EQ(time.elapsed(), 1ms);
}

TEST_F(StopScope, RequestedBeforeTheFirstWait) {
    std::stop_source source;
    source.request_stop();
    copse::spawn([&] {
        const copse::stop_scope until(source.get_token());
        log("runs");
        EXPECT_THROW(copse::yield(), copse::stop_requested);
        copse::yield();
    }).get();
    EXPECT_EQ(log.text(), "runs");
}

TEST_F(StopScope, LeftBehindNothingIsThrown) {
    std::stop_source source;
    auto f = copse::spawn([&] {
        { const copse::stop_scope until(source.get_token()); }
        copse::sleep(1s);
    });
    copse::yield();
    source.request_stop();
    f.get();
    copse::spawn([&] {
        { const copse::stop_scope until(source.get_token()); }
        copse::sleep(1s);
    }).get();
    EXPECT_EQ(time.elapsed(), 2s);
}

TEST_F(StopScope, WhatWasGivenMeanwhileIsKept) {
    std::stop_source source;
    copse::semaphore permits(0);
    auto f = copse::spawn([&] {
        const copse::stop_scope until(source.get_token());
        permits.acquire();
        log("acquired");
        EXPECT_THROW(copse::sleep(1s), copse::stop_requested);
    });
    copse::yield();
    permits.release();
    source.request_stop();
    f.get();
    EXPECT_EQ(log.text(), "acquired");
    EXPECT_FALSE(permits.try_acquire());
}

TEST_F(StopScope, ShieldKeepsItBack) {
    std::stop_source source;
    auto f = copse::spawn([&] {
        const copse::stop_scope until(source.get_token());
        {
            const copse::shield safe;
            copse::sleep(1s);
            log("whole");
        }
        EXPECT_THROW(copse::sleep(1s), copse::stop_requested);
    });
    copse::yield();
    source.request_stop();
    f.get();
    EXPECT_EQ(log.text(), "whole");
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(StopScope, NestedOnesBothThrow) {
    std::stop_source source;
    copse::spawn([&] {
        const copse::stop_scope outer(source.get_token());
        const copse::stop_scope inner(source.get_token());
        source.request_stop();
        EXPECT_THROW(copse::yield(), copse::stop_requested);
        EXPECT_THROW(copse::yield(), copse::stop_requested);
        copse::yield();
    }).get();
}

TEST_F(StopScope, InMain) {
    std::stop_source source;
    const copse::stop_scope until(source.get_token());
    auto stopper = copse::spawn([&] { source.request_stop(); });
    EXPECT_THROW(copse::sleep(1h), copse::stop_requested);
    stopper.join();
}

TEST_F(StopScope, OutlivedByItsScopeTheGreenletIsGone) {
    std::stop_source source;
    std::unique_ptr<copse::stop_scope> kept;
    copse::spawn([&] { kept = std::make_unique<copse::stop_scope>(source.get_token()); }).get();
    source.request_stop();
    EXPECT_TRUE(kept->stopped());
}

TEST_F(StopScope, TokenThatIsNoneStopsNothing) {
    copse::spawn([&] {
        const copse::stop_scope until{std::stop_token()};
        copse::sleep(1s);
        EXPECT_FALSE(until.stopped());
    }).get();
}

TEST_F(StopScope, BlocksNothingInTheHub) {
    std::stop_source source;
    bool refused = false;
    copse::hub::current().post([&] {
        try {
            const copse::stop_scope until(source.get_token());
        } catch (const copse::blocking_in_hub&) {
            refused = true;
        }
    });
    copse::yield();
    copse::yield();
    EXPECT_TRUE(refused);
}

// The hub sleeps for real until the other thread's request comes, instead of calling it a deadlock.
TEST_F(StopScope, RequestedByAnotherThread) {
    std::stop_source source;
    copse::event never;
    std::thread other;
    copse::spawn([&] {
        const copse::stop_scope until(source.get_token());
        other = std::thread([&] { source.request_stop(); });
        EXPECT_THROW(never.wait(), copse::stop_requested);
    }).get();
    other.join();
}

TEST_F(StopScope, RequestedByAnotherThreadWhileTheScopeEnds) {
    for (int i = 0; i < 200; ++i) {
        std::stop_source source;
        std::thread other([&] { source.request_stop(); });
        copse::spawn([&] {
            const copse::stop_scope until(source.get_token());
            try {
                copse::yield();
            } catch (const copse::stop_requested&) {
                log("stopped");
            }
        }).get();
        other.join();
    }
    copse::yield();
}

TEST_F(StopToken, IsRequestedWithTheKill) {
    std::stop_token token;
    auto f = copse::spawn([&] {
        token = copse::this_fiber::stop_token();
        EXPECT_EQ(token, copse::this_fiber::stop_token());
        EXPECT_FALSE(token.stop_requested());
        copse::sleep(1h);
    });
    copse::yield();
    const std::stop_callback told(token, [&] { log("told"); });
    f.request_kill();
    EXPECT_EQ(log.text(), "told");
    EXPECT_TRUE(token.stop_requested());
    f.join();
}

TEST_F(StopToken, IsRequestedThoughTheKillIsKeptBack) {
    auto f = copse::spawn([&] {
        const std::stop_token stop = copse::this_fiber::stop_token();
        const copse::shield safe;
        while (!stop.stop_requested()) copse::sleep(1ms);
        log("saw it");
    });
    copse::sleep(2500us);
    f.kill();
    EXPECT_EQ(log.text(), "saw it");
    EXPECT_EQ(time.elapsed(), 3ms);
}

TEST_F(StopToken, IsThatOfTheFiberInGreenletsEnteredByHand) {
    copse::spawn([&] {
        const std::stop_token mine = copse::this_fiber::stop_token();
        copse::greenlet inner([&] { EXPECT_EQ(copse::this_fiber::stop_token(), mine); });
        inner.switch_to();
    }).get();
}

TEST_F(StopToken, OutsideFibersThereIsNone) { EXPECT_FALSE(copse::this_fiber::stop_token().stop_possible()); }

TEST_F(StopToken, OfAFiberThatEndsIsNeverRequested) {
    std::stop_token token;
    copse::spawn([&] { token = copse::this_fiber::stop_token(); }).get();
    EXPECT_FALSE(token.stop_requested());
    EXPECT_FALSE(token.stop_possible());
}

TEST_F(StopToken, CallbackMayAskForTheSameKill) {
    copse::fiber<void> f = copse::spawn([&] {
        const std::stop_callback again(copse::this_fiber::stop_token(), [&] { f.request_kill(); });
        copse::sleep(1h);
    });
    copse::yield();
    f.kill();
    EXPECT_TRUE(f.killed());
}

TEST_F(StopToken, ReachesAnotherFibersScope) {
    auto worker = copse::spawn([&] { copse::sleep(1h); });
    auto leader = copse::spawn([&] {
        auto helper = copse::spawn([&, stop = copse::this_fiber::stop_token()] {
            const copse::stop_scope with_leader(stop);
            EXPECT_THROW(copse::sleep(1h), copse::stop_requested);
            log("helper");
        });
        helper.join();
    });
    copse::yield();
    copse::yield();
    leader.kill();
    copse::yield();
    EXPECT_EQ(log.text(), "helper");
    worker.kill();
}

TEST_F(StopInConditionVariable, EndsTheWaitWithTheLockHeld) {
    auto f = copse::spawn([&] {
        std::unique_lock held(lock);
        const bool opened = changed.wait(held, source.get_token(), [&] { return open; });
        EXPECT_TRUE(lock.owned());
        return opened;
    });
    copse::yield();
    source.request_stop();
    EXPECT_FALSE(f.get());
}

TEST_F(StopInConditionVariable, WhatHoldsWins) {
    auto f = copse::spawn([&] {
        std::unique_lock held(lock);
        return changed.wait(held, source.get_token(), [&] { return open; });
    });
    copse::yield();
    open = true;
    source.request_stop();
    EXPECT_TRUE(f.get());
    std::unique_lock held(lock);
    EXPECT_TRUE(changed.wait(held, source.get_token(), [&] { return open; })) << "requested before";
    open = false;
    EXPECT_FALSE(changed.wait(held, source.get_token(), [&] { return open; }));
}

TEST_F(StopInConditionVariable, NotificationAndDeadlineWork) {
    auto f = copse::spawn([&] {
        std::unique_lock held(lock);
        EXPECT_TRUE(changed.wait(held, source.get_token(), [&] { return open; }));
        return changed.wait_for(held, source.get_token(), 3s, [&] { return !open; });
    });
    copse::yield();
    open = true;
    changed.notify_one();
    EXPECT_FALSE(f.get());
    EXPECT_EQ(time.elapsed(), 3s);
}

TEST_F(StopInConditionVariable, KillGoesThrough) {
    auto f = copse::spawn([&] {
        std::unique_lock held(lock);
        changed.wait(held, source.get_token(), [&] { return open; });
    });
    copse::yield();
    f.kill();
    EXPECT_TRUE(f.killed());
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
}

TEST_F(StopInConditionVariable, StoppedByAnotherThread) {
    std::thread other;
    auto f = copse::spawn([&] {
        std::unique_lock held(lock);
        other = std::thread([&] { source.request_stop(); });
        return changed.wait(held, source.get_token(), [&] { return open; });
    });
    EXPECT_FALSE(f.get());
    other.join();
}

// The stop comes between the look at the token and the wait, from the unlock itself.
TEST_F(StopInConditionVariable, RequestedByTheUnlockLeavesNoDeadline) {
    struct stopping_lock {
        std::stop_source& source;
        void lock() {}
        void unlock() { source.request_stop(); }
    } stops{source};
    EXPECT_FALSE(changed.wait_for(stops, source.get_token(), 1h, [] { return false; }));
    EXPECT_EQ(copse::hub::current().stats().timers, 0U);
}

TEST_F(StopToken, ACallbackMayWaitWhileTheFiberEnds) {
    copse::event go;
    std::stop_token token;
    auto f = copse::spawn([&] {
        token = copse::this_fiber::stop_token();
        go.wait();
    });
    copse::yield();
    const std::stop_callback waits(token, [&] {
        copse::sleep(1ms);
        log("waited");
    });
    token = std::stop_token();
    auto killer = copse::spawn([&] { f.request_kill(); });
    copse::yield();
    go.set();
    killer.join();
    f.join();
    EXPECT_EQ(log.text(), "waited");
}

TEST_F(StopScope, OfWhatCannotBeStoppedKeepsNobodyAwake) {
    copse::event never;
    const copse::stop_scope none{std::stop_token()};
    EXPECT_THROW(never.wait(), copse::would_block_forever);
}
