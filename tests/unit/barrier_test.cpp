// Barriers. SY06.

#include <copse/barrier.hpp>

#include "at_end.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

using copse::barrier;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using namespace std::chrono_literals;

namespace {

class Barrier : public copse_test::hub_test {};

static_assert(!std::is_copy_constructible_v<barrier<>::arrival_token>);
static_assert(std::is_nothrow_move_constructible_v<barrier<>::arrival_token> &&
              std::is_nothrow_move_assignable_v<barrier<>::arrival_token>);

TEST_F(Barrier, NobodyGoesOnBeforeAllHaveArrivedInEveryPhase) {
    barrier meet(3);
    for (const char name : {'a', 'b', 'c'}) {
        spawn([&, name] {
            for (int phase = 0; phase < 2; ++phase) {
                sleep((name - 'a' + 1) * 1s);
                log(name, phase);
                meet.arrive_and_wait();
            }
            log(name);
        });
    }
    sleep(7s);
    EXPECT_EQ(log.text(), "a0 b0 c0 a1 b1 c1 c a b");
}

TEST_F(Barrier, TheCompletionFunctionRunsOnceAPhaseBeforeAnybodyGoesOn) {
    barrier meet(2, [this]() noexcept { log("complete"); });
    for (int i = 0; i < 2; ++i) {
        spawn([&, i] {
            for (int phase = 0; phase < 2; ++phase) {
                meet.arrive_and_wait();
                log(i);
            }
        });
    }
    sleep(1s);
    EXPECT_EQ(log.text(), "complete 1 0 complete 0 1");
}

TEST_F(Barrier, ArrivalAndWaitingCanBeApart) {
    barrier meet(2);
    auto token = meet.arrive();
    EXPECT_FALSE(meet.wait_for(token, 0s));
    const auto other = spawn([&] {
        log("other");
        meet.arrive_and_wait();
    });
    log("meanwhile");
    meet.wait(std::move(token));
    EXPECT_EQ(log.text(), "meanwhile other");
    other.join();
}

TEST_F(Barrier, TheTokenOfAPhaseThatIsOverDoesNotWait) {
    barrier meet(1);
    auto old = meet.arrive();
    auto older = std::move(old);
    for (int i = 0; i < 3; ++i) meet.arrive_and_wait();
    spawn([this] { log("other"); });
    EXPECT_TRUE(meet.wait_for(older, 1h));
    meet.wait(std::move(older));
    EXPECT_EQ(log.text(), "");
    yield();
}

TEST_F(Barrier, WhoDropsIsNotExpectedAnyMore) {
    barrier meet(2);
    const auto staying = spawn([&] {
        for (int i = 0; i < 3; ++i) {
            meet.arrive_and_wait();
            log(i);
        }
    });
    yield();
    EXPECT_EQ(log.text(), "");
    meet.arrive_and_drop();
    staying.join();
    EXPECT_EQ(log.text(), "0 1 2");
    meet.arrive_and_drop();
    EXPECT_THROW(meet.arrive_and_drop(), std::invalid_argument);
    EXPECT_THROW(meet.arrive_and_wait(), std::invalid_argument);
}

TEST_F(Barrier, SeveralMayArriveAtOnce) {
    int phases = 0;
    barrier meet(5, [&]() noexcept { ++phases; });
    (void)meet.arrive(2);
    EXPECT_EQ(phases, 0);
    (void)meet.arrive(3);
    EXPECT_EQ(phases, 1);
}

TEST_F(Barrier, Fault_SY06_MiscountsAreRefusedAndChangeNothing) {
    EXPECT_THROW(barrier(-1), std::invalid_argument);
    barrier nobody(0);
    EXPECT_THROW(nobody.arrive_and_wait(), std::invalid_argument);
    int phases = 0;
    barrier meet(2, [&]() noexcept { ++phases; });
    EXPECT_THROW((void)meet.arrive(3), std::invalid_argument);
    EXPECT_THROW((void)meet.arrive(0), std::invalid_argument);
    EXPECT_THROW((void)meet.arrive(-1), std::invalid_argument);
    EXPECT_EQ(phases, 0);
    (void)meet.arrive(2);
    EXPECT_EQ(phases, 1);
    EXPECT_GT((barrier<>::max)(), 1'000'000);
}

TEST_F(Barrier, TheTokenOfAnotherBarrierIsRefused) {
    barrier a(2);
    barrier b(2);
    auto token = a.arrive();
    EXPECT_THROW(b.wait(std::move(token)), std::invalid_argument);
    EXPECT_THROW(b.wait_for(token, 1s), std::invalid_argument);
}

// It has arrived all the same; the next phase still expects it.
TEST_F(Barrier, Fault_SY06_WhoIsKilledWhileItWaitsHasArrived) {
    barrier meet(2);
    const auto victim = spawn([&] {
        meet.arrive_and_wait();
        log("never");
    });
    yield();
    victim.kill();
    meet.arrive_and_wait();
    log("phase0");
    auto next = meet.arrive();
    EXPECT_FALSE(meet.wait_for(next, 1h));
    meet.arrive_and_drop();
    EXPECT_TRUE(meet.wait_for(next, 0s));
    EXPECT_EQ(log.text(), "phase0");
}

// What the header advises: a guard that drops.
TEST_F(Barrier, Fault_SY06_AParticipantThatDropsOnItsWayOutHoldsNobodyUp) {
    barrier meet(2);
    const auto victim = spawn([&] {
        const at_end leave([&] { meet.arrive_and_drop(); });
        sleep(1h);
    });
    const auto staying = spawn([&] {
        for (int i = 0; i < 3; ++i) meet.arrive_and_wait();
        log("done");
    });
    yield();
    victim.kill();
    staying.join();
    EXPECT_EQ(log.text(), "done");
    EXPECT_EQ(time.elapsed(), 0ns);
}

// A participant that is killed while it waits has arrived: a second arrival would end the phase before the others are there.
TEST_F(Barrier, Fault_SY06_WhoHasArrivedDropsWithItsToken) {
    int phases = 0;
    barrier meet(3, [&]() noexcept { ++phases; });
    const auto victim = spawn([&] {
        auto token = meet.arrive();
        const at_end leave([&] { meet.drop(std::move(token)); });
        sleep(1h);
    });
    yield();
    victim.kill();
    auto first = meet.arrive();
    EXPECT_EQ(phases, 0) << "the third is not there";
    auto second = meet.arrive();
    EXPECT_EQ(phases, 1);
    (void)meet.arrive(2);
    EXPECT_EQ(phases, 2) << "the next phases expect two";
    meet.wait(std::move(first));
    meet.wait(std::move(second));
}

TEST_F(Barrier, Fault_SY06_DroppedAfterThePhaseItArrivesInTheNext) {
    int phases = 0;
    barrier meet(2, [&]() noexcept { ++phases; });
    auto token = meet.arrive();
    (void)meet.arrive();
    EXPECT_EQ(phases, 1);
    meet.drop(std::move(token));
    (void)meet.arrive();
    EXPECT_EQ(phases, 2);
    (void)meet.arrive();
    EXPECT_EQ(phases, 3) << "one is expected from now on";
}

TEST_F(Barrier, DropIsRefused) {
    barrier meet(1);
    barrier other(2);
    EXPECT_THROW(meet.drop(other.arrive()), std::invalid_argument);
    auto token = other.arrive();
    other.drop(std::move(token));  // that phase is over: arrives
    (void)other.arrive();
    auto last = other.arrive();
    other.drop(std::move(last));
    EXPECT_THROW((void)other.arrive(), std::invalid_argument);
}

TEST_F(Barrier, Fault_SY06_WhoWasKilledBeforeHasNotArrived) {
    barrier meet(1, [this]() noexcept { log("never"); });
    copse::fiber<void> victim;
    victim = spawn([&] {
        victim.request_kill();
        meet.arrive_and_wait();
    });
    victim.join();
    EXPECT_EQ(log.text(), "");
}

TEST_F(Barrier, AKillInTheTurnOfTheLastArrivalIsThrown) {
    barrier meet(2);
    const auto victim = spawn([&] {
        meet.arrive_and_wait();
        log("never");
    });
    yield();
    meet.arrive_and_wait();
    victim.kill();
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(log.text(), "");
}

TEST_F(Barrier, TimedFormsAnswerAndTheArrivalStands) {
    barrier meet(2);
    auto token = meet.arrive();
    EXPECT_FALSE(meet.wait_for(token, 1s));
    EXPECT_FALSE(meet.wait_until(token, copse::clock::now() + 1s));
    EXPECT_FALSE(meet.wait_for(token, 0s));
    EXPECT_FALSE(meet.wait_for(token, -1h));
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_THROW(meet.wait_for(token, std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    EXPECT_THROW(copse::with_timeout(1s, [&] { meet.wait(std::move(token)); }), copse::timeout_expired);
    meet.arrive_and_wait();
    EXPECT_EQ(time.elapsed(), 3s);
}

TEST_F(Barrier, Fault_KL11_AtTheDeadlineIsOneOrTheOther) {
    for (const int offset : {-1, 0, 1}) {
        barrier meet(2);
        const auto waiter = spawn([&] {
            const auto token = meet.arrive();
            return meet.wait_for(token, 1ms);
        });
        yield();
        sleep(1ms + std::chrono::microseconds(offset));
        meet.arrive_and_wait();
        EXPECT_EQ(waiter.get(), offset < 0) << offset;
    }
}

// It may park: nobody goes on meanwhile, nobody is expected, and kills of the one that runs it are kept back.
TEST_F(Barrier, TheCompletionFunctionMayPark) {
    barrier meet(2, [this]() noexcept {
        log("begin");
        sleep(1s);
        log("end");
    });
    const auto waiter = spawn([&] {
        meet.arrive_and_wait();
        log("waiter");
    });
    const auto last = spawn([&] {
        meet.arrive_and_wait();
        log("never");
    });
    yield();
    EXPECT_THROW((void)meet.arrive(), std::invalid_argument);
    last.kill();
    waiter.join();
    EXPECT_TRUE(last.killed());
    EXPECT_EQ(log.text(), "begin end waiter");
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(Barrier, MayEndBeforeThoseThatWaitedHaveRun) {
    auto meet = std::make_unique<barrier<>>(2);
    const auto waiter = spawn([&] { meet->arrive_and_wait(); });
    yield();
    (void)meet->arrive();
    meet.reset();
    waiter.get();
}

}  // namespace
