// Results that are set once. Gevent rules 14, 76 to 78; TP07.

#include <copse/async_result.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

using copse::async_result;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::what_is_thrown_by;
using copse_test::what_of;
using namespace std::chrono_literals;

namespace {

class AsyncResult : public copse_test::hub_test {};

static_assert(!std::is_copy_constructible_v<async_result<int>> && !std::is_move_constructible_v<async_result<int>>);
static_assert(std::is_same_v<decltype(std::declval<async_result<int>&>().get_for(1s)), std::optional<int>>);
static_assert(std::is_same_v<decltype(std::declval<async_result<void>&>().try_get()), bool>);
static_assert(std::is_same_v<decltype(std::declval<async_result<int&>&>().try_get()), int*>);

std::exception_ptr failure(const char* text) { return std::make_exception_ptr(std::runtime_error(text)); }

// rule 14
TEST_F(AsyncResult, ThatIsSetIsGotWithoutASwitch) {
    async_result<int> result;
    EXPECT_FALSE(result.ready());
    EXPECT_EQ(result.try_get(), std::nullopt);
    result.set(7);
    spawn([this] { log("other"); });
    EXPECT_TRUE(result.ready());
    EXPECT_TRUE(result.successful());
    EXPECT_EQ(result.exception(), nullptr);
    EXPECT_EQ(result.get(), 7);
    EXPECT_EQ(result.get(), 7);
    EXPECT_EQ(result.try_get(), 7);
    EXPECT_EQ(result.get_for(0s), 7);
    result.wait();
    EXPECT_TRUE(result.wait_for(0s));
    EXPECT_EQ(log.text(), "");
    yield();
}

TEST_F(AsyncResult, EveryWaiterGetsItInTheOrderOfWaitingAndTheSetterGoesOn) {
    async_result<std::string> result;
    for (const char* name : {"a", "b"}) {
        spawn([&, name] { log(name, result.get()); });
    }
    spawn([&] {
        result.wait();
        log("c");
    });
    spawn([&] { log("d", result.get_for(1h).value()); });
    yield();
    result.set("!");
    log("set");
    yield();
    EXPECT_EQ(log.text(), "set a! b! c d!");
}

// rule 76
TEST_F(AsyncResult, AnExceptionIsThrownByEveryGetAndByNoWait) {
    async_result<int> result;
    const auto getter = spawn([&] { return what_is_thrown_by([&] { result.get(); }); });
    const auto waiter = spawn([&] { return result.wait_for(1h); });
    yield();
    const std::exception_ptr boom = failure("boom");
    result.set_exception(boom);
    EXPECT_EQ(getter.get(), "boom");
    EXPECT_TRUE(waiter.get());
    EXPECT_TRUE(result.ready());
    EXPECT_FALSE(result.successful());
    EXPECT_EQ(result.exception(), boom);
    for (int i = 0; i < 2; ++i) {
        try {
            result.get();
            ADD_FAILURE();
        } catch (...) {
            EXPECT_EQ(std::current_exception(), boom);
        }
    }
    EXPECT_THROW(result.try_get(), std::runtime_error);
    EXPECT_THROW(result.get_for(1s), std::runtime_error);
    result.wait();
    EXPECT_TRUE(result.wait_until(copse::clock::now()));
}

// rule 77 changed, TP07
TEST_F(AsyncResult, Fault_TP07_IsSetOnce) {
    async_result<int> value;
    value.set(1);
    EXPECT_THROW(value.set(2), copse::already_set);
    EXPECT_THROW(value.set_exception(failure("late")), copse::already_set);
    EXPECT_EQ(value.get(), 1);
    EXPECT_EQ(value.exception(), nullptr);
    async_result<void> error;
    error.set_exception(failure("first"));
    EXPECT_THROW(error.set(), copse::already_set);
    EXPECT_THROW(error.set_exception(failure("second")), copse::already_set);
    EXPECT_EQ(what_of(error.exception()), "first");
}

TEST_F(AsyncResult, ANullExceptionIsRefused) {
    async_result<int> result;
    EXPECT_THROW(result.set_exception(nullptr), std::invalid_argument);
    EXPECT_FALSE(result.ready());
    result.set(3);
    EXPECT_EQ(result.get(), 3);
}

TEST_F(AsyncResult, OfVoidSaysWhetherItIsSet) {
    async_result<void> result;
    EXPECT_FALSE(result.try_get());
    EXPECT_FALSE(result.get_for(1s));
    const auto f = spawn([&] {
        result.get();
        log("got");
    });
    yield();
    result.set();
    f.join();
    EXPECT_TRUE(result.successful());
    EXPECT_TRUE(result.try_get());
    EXPECT_TRUE(result.get_for(0s));
    EXPECT_EQ(log.text(), "got");
}

TEST_F(AsyncResult, OfAReferenceGivesTheObjectItself) {
    async_result<int&> result;
    int number = 1;
    EXPECT_EQ(result.try_get(), nullptr);
    EXPECT_EQ(result.get_for(0s), nullptr);
    result.set(number);
    ++result.get();
    EXPECT_EQ(number, 2);
    EXPECT_EQ(result.get_for(0s), &number);
}

TEST_F(AsyncResult, WhatCanOnlyBeMovedIsTakenOnce) {
    async_result<std::unique_ptr<int>> result;
    EXPECT_EQ(result.try_get(), std::nullopt);
    const auto first = spawn([&] { return *result.get(); });
    const auto second = spawn([&] { return what_is_thrown_by([&] { result.get(); }); });
    yield();
    result.set(std::make_unique<int>(5));
    EXPECT_EQ(first.get(), 5);
    EXPECT_NE(second.get().find("taken already"), std::string::npos);
    EXPECT_THROW(result.get(), copse::value_taken);
    EXPECT_THROW(result.try_get(), copse::value_taken);
    EXPECT_TRUE(result.successful());
}

// Its copies throw while `armed` is set.
struct fragile {
    explicit fragile(int n) : number(n) {}
    fragile(const fragile& other) : number(other.number) {
        if (armed) throw std::runtime_error("copy");
    }
    int number;
    static inline bool armed = false;
};

TEST_F(AsyncResult, ACopyThatThrowsChangesNothing) {
    async_result<fragile> result;
    fragile seven(7);
    fragile::armed = true;
    EXPECT_THROW(result.set(seven), std::runtime_error);
    EXPECT_FALSE(result.ready());
    fragile::armed = false;
    result.set(seven);
    fragile::armed = true;
    EXPECT_THROW(result.get(), std::runtime_error);
    fragile::armed = false;
    EXPECT_EQ(result.get().number, 7);
}

struct fragile_move {
    explicit fragile_move(int n) : number(n) {}
    fragile_move(fragile_move&& other) : number(other.number) {
        if (armed) throw std::runtime_error("move");
    }
    int number;
    static inline bool armed = false;
};

TEST_F(AsyncResult, AMoveThatThrowsHasNotTakenIt) {
    async_result<fragile_move> result;
    result.set(fragile_move(7));
    fragile_move::armed = true;
    EXPECT_THROW(result.get(), std::runtime_error);
    fragile_move::armed = false;
    EXPECT_EQ(result.get().number, 7);
    EXPECT_THROW(result.get(), copse::value_taken);
}

TEST_F(AsyncResult, TimedFormsAnswerAndLeaveNoWaiter) {
    async_result<int> result;
    EXPECT_EQ(result.get_for(1s), std::nullopt);
    EXPECT_FALSE(result.wait_for(1s));
    EXPECT_EQ(result.get_until(copse::clock::now() + 1s), std::nullopt);
    EXPECT_FALSE(result.wait_until(copse::clock::now() + 1s));
    EXPECT_EQ(time.elapsed(), 4s);
    EXPECT_EQ(result.get_for(-1h), std::nullopt);
    EXPECT_FALSE(result.wait_for(0s));
    EXPECT_EQ(time.elapsed(), 4s);
    const std::chrono::duration<double> nan(std::nan(""));
    EXPECT_THROW(result.get_for(nan), copse::invalid_duration);
    EXPECT_THROW(result.wait_for(nan), copse::invalid_duration);
    spawn([&] { result.set(1); });
    EXPECT_EQ(result.get_for(0s), 1);  // the others had their turn
    EXPECT_EQ(time.elapsed(), 4s);
}

TEST_F(AsyncResult, Fault_KL11_AtTheDeadlineIsOneOrTheOther) {
    for (const int offset : {-1, 0, 1}) {
        async_result<int> result;
        const auto getter = spawn([&] { return result.get_for(1ms); });
        yield();
        spawn([&] {
            sleep(1ms + std::chrono::microseconds(offset));
            result.set(1);
        }).join();
        EXPECT_EQ(getter.get().has_value(), offset < 0) << offset;
        EXPECT_EQ(result.get(), 1);
    }
}

TEST_F(AsyncResult, AKilledWaiterLeavesTheOthersInOrder) {
    async_result<int> result;
    const auto getting = [&](char name) { return spawn([&, name] { log(name, result.get()); }); };
    const auto a = getting('a');
    const auto b = getting('b');
    const auto c = getting('c');
    yield();
    b.kill();
    result.set(1);
    join_all(a, b, c);
    EXPECT_TRUE(b.killed());
    EXPECT_EQ(log.text(), "a1 c1");
}

// Nothing is acquired: the kill is thrown, and the value is still there for the others.
TEST_F(AsyncResult, AKillInTheTurnOfTheResultIsThrownAndNothingIsLost) {
    async_result<std::unique_ptr<int>> result;
    const auto getter = spawn([&] {
        result.get();
        log("never");
    });
    const auto waiter = spawn([&] {
        result.wait();
        log("never");
    });
    yield();
    result.set(std::make_unique<int>(9));
    getter.request_kill();
    waiter.kill();
    getter.join();
    EXPECT_TRUE(getter.killed() && waiter.killed());
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(*result.get(), 9);
}

TEST_F(AsyncResult, ATimeoutScopeEndsTheWait) {
    async_result<int> result;
    EXPECT_THROW(copse::with_timeout(1s, [&] { return result.get(); }), copse::timeout_expired);
    EXPECT_THROW(copse::with_timeout(1s, [&] { result.wait(); }), copse::timeout_expired);
    EXPECT_EQ(time.elapsed(), 2s);
}

// It may end once those that wanted it have it, and as soon as it is set if they only waited.
TEST_F(AsyncResult, MayEndBeforeThoseThatOnlyWaitedHaveRun) {
    auto result = std::make_unique<async_result<int>>();
    const auto waiter = spawn([&] { return result->wait_for(1h); });
    const auto late = spawn([&] { return result->get_for(1s); });
    sleep(1s);
    const auto killed = spawn([&] { result->get(); });
    yield();
    killed.kill();
    result->set(1);
    result.reset();
    EXPECT_TRUE(waiter.get());
    EXPECT_EQ(late.get(), std::nullopt);
}

// rule 78
TEST_F(AsyncResult, TakesOverWhatAFiberEndedWith) {
    const auto outcome = [this](auto body) {
        const auto f = spawn(body);
        f.join();
        async_result<int> result;
        result(f);
        EXPECT_THROW(result(f), copse::already_set);
        return what_is_thrown_by([&] { log(result.get()); });
    };
    EXPECT_EQ(outcome([] { return 3; }), "nothing");
    EXPECT_EQ(log.text(), "3");
    EXPECT_EQ(outcome([]() -> int { throw std::runtime_error("boom"); }), "boom");
    const std::string killed = outcome([]() -> int { throw copse::greenlet_exit(); });
    EXPECT_NE(killed.find("was killed"), std::string::npos) << killed;
}

// rule 78 changed: a kill is no value
TEST_F(AsyncResult, OfAKilledFiberIsFiberKilled) {
    const auto f = spawn([] { sleep(1h); });
    yield();
    f.kill();
    async_result<void> result;
    result(f);
    EXPECT_FALSE(result.successful());
    EXPECT_THROW(result.get(), copse::fiber_killed);
}

TEST_F(AsyncResult, TakesAMoveOnlyResultOutOfItsFiberAndReferencesAsTheyAre) {
    const auto boxed = spawn([] { return std::make_unique<int>(4); });
    int number = 0;
    const auto referring = spawn([&]() -> int& { return number; });
    join_all(boxed, referring);
    async_result<std::unique_ptr<int>> box;
    box(boxed);
    EXPECT_EQ(*box.get(), 4);
    EXPECT_THROW(boxed.get(), copse::value_taken);
    async_result<int&> reference;
    reference(referring);
    EXPECT_EQ(&reference.get(), &number);
}

TEST_F(AsyncResult, OfAFiberThatHasNotFinishedIsRefused) {
    const auto f = spawn([] { return 1; });
    async_result<int> result;
    EXPECT_THROW(result(f), copse::error);
    EXPECT_THROW(result(copse::fiber<int>()), copse::empty_handle);
    EXPECT_FALSE(result.ready());
    f.join();
    result(f);
    EXPECT_EQ(result.get(), 1);
}

// So that it can be a raw link: nothing in it waits, and a kill of the caller is not thrown in it.
TEST_F(AsyncResult, TakesOverInTheHubAndWhileAKillIsPending) {
    const auto f = spawn([] { return 1; });
    f.join();
    async_result<int> in_hub;
    copse::hub::current().post([&] { std::ref(in_hub)(f); });
    EXPECT_EQ(in_hub.get_for(1s), 1);
    async_result<int> dying;
    copse::fiber<void> victim;
    victim = spawn([&] {
        victim.request_kill();
        dying(f);
        dying.get();
        log("never");
    });
    victim.join();
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(dying.get(), 1);
    EXPECT_EQ(log.text(), "");
}

TEST_F(AsyncResult, AKillThatIsPendingIsThrownOnEntryEvenIfItIsSet) {
    async_result<int> result;
    result.set(1);
    copse::fiber<void> victim;
    victim = spawn([&] {
        victim.request_kill();
        EXPECT_EQ(result.try_get(), 1);
        result.get();
        log("never");
    });
    victim.join();
    EXPECT_EQ(log.text(), "");
}

}  // namespace
