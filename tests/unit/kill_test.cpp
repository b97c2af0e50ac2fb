// Kills. Decision 4; gevent rules 17 to 32.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>

using copse::greenlet;
using copse::greenlet_exit;
using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::error_recorder;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class FiberKill : public copse_test::hub_test {};

// rule 17
TEST_F(FiberKill, BeforeTheStartTheFunctionIsNeverEntered) {
    const auto f = spawn([this] { log("entered"); });
    spawn([this] { log("other"); });
    f.kill();
    EXPECT_EQ(log.text(), "");  // no switch
    EXPECT_TRUE(f.ready());
    EXPECT_TRUE(f.killed());
    EXPECT_FALSE(f.successful());
    EXPECT_EQ(f.exception(), nullptr);
    EXPECT_EQ(hub::current().stats().fibers, 1u);
    yield();
    EXPECT_EQ(log.text(), "other");
}

TEST_F(FiberKill, BeforeTheStartEndsTheCallableAtOnce) {
    const auto f = spawn([end = at_end([this] { log("ended"); })] {});
    f.kill();
    log("after");
    EXPECT_EQ(log.text(), "ended after");
}

// rule 19, decision 5
TEST_F(FiberKill, BeforeTheStartWithAnExceptionIsAFailure) {
    error_recorder errors;
    {
        const auto f = spawn([this] { log("entered"); });
        f.kill(std::make_exception_ptr(std::runtime_error("never")));
        EXPECT_TRUE(f.ready());
        EXPECT_FALSE(f.killed());
        EXPECT_FALSE(f.successful());
        EXPECT_EQ(what_is_thrown_by([&] { f.get(); }), "never");
    }
    spawn([] {}).kill(std::make_exception_ptr(std::runtime_error("unseen")));
    yield();  // the ready queue held it too
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].what, "unseen");
    EXPECT_EQ(log.text(), "");
}

TEST_F(FiberKill, AJoinerOfAnUnstartedVictimGoesOn) {
    const auto f = spawn([this] { log("entered"); });
    // The joiner must be parked before f's turn: f is killed by the one spawned first.
    const auto delayed = copse::spawn_after(1s, [this] { log("entered"); });
    const auto joiner = spawn([&] {
        delayed.join();
        log("joined");
    });
    f.join();
    log("killing");
    delayed.request_kill();
    joiner.join();
    EXPECT_EQ(log.text(), "entered killing joined");
    EXPECT_EQ(time.elapsed(), 0ns);
}

// rule 20
TEST_F(FiberKill, WaitsItsTurnAndThenForTheEndOfTheVictim) {
    const auto victim = spawn([this] {
        const at_end last([this] { log("finally"); });
        sleep(1h);
    });
    yield();
    spawn([this] { log("other"); });
    victim.kill();
    log("after-kill");
    EXPECT_EQ(log.text(), "other finally after-kill");
    EXPECT_EQ(time.elapsed(), 0ns);
}

// rule 21
TEST_F(FiberKill, ARequestDoesNotSwitch) {
    const auto victim = spawn([] { sleep(1h); });
    yield();
    victim.request_kill();
    EXPECT_FALSE(victim.ready());
    EXPECT_FALSE(victim.killed());
    victim.join();
    EXPECT_TRUE(victim.killed());
}

// rule 22, as decided: yield acquires nothing, so the kill is thrown on resume
TEST_F(FiberKill, AVictimThatIsQueuedAfterAYieldDoesNotGoOn) {
    const auto victim = spawn([this] {
        yield();
        log("went on");
    });
    yield();
    victim.kill();
    EXPECT_EQ(log.text(), "");
    EXPECT_TRUE(victim.killed());
}

// rule 24
TEST_F(FiberKill, WithAnExceptionIsAFailureOfTheVictim) {
    error_recorder errors;
    const auto victim = spawn([] { sleep(1h); });
    yield();
    victim.kill(std::make_exception_ptr(std::runtime_error("enough")));
    EXPECT_FALSE(victim.killed());
    EXPECT_FALSE(victim.successful());
    EXPECT_EQ(what_is_thrown_by([&] { victim.get(); }), "enough");
    EXPECT_EQ(errors.count(), 0u);
}

// rule 23: greenlet_exit thrown by hand is the same
TEST_F(FiberKill, GreenletExitThrownByHandCountsAsKilled) {
    const auto f = spawn([] { throw copse::greenlet_exit(); });
    f.join();
    EXPECT_TRUE(f.killed());
    EXPECT_THROW(f.get(), copse::fiber_killed);
}

struct my_exit : greenlet_exit {};

TEST_F(FiberKill, WithSomethingDerivedFromGreenletExitIsAQuietKill) {
    const auto victim = spawn([this] {
        try {
            sleep(1h);
        } catch (const my_exit&) {
            log("mine");
            throw;
        }
    });
    yield();
    victim.kill(std::make_exception_ptr(my_exit()));
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(log.text(), "mine");
}

// rule 25 as decided: one rule, a bool
TEST_F(FiberKill, KillForSaysWhetherItHasEnded) {
    const auto stubborn = spawn([this] {
        try {
            sleep(1h);
        } catch (const greenlet_exit&) {
            sleep(10s);
            log("cleaned");
            throw;
        }
    });
    yield();
    EXPECT_FALSE(stubborn.kill_for(1s));
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_FALSE(stubborn.kill_for(0s));
    EXPECT_FALSE(stubborn.ready());
    EXPECT_TRUE(stubborn.kill_for(1h));
    EXPECT_EQ(time.elapsed(), 10s);
    EXPECT_EQ(log.text(), "cleaned");
    EXPECT_TRUE(stubborn.kill_for(1s));
}

// rule 26 changed
TEST_F(FiberKill, SecondKillNeverBreaksTheCleanUp) {
    const auto victim = spawn([this] {
        try {
            sleep(1h);
        } catch (const greenlet_exit&) {
            log("cleaning");
            sleep(1s);
            yield();
            log("cleaned");
            throw;
        }
    });
    yield();
    const auto second = spawn([&] {
        sleep(500ms);
        log("again");
        victim.kill(std::make_exception_ptr(std::runtime_error("harder")));
        log("second");
    });
    victim.kill();
    log("first");
    second.join();
    EXPECT_EQ(log.text(), "cleaning again cleaned first second");
    EXPECT_TRUE(victim.killed());
}

TEST_F(FiberKill, TwoKillsBeforeTheThrowAreOne) {
    int thrown = 0;
    const auto victim = spawn([&] {
        try {
            sleep(1h);
        } catch (const greenlet_exit&) {
            ++thrown;
        }
        try {
            sleep(1s);
        } catch (const greenlet_exit&) {
            ++thrown;
        }
    });
    error_recorder errors;
    yield();
    victim.request_kill();
    victim.request_kill();
    victim.request_kill(std::make_exception_ptr(std::runtime_error("no")));
    victim.join();
    EXPECT_EQ(thrown, 1);
}

// rule 27
TEST_F(FiberKill, OfOneselfThrowsRightThere) {
    copse::fiber<void> self;
    self = spawn([&] {
        log("before");
        self.kill();
        log("after");
    });
    self.join();
    EXPECT_EQ(log.text(), "before");
    EXPECT_TRUE(self.killed());
}

// rule 27: if the function returns first its value stands
TEST_F(FiberKill, ARequestOfOneselfThrowsAtTheNextWaitIfThereIsOne) {
    copse::fiber<int> waits;
    waits = spawn([&] {
        waits.request_kill();
        log("on");
        yield();
        log("never");
        return 1;
    });
    copse::fiber<int> returns;
    returns = spawn([&] {
        returns.request_kill();
        return 5;
    });
    waits.join();
    EXPECT_TRUE(waits.killed());
    EXPECT_EQ(returns.get(), 5);
    EXPECT_TRUE(returns.successful());
    EXPECT_FALSE(returns.killed());
    EXPECT_EQ(log.text(), "on");
}

// rule 28
TEST_F(FiberKill, OfAFinishedFiberDoesNothing) {
    const auto f = spawn([] { return 3; });
    f.join();
    spawn([this] { log("other"); });
    f.kill();
    f.kill(std::make_exception_ptr(std::runtime_error("late")));
    f.request_kill();
    EXPECT_EQ(f.get(), 3);
    EXPECT_TRUE(f.successful());
    EXPECT_EQ(log.text(), "");
    yield();
}

TEST_F(FiberKill, IsNoStdException) {
    const auto victim = spawn([this] {
        try {
            sleep(1h);
        } catch (const std::exception&) {
            log("eaten");
        }
    });
    yield();
    victim.kill();
    EXPECT_EQ(log.text(), "");
    EXPECT_TRUE(victim.killed());
}

// P4: a blocking call that could succeed at once is a place to be killed all the same
TEST_F(FiberKill, IsThrownOnEntryOfAWaitThatNeedNotPark) {
    copse::semaphore permits(1);
    copse::fiber<void> victim;
    victim = spawn([&] {
        victim.request_kill();
        permits.acquire();
        log("acquired");
    });
    victim.join();
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(permits.available(), 1);
}

TEST_F(FiberKill, IsNotThrownByTheTryForms) {
    copse::semaphore permits(1);
    copse::mutex m;
    copse::queue<int> q(1);
    copse::fiber<void> victim;
    victim = spawn([&] {
        victim.request_kill();
        EXPECT_TRUE(permits.try_acquire());
        EXPECT_TRUE(m.try_lock());
        m.unlock();
        EXPECT_TRUE(q.try_put(1));
        EXPECT_EQ(q.try_get(), 1);
        permits.release();
        log("all");
        yield();
        log("never");
    });
    victim.join();
    EXPECT_EQ(log.text(), "all");
}

TEST_F(FiberKill, SwallowedByCatchAllIsReportedAndTheFiberLives) {
    error_recorder errors;
    const auto victim = spawn({.name = "glutton"}, [this] {
        try {
            sleep(1h);
        } catch (...) {
            log("swallowed");
        }
        sleep(1s);
        log("alive");
        return 1;
    });
    yield();
    EXPECT_FALSE(victim.kill_for(0s));
    EXPECT_EQ(victim.get(), 1);
    EXPECT_TRUE(victim.successful());
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].greenlet_id, victim.id());
    EXPECT_NE(errors[0].what.find("glutton"), std::string::npos) << errors[0].what;
    EXPECT_EQ(log.text(), "swallowed alive");
}

TEST_F(FiberKill, AfterASwallowedOneTheNextKillIsThrownAgain) {
    error_recorder errors;
    const auto victim = spawn([this] {
        for (int i = 0; i < 2; ++i) {
            try {
                sleep(1h);
            } catch (...) {
                log("swallowed", i);
            }
        }
        sleep(1h);
    });
    yield();
    for (int i = 0; i < 2; ++i) EXPECT_FALSE(victim.kill_for(0s));
    victim.kill();
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(errors.count(), 2u);
    EXPECT_EQ(log.text(), "swallowed0 swallowed1");
}

// A fiber that waits in a switch by hand, while what it switched to is parked, is reached there.
TEST_F(FiberKill, ReachesAFiberThatIsSuspendedByHand) {
    const auto victim = spawn([this] {
        greenlet inner([] { sleep(24h); });
        const at_end told([this] { log("unwound"); });
        inner.switch_to();
        log("never");
    });
    yield();
    victim.kill();
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(log.text(), "unwound");
    EXPECT_EQ(time.elapsed(), 0h);
}

TEST_F(FiberKill, ATimeoutReachesAFiberThatIsSuspendedByHand) {
    const auto f = spawn([this] {
        greenlet inner([this] {
            sleep(24h);
            log("inner goes on");
        });
        EXPECT_THROW(copse::with_timeout(1h, [&] { inner.switch_to(); }), copse::timeout_expired);
        EXPECT_EQ(time.elapsed(), 1h);
        inner.switch_to();
        log("back");
    });
    EXPECT_THROW(f.get(), copse::not_switchable);  // it is still parked
}

TEST_F(FiberKill, AMainThatIsSuspendedByHandIsReachedByItsTimeout) {
    greenlet inner([] { sleep(24h); });
    EXPECT_THROW(copse::with_timeout(1h, [&] { inner.switch_to(); }), copse::timeout_expired);
    EXPECT_EQ(time.elapsed(), 1h);
}

TEST_F(FiberKill, ASwitchBackByHandMayComeFirst) {
    copse::event go;
    const auto victim = spawn([this, &go] {
        greenlet inner([&go] {
            go.wait();
            greenlet::current().parent().switch_to();
        });
        inner.switch_to();
        log("switched back");
        yield();
        log("never");
    });
    yield();
    go.set();               // the inner one is ready,
    victim.request_kill();  // the message comes behind it
    victim.join();
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(log.text(), "switched back");
}

}  // namespace
