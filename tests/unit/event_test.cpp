// Events. Gevent rules 14, 16, 70 to 75.

#include <copse/fibers.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <memory>

using copse::event;
using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class Event : public copse_test::hub_test {};

// rule 14
TEST_F(Event, WaitOnASetOneDoesNotSwitch) {
    event flag;
    flag.set();
    spawn([this] { log("other"); });
    flag.wait();
    EXPECT_TRUE(flag.wait_for(0s));
    EXPECT_TRUE(flag.wait_for(1h));
    EXPECT_EQ(log.text(), "");
    yield();
}

// rule 70
TEST_F(Event, SetWakesInTheOrderOfWaitingAndTheSetterGoesOn) {
    event flag;
    for (const char* name : {"a", "b", "c"}) {
        spawn([&, name] {
            flag.wait();
            log(name);
        });
    }
    yield();
    flag.set();
    EXPECT_TRUE(flag.is_set());
    log("set-done");
    yield();
    EXPECT_EQ(log.text(), "set-done a b c");
}

// rule 71
TEST_F(Event, SetAndClearWithoutASwitchStillWakesWhoWaited) {
    event flag;
    const auto waited = spawn([&] { return flag.wait_for(1h); });
    yield();
    flag.set();
    flag.clear();
    const auto late = spawn([&] {
        flag.wait();
        log("late");
    });
    EXPECT_TRUE(waited.get());
    EXPECT_FALSE(flag.is_set());
    yield();
    EXPECT_EQ(log.text(), "");
    flag.set();
    late.join();
    EXPECT_EQ(log.text(), "late");
}

// rule 72
TEST_F(Event, AWokenWaiterThatClearsDoesNotStopTheOthersOfItsBatch) {
    event flag;
    for (int i = 0; i < 3; ++i) {
        spawn([&, i] {
            flag.wait();
            flag.clear();
            log(i);
        });
    }
    yield();
    flag.set();
    yield();
    EXPECT_EQ(log.text(), "0 1 2");
    EXPECT_FALSE(flag.is_set());
}

// rule 73
TEST_F(Event, WithAClearAfterEachWakeThereIsOneWakeForEachSet) {
    event flag;
    const auto f = spawn([&] {
        for (int i = 0; i < 3; ++i) {
            flag.wait();
            flag.clear();
            log("w", i);
        }
    });
    for (int i = 0; i < 3; ++i) {
        yield();
        flag.set();
        log("s", i);
    }
    f.join();
    EXPECT_EQ(log.text(), "s0 w0 s1 w1 s2 w2");
}

// rule 74, decision 7
TEST_F(Event, TimedWaitsAnswerAndNeverThrow) {
    event flag;
    EXPECT_FALSE(flag.wait_for(1s));
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_FALSE(flag.wait_until(copse::clock::now() + 1s));
    EXPECT_FALSE(flag.wait_until(copse::clock::now() - 1s));
    EXPECT_EQ(time.elapsed(), 2s);
    spawn([&] { flag.set(); });
    EXPECT_TRUE(flag.wait_for(0s));  // the others had their turn
    EXPECT_EQ(time.elapsed(), 2s);
    flag.clear();
    EXPECT_FALSE(flag.wait_for(-1h));
}

// rule 75 as decided: a wait acquires nothing, so the kill is thrown
TEST_F(Event, SetThenKillInTheSameTurnIsAKill) {
    event flag;
    const auto f = spawn([&] {
        flag.wait();
        log("went on");
    });
    yield();
    flag.set();
    f.kill();
    EXPECT_TRUE(f.killed());
    EXPECT_EQ(log.text(), "");
}

TEST_F(Event, AKilledWaiterLeavesTheOthersInOrder) {
    event flag;
    const auto waiting = [&](int i) {
        return spawn([&, i] {
            flag.wait();
            log(i);
        });
    };
    const auto a = waiting(0);
    const auto b = waiting(1);
    const auto c = waiting(2);
    yield();
    b.kill();
    flag.set();
    join_all(a, b, c);
    EXPECT_EQ(log.text(), "0 2");
}

// The event may end in the turn in which it was set: nobody who waited looks at it again.
TEST_F(Event, MayEndWhileItsWaitersAreReadyButHaveNotRun) {
    auto flag = std::make_unique<event>();
    const auto f = spawn([&] {
        flag->wait();
        log("woken");
    });
    yield();
    flag->set();
    flag.reset();
    f.join();
    EXPECT_EQ(log.text(), "woken");
}

}  // namespace
