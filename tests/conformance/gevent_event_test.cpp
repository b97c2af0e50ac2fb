// Events and results. Rules 14, 16 and 70 to 78 of gevent's list.

#include <copse/async_result.hpp>
#include <copse/event.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>

using copse::async_result;
using copse::event;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class GeventEvent : public copse_test::hub_test {
protected:
    copse::fiber<void> waiting(const char* name) {
        return spawn([this, name] {
            flag.wait();
            log(name);
        });
    }

    event flag;
};

// rule 14
TEST_F(GeventEvent, WaitOnASetOneLetsNobodyElseRun) {
    flag.set();
    spawn([this] { log("other"); });
    flag.wait();
    EXPECT_TRUE(flag.wait_for(1s));
    log("main");
    yield();
    EXPECT_EQ(log.text(), "main other");
}

// rule 16 changed: a set one is never waited for (rule 14), also while those that waited have not run
TEST_F(GeventEvent, WhoComesWhileTheOthersAreWokenGoesStraightOn) {
    waiting("1");
    waiting("2");
    yield();
    flag.set();
    flag.wait();
    log("3");
    yield();
    EXPECT_EQ(log.text(), "3 1 2");
}

// rule 70
TEST_F(GeventEvent, TheSetterGoesOnAndWaitersWakeInTheOrderOfWaiting) {
    for (const char* name : {"a", "b", "c"}) waiting(name);
    yield();
    flag.set();
    log("set-done");
    yield();
    EXPECT_EQ(log.text(), "set-done a b c");
}

// rule 71
TEST_F(GeventEvent, SetAndClearWakesWithTrueWhoWaited) {
    const auto waited = spawn([this] {
        const bool woke = flag.wait_for(1h);
        log(woke ? "true" : "false", flag.is_set() ? "set" : "clear");
    });
    yield();
    flag.set();
    flag.clear();
    waiting("late");
    waited.join();
    EXPECT_EQ(log.take(), "trueclear");
    yield();
    flag.set();
    yield();
    EXPECT_EQ(log.text(), "late");
}

// rule 72
TEST_F(GeventEvent, AWaiterThatClearsDoesNotStopThoseBehindIt) {
    spawn([this] {
        flag.wait();
        flag.clear();
        log("clears");
    });
    waiting("b");
    waiting("c");
    yield();
    flag.set();
    yield();
    EXPECT_EQ(log.text(), "clears b c");
}

// rule 73
TEST_F(GeventEvent, OneWakeForEachSetIfEachWakeClears) {
    const auto f = spawn([this] {
        for (int i = 0; i < 2; ++i) {
            flag.wait();
            flag.wait();  // still set: does not switch
            flag.clear();
            log("woke");
        }
        EXPECT_FALSE(flag.wait_for(1s));
    });
    yield();
    for (int i = 0; i < 2; ++i) {
        flag.set();
        log("set");
        yield();
    }
    f.get();
    EXPECT_EQ(log.text(), "set woke set woke");
}

// rule 74
TEST_F(GeventEvent, TimedWaitsSayTrueOrFalseAndZeroIsATurn) {
    EXPECT_FALSE(flag.wait_for(1s));
    EXPECT_EQ(time.elapsed(), 1s);
    spawn([this] { log("turn"); });
    EXPECT_FALSE(flag.wait_for(0s));
    EXPECT_EQ(log.text(), "turn");
    EXPECT_EQ(time.elapsed(), 1s);
    flag.set();
    EXPECT_TRUE(flag.wait_for(0s));
}

// rule 75, first half changed: a wait that acquires nothing throws the kill that came with the set (decision 3)
TEST_F(GeventEvent, SetThenKillIsAKill) {
    const auto f = waiting("woke");
    yield();
    flag.set();
    f.request_kill();
    f.join();
    EXPECT_TRUE(f.killed());
    EXPECT_EQ(log.text(), "");
}

// rule 75, second half
TEST_F(GeventEvent, KillThenSetIsAKill) {
    const auto f = waiting("woke");
    yield();
    f.request_kill();
    flag.set();
    f.join();
    EXPECT_TRUE(f.killed());
    EXPECT_EQ(log.text(), "");
}

class GeventAsyncResult : public copse_test::hub_test {};

// rule 76
TEST_F(GeventAsyncResult, EveryGetReturnsOrThrowsAndWaitNeverThrows) {
    async_result<int> value;
    async_result<int> error;
    for (int i = 0; i < 2; ++i) {
        spawn([&, i] { log("v", i, value.get()); });
        spawn([&, i] { log("e", i, what_is_thrown_by([&] { error.get(); })); });
    }
    const auto waiter = spawn([&] {
        error.wait();
        log("waited");
    });
    yield();
    value.set(1);
    error.set_exception(std::make_exception_ptr(std::runtime_error("x")));
    waiter.join();
    EXPECT_EQ(log.text(), "v01 v11 e0x e1x waited");
    EXPECT_EQ(value.get(), 1);
    EXPECT_THROW(error.get(), std::runtime_error);
    EXPECT_THROW(error.get(), std::runtime_error);
}

// rule 77 changed
TEST_F(GeventAsyncResult, SettingTwiceIsRefused) {
    async_result<int> result;
    result.set(1);
    EXPECT_THROW(result.set(2), copse::already_set);
    EXPECT_THROW(result.set_exception(std::make_exception_ptr(1)), copse::already_set);
    EXPECT_EQ(result.get(), 1);
    EXPECT_EQ(result.exception(), nullptr);
}

// rule 78, changed for the killed one: a failure, not a value
TEST_F(GeventAsyncResult, CopiesWhatAFiberEndedWith) {
    const auto ending = [](auto body) {
        auto f = spawn(body);
        yield();
        f.kill();
        async_result<int> result;
        result(f);
        return what_is_thrown_by([&] { return result.get() == 1 ? throw 1 : 0; });
    };
    EXPECT_EQ(ending([] { return 1; }), "int 1");
    EXPECT_EQ(ending([]() -> int { throw std::runtime_error("x"); }), "x");
    const std::string killed = ending([] {
        sleep(1h);
        return 1;
    });
    EXPECT_NE(killed.find("was killed"), std::string::npos) << killed;
}

}  // namespace
