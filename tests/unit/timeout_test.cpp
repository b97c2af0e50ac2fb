// Timeout scopes. Decisions 3, 7, 9; gevent rules 53 to 68; KL11, KL12, KL13.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::timeout;
using copse::timeout_expired;
using copse::with_timeout;
using copse::yield;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class Timeout : public copse_test::hub_test {};

class TimeoutSerial : public Timeout {};
class WithTimeout : public Timeout {};

// rule 53
TEST_F(Timeout, IsThrownAtTheWaitOfTheFiberThatMadeIt) {
    const auto f = spawn([] {
        const timeout limit(10ms);
        try {
            sleep(1h);
        } catch (const timeout_expired& e) {
            EXPECT_TRUE(limit.threw(e));
            EXPECT_EQ(e.serial(), limit.serial());
            return std::string(e.what());
        }
        return std::string();
    });
    EXPECT_EQ(f.get(), "timeout of 10 ms expired");
    EXPECT_EQ(time.elapsed(), 10ms);
}

TEST_F(Timeout, WorksInMain) {
    const timeout limit(1s);
    EXPECT_THROW(sleep(2s), timeout_expired);
    EXPECT_EQ(time.elapsed(), 1s);
    sleep(1s);  // thrown once
}

// rule 54
TEST_F(Timeout, IsPendingUntilItExpiresOrIsCancelled) {
    timeout limit(1s);
    EXPECT_TRUE(limit.pending());
    EXPECT_FALSE(limit.expired());
    limit.cancel();
    EXPECT_FALSE(limit.pending());
    EXPECT_FALSE(limit.expired());
    sleep(2s);
    limit.start();
    EXPECT_THROW(sleep(2s), timeout_expired);
    EXPECT_FALSE(limit.pending());
    EXPECT_TRUE(limit.expired());
    limit.start();
    EXPECT_FALSE(limit.expired());
    EXPECT_THROW(sleep(2s), timeout_expired);
    EXPECT_EQ(time.elapsed(), 4s);
}

// rule 55
TEST_F(Timeout, MayThrowSomethingElse) {
    const timeout limit(1s, std::make_exception_ptr(std::runtime_error("mine")));
    EXPECT_EQ(what_is_thrown_by([] { sleep(1h); }), "mine");
    EXPECT_TRUE(limit.expired());
}

// rule 56
TEST_F(Timeout, OfNothingOrLessIsThrownAtTheFirstWaitThatTakesATurn) {
    for (const auto length : {0ns, -1ns, std::chrono::nanoseconds::min()}) {
        const timeout limit(length);
        log("body");
        EXPECT_THROW(sleep(1h), timeout_expired);
    }
    EXPECT_EQ(log.text(), "body body body");
    EXPECT_EQ(time.elapsed(), 0ns);
}

TEST_F(Timeout, LongerThanAClockCanCountNeverExpires) {
    const timeout longest(std::chrono::nanoseconds::max());
    const timeout years(std::chrono::hours::max());
    const timeout infinite{std::chrono::duration<double>(std::numeric_limits<double>::infinity())};
    EXPECT_EQ(hub::current().stats().timers, 0u);
    EXPECT_FALSE(longest.pending());
    sleep(24h * 365);
    EXPECT_FALSE(years.expired() || infinite.expired() || longest.expired());
}

// P17
TEST_F(Timeout, NotANumberIsRefused) {
    EXPECT_THROW(timeout(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    EXPECT_THROW(with_timeout(std::chrono::duration<float>(std::nanf("")), [] {}), copse::invalid_duration);
    EXPECT_EQ(hub::current().stats().timers, 0u);
}

// rule 57
TEST_F(Timeout, ABodyThatNeverWaitsIsNeverInterruptedAndNothingFiresLater) {
    {
        const timeout limit(1s);
        time.advance(5s);
    }
    sleep(10s);
    EXPECT_EQ(hub::current().stats().timers, 0u);
}

// rule 58: the clock is looked at in a turn
TEST_F(Timeout, ABodyThatOverranIsInterruptedAtTheNextTurnNotByAYieldBefore) {
    sleep(1ns);
    const timeout limit(1s);
    time.advance(5s);
    log("burnt");
    yield();
    log("after-yield");
    EXPECT_THROW(sleep(1h), timeout_expired);
    EXPECT_EQ(log.text(), "burnt after-yield");
}

// rule 59
TEST_F(Timeout, AnOuterThatIsShorterPassesThroughTheInner) {
    const auto f = spawn([this] {
        const timeout outer(1s);
        try {
            const timeout inner(2s);
            try {
                sleep(1h);
            } catch (const timeout_expired& e) {
                log(inner.threw(e) ? "inner" : "foreign");
                throw;
            }
        } catch (const timeout_expired& e) {
            log(outer.threw(e) ? "outer" : "?");
        }
        sleep(5s);
        log("on");
    });
    f.get();
    EXPECT_EQ(log.text(), "foreign outer on");
}

// rule 60, KL12
TEST_F(Timeout, Fault_KL12_NestedOnesOfEqualLengthAreThrownInTheOrderOfTheirStart) {
    const auto f = spawn([this] {
        const timeout outer(1s);
        const timeout inner(1s);
        for (int i = 0; i < 2; ++i) {
            try {
                sleep(1h);
            } catch (const timeout_expired& e) {
                log(outer.threw(e) ? "outer" : inner.threw(e) ? "inner" : "?");
            }
        }
    });
    f.get();
    EXPECT_EQ(log.text(), "outer inner");
    EXPECT_EQ(time.elapsed(), 1s);
}

// KL13: what has fired may be cancelled, restarted and destroyed while its own expiry is being handled.
TEST_F(Timeout, Fault_KL13_MayBeCancelledAndRestartedByTheOneItInterrupts) {
    const auto f = spawn([this] {
        std::optional<timeout> limit(std::in_place, 1s);
        try {
            sleep(1h);
        } catch (const timeout_expired& e) {
            limit->cancel();
            EXPECT_TRUE(limit->threw(e));
            limit->start();
            EXPECT_FALSE(limit->threw(e));
            limit.reset();
            log("reset");
        }
        sleep(2s);
        log("slept");
    });
    f.get();
    EXPECT_EQ(log.text(), "reset slept");
    EXPECT_EQ(time.elapsed(), 3s);
}

// KL13: a fiber that was spawned for later kills itself and drops its last handle when its time has come.
TEST_F(Timeout, Fault_KL13_DelayedStartMayBeKilledByWhatItStarts) {
    copse::fiber<void> self;
    self = copse::spawn_after(1s, [&] {
        self.request_kill();
        self = {};
        log("told");
        sleep(1h);
        log("never");
    });
    sleep(2s);
    EXPECT_EQ(log.text(), "told");
    EXPECT_EQ(time.elapsed(), 2s);
}

// KL12
TEST_F(Timeout, Fault_KL12_TheOuterMayFireInsideTheHandlerOfTheInner) {
    const auto f = spawn([this] {
        const timeout outer(2s);
        try {
            const timeout inner(1s);
            try {
                sleep(1h);
            } catch (const timeout_expired& e) {
                log(inner.threw(e) ? "inner" : "?");
                sleep(1h);
            }
        } catch (const timeout_expired& e) {
            log(outer.threw(e) ? "outer" : "?");
        }
    });
    f.get();
    EXPECT_EQ(log.text(), "inner outer");
    EXPECT_EQ(time.elapsed(), 2s);
}

// rule 62: the timeout wins over what a fiber of the same deadline would have done, and the permit is still there
TEST_F(Timeout, Fault_KL11_DueInTheTurnOfAReleaseWinsAndThePermitStays) {
    copse::semaphore permits(0);
    spawn([&] {
        sleep(1s);
        permits.release();
    });
    const auto f = spawn([&] {
        const timeout limit(1s);
        permits.acquire();
    });
    EXPECT_THROW(f.get(), timeout_expired);
    EXPECT_EQ(permits.available(), 1);
}

// rules 55, 59
TEST_F(Timeout, Fault_KL11_AWakeThatIsQueuedBeatsADeadlineThatPassesThen) {
    copse::semaphore permits(0);
    const auto f = spawn([&] {
        const timeout limit(1s);
        permits.acquire();
        return limit.expired();
    });
    yield();
    permits.release();
    time.advance(2s);
    EXPECT_FALSE(f.get());
    sleep(5s);
    EXPECT_EQ(permits.available(), 0);
}

// decision 3: acquired, and expired in the same turn: completes, and is thrown at the next wait
TEST_F(Timeout, Fault_KL11_AcquiredInTheSameTurnCompletesAndIsThrownAtTheNextWait) {
    copse::semaphore permits(0);
    const auto f = spawn([&] {
        const timeout limit(1s);
        permits.acquire();
        log("acquired");
        EXPECT_TRUE(limit.expired());
        yield();
        log("never");
    });
    yield();
    time.advance(2s);
    // The turn that looks at the clock comes while the fiber is ready with its permit, behind the others.
    for (int i = 0; i < 64; ++i) spawn([] {});
    permits.release();
    EXPECT_THROW(f.get(), timeout_expired);
    EXPECT_EQ(log.text(), "acquired");
    EXPECT_EQ(permits.available(), 0);
}

// rule 64
TEST_F(WithTimeout, GivesItsFallbackOnlyForItsOwn) {
    EXPECT_EQ(with_timeout(
                  1s, [] { return sleep(2s), 1; }, 7),
              7);
    EXPECT_EQ(with_timeout(
                  3s, [] { return sleep(2s), 1; }, 7),
              1);
    const timeout outer(1s);
    EXPECT_THROW(with_timeout(
                     5s, [] { return sleep(2s), 1; }, 7),
                 timeout_expired);
}

TEST_F(WithTimeout, GivesWhatTheBodyGives) {
    int target = 0;
    with_timeout(1s, [&]() -> int& { return target; }) = 4;
    EXPECT_EQ(target, 4);
    EXPECT_EQ(*with_timeout(1s, [] { return std::make_unique<int>(3); }), 3);
    EXPECT_THROW(with_timeout(1s, [] { sleep(2s); }), timeout_expired);
    EXPECT_EQ(what_is_thrown_by([] { with_timeout(1s, [] { throw std::runtime_error("body"); }); }), "body");
    EXPECT_EQ(hub::current().stats().timers, 0u);
}

// rule 65 changed
// rules 55, 59
TEST_F(WithTimeout, SilentTellsByItsResult) {
    EXPECT_TRUE(with_timeout(
        1s, [] { sleep(10ms); }, copse::silent));
    EXPECT_FALSE(with_timeout(
        1s, [] { sleep(1h); }, copse::silent));
    EXPECT_FALSE(with_timeout(
        1s,
        [] {
            sleep(1h);
            return 7;
        },
        copse::silent));
    EXPECT_THROW(with_timeout(1s,
                              [] {
                                  with_timeout(
                                      2s, [] { sleep(1h); }, copse::silent);
                              }),
                 timeout_expired);
    EXPECT_EQ(time.elapsed(), 3010ms);
}

TEST_F(Timeout, StartArmsTheFullLengthAgain) {
    timeout limit(150ms);
    for (int i = 0; i < 5; ++i) {
        sleep(40ms);
        limit.cancel();
        limit.start();
    }
    EXPECT_THROW(sleep(1h), timeout_expired);
    EXPECT_EQ(time.elapsed(), 350ms);
}

// rule 66
TEST_F(Timeout, OneThatOutlivesItsFiberDoesNothing) {
    std::unique_ptr<timeout> limit;
    spawn([&] { limit = std::make_unique<timeout>(1s); }).get();
    yield();
    sleep(2s);
    EXPECT_FALSE(limit->pending());
    limit->start();
    EXPECT_EQ(hub::current().stats().timers, 0u);
    sleep(2s);
    limit->cancel();
}

// rule 67
TEST_F(Timeout, MayBeCancelledByAnotherFiber) {
    timeout* limit = nullptr;
    const auto f = spawn([&] {
        timeout mine(1s);
        limit = &mine;
        sleep(5s);
        return 1;
    });
    yield();
    limit->cancel();
    EXPECT_EQ(f.get(), 1);
}

// rule 67: it has completed the wait; taking it back then must not look like a permit
TEST_F(Timeout, CancelledByAnotherFiberAfterItExpiredDoesNotFakeAPermit) {
    copse::semaphore permits(0);
    timeout* limit = nullptr;
    const auto meddler = spawn([&] {
        sleep(1s);
        limit->cancel();  // runs in the turn of the deadline, before the victim does
        log("cancelled");
    });
    const auto victim = spawn([&] {
        timeout mine(1s);
        limit = &mine;
        try {
            permits.acquire();
            log("acquired");
        } catch (const timeout_expired&) {
            log("expired");
        }
    });
    meddler.join();
    victim.kill();
    EXPECT_TRUE(log.text() == "cancelled expired" || log.text() == "cancelled") << log.text();
}

// decision 9
TEST_F(TimeoutSerial, IsNeverUsedTwice) {
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 100; ++i) {
        timeout limit(1h);
        EXPECT_TRUE(seen.insert(limit.serial()).second);
        limit.start();
        EXPECT_TRUE(seen.insert(limit.serial()).second);
    }
}

TEST_F(TimeoutSerial, AStoredExceptionMatchesNoLaterScopeAtTheSameAddress) {
    std::optional<timeout> limit(std::in_place, 1s);
    std::optional<timeout_expired> stored;
    try {
        sleep(1h);
    } catch (const timeout_expired& e) {
        EXPECT_TRUE(limit->threw(e));
        stored = e;
    }
    limit->start();
    EXPECT_FALSE(limit->threw(*stored));
    limit.reset();
    limit.emplace(1s);
    EXPECT_FALSE(limit->threw(*stored));
}

TEST_F(TimeoutSerial, ACancelledOneLeavesNothingBehindWhenKeptBack) {
    const auto f = spawn([] {
        {
            const copse::shield s;
            timeout limit(1s);
            sleep(2s);
            limit.cancel();
            EXPECT_TRUE(limit.expired());
        }
        sleep(1s);
    });
    f.get();
}

}  // namespace
