// Pools: slots. QU06, KL09, P5; decisions 3, 4, 5, 7. The gevent rules are in conformance/gevent_pool_test.cpp.

#include <copse/fibers.hpp>

#include "counting.hpp"
#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <limits>
#include <stdexcept>

using copse::hub;
using copse::pool;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::counting;
using copse_test::error_recorder;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class Pool : public copse_test::hub_test {};

TEST_F(Pool, SpawnParksWhileItIsFull) {
    pool p(2);
    for (int i = 0; i < 4; ++i) {
        p.spawn([this, i] {
            sleep(1s);
            log("end", i);
        });
        log("spawned", i);
    }
    EXPECT_EQ(log.take(), "spawned0 spawned1 end0 end1 spawned2 spawned3");
    EXPECT_EQ(p.free_count(), 0u);
    p.join();
    EXPECT_EQ(p.free_count(), 2u);
    EXPECT_EQ(time.elapsed(), 2s);
}

// decision 1
TEST_F(Pool, SpawnNeverRunsTheChildBeforeTheCallerGoesOn) {
    pool p(1);
    p.spawn([] { yield(); });
    p.spawn([this] { log("child"); });
    log("caller");
    p.join();
    EXPECT_EQ(log.text(), "caller child");
}

// decision 3
TEST_F(Pool, SlotsGoToTheLongestWaiter) {
    pool p(1);
    p.spawn([] { sleep(1s); });
    for (int i = 0; i < 3; ++i) {
        spawn([&, i] {
            p.spawn([this, i] {
                log(i);
                sleep(1s);
            });
        });
    }
    sleep(1s);
    EXPECT_FALSE(p.try_spawn([] {})) << "the slot was handed over";
    p.spawn([this] { log("last"); });
    p.join();
    EXPECT_EQ(log.text(), "0 1 2 last");
}

TEST_F(Pool, TrySpawnNeverParks) {
    pool p(1);
    spawn([this] { log("other"); });
    const auto first = p.try_spawn(
        {.name = "first"}, [](int x) { return x; }, 3);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->name(), "first");
    EXPECT_FALSE(p.try_spawn([] {}));
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(first->get(), 3);
    EXPECT_TRUE(p.try_spawn([] {}));
    p.join();
}

// decision 7
TEST_F(Pool, SpawnForAnswersInTime) {
    pool p(1);
    p.spawn([] { sleep(2s); });
    EXPECT_FALSE(p.spawn_for(1s, [this] { log("never"); }));
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_EQ(p.size(), 1u);
    EXPECT_EQ(p.queued(), 0u);
    EXPECT_FALSE(p.spawn_for(0s, [] {}));
    EXPECT_FALSE(p.spawn_for(-1s, [] {}));
    const auto late = p.spawn_for(
        1h, [](int x) { return x; }, 4);
    ASSERT_TRUE(late);
    EXPECT_EQ(late->get(), 4);
    const std::chrono::duration<double> not_a_number(std::numeric_limits<double>::quiet_NaN());
    p.spawn([] { yield(); });
    EXPECT_THROW(p.spawn_for(not_a_number, [] {}), copse::invalid_duration);
    EXPECT_EQ(p.queued(), 0u);
    p.join();
    EXPECT_EQ(p.free_count(), 1u);
    EXPECT_EQ(log.text(), "");
}

TEST_F(Pool, SpawnForOfZeroSeesASlotThatComesInThatTurn) {
    pool p(1);
    sleep(1ns);  // the hub has just taken a turn
    p.spawn([] {});
    EXPECT_TRUE(p.spawn_for(0s, [] {}));
    p.join();
}

TEST_F(Pool, Fault_QU06_KilledWhileWaitingForASlotLosesNone) {
    pool p(1);
    const auto first = p.spawn([] { sleep(1s); });
    const auto waiting = spawn([&] { p.spawn([this] { log("never"); }); });
    yield();
    EXPECT_EQ(p.queued(), 1u);
    EXPECT_EQ(p.size(), 1u);
    EXPECT_EQ(p.members().size(), 2u);
    waiting.kill();
    EXPECT_EQ(p.queued(), 0u);
    EXPECT_EQ(p.size(), 1u);
    first.join();
    EXPECT_EQ(p.free_count(), 1u);
    p.spawn([this] { log("next"); });
    p.join();
    EXPECT_EQ(log.text(), "next");
}

// KL09: the slot comes first
TEST_F(Pool, Fault_KL09_AKillAfterTheHandOverComesAtTheNextWait) {
    pool p(1);
    const auto first = p.spawn([] { sleep(1s); });
    const auto waiting = spawn([&] {
        p.spawn([this] { log("ran"); });
        log("spawned");
        yield();
        log("never");
    });
    yield();
    first.kill();
    waiting.kill();
    p.join();
    EXPECT_EQ(log.text(), "spawned ran");
    EXPECT_TRUE(waiting.killed());
    EXPECT_EQ(p.free_count(), 1u);
}

// KL09: the kill comes first
TEST_F(Pool, Fault_KL09_ASlotIsNotHandedToWhoWasKilledInTheSameTurn) {
    pool p(1);
    const auto first = p.spawn([] { sleep(1s); });
    const auto waiting = spawn([&] { p.spawn([this] { log("never"); }); });
    const auto next = spawn([&] { p.spawn([this] { log("next"); }); });
    yield();
    waiting.request_kill();
    first.kill();
    next.join();
    p.join();
    EXPECT_TRUE(waiting.killed());
    EXPECT_EQ(log.text(), "next");
    EXPECT_EQ(p.free_count(), 1u);
}

TEST_F(Pool, Fault_QU06_AFailingMemberFreesItsSlot) {
    const error_recorder errors;
    pool p(1);
    p.spawn([] { throw std::runtime_error("member"); });
    p.spawn([] {});
    p.join();
    EXPECT_EQ(p.free_count(), 1u);
    ASSERT_EQ(errors.count(), 1u);
}

TEST_F(Pool, AFailingCopyGivesTheSlotBack) {
    struct fails {
        fails() = default;
        fails(const fails& /*other*/) { throw std::runtime_error("copy"); }
        void operator()() const {}
    };
    pool p(1);
    const fails callable;
    EXPECT_EQ(what_is_thrown_by([&] { p.spawn(callable); }), "copy");
    EXPECT_EQ(p.free_count(), 1u);
    p.spawn([] { yield(); });
    EXPECT_EQ(what_is_thrown_by([&] { p.spawn(callable); }), "copy");
    EXPECT_EQ(p.queued(), 0u);
    p.join();
}

TEST_F(Pool, KillEndsThoseInLineAndTheirSpawnersGoOn) {
    pool p(1);
    p.spawn([] { sleep(1h); });
    const auto spawner = spawn([&] {
        const auto f = p.spawn([this] { log("never"); });
        log("killed", f.killed());
    });
    yield();
    p.kill();
    spawner.join();
    EXPECT_EQ(log.text(), "killed1");
    EXPECT_EQ(p.free_count(), 1u);
    EXPECT_TRUE(p.empty());
}

TEST_F(Pool, JoinWaitsForThoseInLine) {
    pool p(1);
    p.spawn([] { sleep(1s); });
    spawn([&] {
        p.spawn([this] {
            sleep(1s);
            log("second");
        });
    });
    yield();
    p.join();
    EXPECT_EQ(log.text(), "second");
}

TEST_F(Pool, AddTakesASlotForAFiberThatRuns) {
    pool p(1);
    const auto f = spawn([] { sleep(1s); });
    const auto g = spawn([] { sleep(3s); });
    p.add(f);
    p.add(f);
    EXPECT_TRUE(p.try_add(f));
    EXPECT_FALSE(p.try_add(g));
    EXPECT_EQ(p.free_count(), 0u);
    p.add(g);
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_TRUE(p.contains(g));
    p.join();
    EXPECT_EQ(time.elapsed(), 3s);
    p.add(g);
    EXPECT_FALSE(p.try_add(g));
    EXPECT_EQ(p.free_count(), 1u);
}

TEST_F(Pool, AFiberThatEndsWhileItIsAddedEndsTheWait) {
    pool p(1);
    const auto first = p.spawn([] { sleep(2s); });
    const auto f = spawn([] { sleep(1s); });
    p.add(f);
    EXPECT_EQ(time.elapsed(), 1s);
    first.join();
    EXPECT_EQ(p.free_count(), 1u);
}

TEST_F(Pool, KilledWhileAddingItLeavesTheFiberAlone) {
    pool p(1);
    p.spawn([] { sleep(2s); });
    const auto f = spawn([] { sleep(1s); });
    const auto adder = spawn([&] { p.add(f); });
    yield();
    adder.kill();
    EXPECT_FALSE(p.contains(f));
    f.join();
    EXPECT_TRUE(f.successful());
    p.join();
}

TEST_F(Pool, WaitAvailableTakesNothing) {
    pool p(1);
    p.wait_available();
    const auto f = p.spawn([] { sleep(2s); });
    EXPECT_FALSE(p.wait_available_for(1s));
    EXPECT_FALSE(p.wait_available_for(0s));
    const auto waiting = spawn([&] { p.wait_available(); });
    yield();
    waiting.kill();
    p.wait_available();
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_EQ(p.free_count(), 1u);
}

TEST_F(Pool, ApplyAsyncWaitsItsTurnUnstarted) {
    pool p(1);
    p.spawn([] { sleep(1s); });
    const auto a = p.apply_async(
        [this](int x) {
            log("a");
            return x;
        },
        1);
    const auto b = p.apply_async([this] { log("b"); });
    const auto c = p.apply_async([this] { log("c"); });
    EXPECT_EQ(time.elapsed(), 0s);
    EXPECT_EQ(p.queued(), 3u);
    EXPECT_FALSE(a.underlying().started());
    c.kill();
    EXPECT_EQ(p.queued(), 2u);
    p.spawn([this] { log("d"); });
    p.join();
    EXPECT_EQ(log.text(), "a b d");
    EXPECT_EQ(a.get(), 1);
    EXPECT_TRUE(c.killed());
}

TEST_F(Pool, OneInLineThatIsDiscardedStartsOutsideThePool) {
    pool p(1);
    p.spawn([] { sleep(1h); });
    const auto f = p.apply_async([this] { log("ran"); });
    p.discard(f);
    EXPECT_EQ(p.queued(), 0u);
    f.join();
    EXPECT_EQ(log.text(), "ran");
    p.kill();
}

TEST_F(Pool, Fault_QU06_MembersOutliveThePoolAndThoseInLineStart) {
    copse::fiber<void> running;
    copse::fiber<void> queued;
    {
        pool p(1);
        running = p.spawn([] { sleep(1s); });
        queued = p.apply_async([this] { log("started"); });
    }
    queued.join();
    EXPECT_EQ(time.elapsed(), 0s);
    running.join();
    EXPECT_EQ(log.text(), "started");
}

TEST_F(Pool, InTheHubNothingMayPark) {
    pool p(1);
    hub::current().post([&] {
        EXPECT_THROW(p.spawn([] {}), copse::blocking_in_hub);
        EXPECT_TRUE(p.try_spawn([] {}));
        p.apply_async([] {});
    });
    sleep(1ns);
    p.join();
    EXPECT_EQ(p.free_count(), 1u);
}

TEST_F(Pool, KillAtEveryWaitOfAScenarioLeavesItWhole) {
    for (int at = 0; at < 12; ++at) {
        pool p(2);
        const auto user = spawn([&] {
            p.spawn([] { sleep(3ms); });
            p.apply([] { sleep(2ms); });
            p.map(counting(0, 3), [](int) { sleep(2ms); });
            for (auto&& x : p.imap_unordered(counting(0, 4), [](int x) {
                     sleep(1ms);
                     return x;
                 }))
                static_cast<void>(x);
        });
        sleep(std::chrono::milliseconds(at));
        user.kill();
        p.join();
        EXPECT_EQ(p.free_count(), 2u) << at;
        EXPECT_EQ(hub::current().stats().fibers, 0u) << at;
    }
}

}  // namespace
