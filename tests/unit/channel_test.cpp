// Channels. Decision 3; rules 98, 99; P5, QU01 to QU03.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "fragile.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>

using copse::channel;
using copse::hub;
using copse::queue_closed;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::fragile;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class Channel : public copse_test::hub_test {
protected:
    channel<int> numbers;

    auto putting(int i) {
        return spawn([this, i] {
            numbers.put(i);
            log("put", i);
        });
    }
    auto getting() {
        return spawn([this] { log("got", numbers.get()); });
    }
};

// rule 98, whoever comes first
TEST_F(Channel, TheGetterContinuesBeforeThePutter) {
    putting(1);
    getting();
    yield();
    yield();
    EXPECT_EQ(log.take(), "got1 put1");
    getting();
    putting(2);
    yield();
    yield();
    EXPECT_EQ(log.text(), "got2 put2");
}

// rule 98
TEST_F(Channel, APutEndsOnlyWhenTheItemWasTaken) {
    putting(1);
    sleep(1h);
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(numbers.balance(), 1);
    EXPECT_EQ(numbers.get(), 1);
    yield();
    EXPECT_EQ(log.text(), "put1");
}

TEST_F(Channel, PartnersAreMatchedInTheOrderInWhichTheyCame) {
    for (int i = 0; i < 3; ++i) putting(i);
    yield();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(numbers.get(), i);
    for (const char name : {'a', 'b', 'c'}) {
        spawn([this, name] { log(name, numbers.get()); });
    }
    yield();
    log.take();
    for (int i = 0; i < 3; ++i) numbers.put(i);
    EXPECT_EQ(log.text(), "a0 b1 c2");
}

// rule 99
TEST_F(Channel, TryFormsSucceedIfAPartnerWaits) {
    EXPECT_FALSE(numbers.try_put(1));
    EXPECT_EQ(numbers.try_get(), std::nullopt);
    const auto putter = putting(2);
    yield();
    EXPECT_FALSE(numbers.try_put(3));
    EXPECT_EQ(numbers.try_get(), 2);
    EXPECT_EQ(numbers.try_get(), std::nullopt);
    putter.join();
    const auto getter = getting();
    yield();
    EXPECT_TRUE(numbers.try_put(4));
    EXPECT_FALSE(numbers.try_put(5));
    log("goes-on");
    getter.join();
    EXPECT_EQ(log.text(), "put2 goes-on got4");
}

// rule 93: where nothing may block
TEST_F(Channel, TryFormsWorkInTheHub) {
    const auto getter = getting();
    yield();
    hub::current().post([this] { log(numbers.try_put(1) ? "gave" : "did-not"); });
    getter.join();
    EXPECT_EQ(log.text(), "gave got1");
}

// rule 99
TEST_F(Channel, BalanceIsPuttersMinusGetters) {
    EXPECT_EQ(numbers.balance(), 0);
    const auto a = getting();
    const auto b = getting();
    yield();
    EXPECT_EQ(numbers.balance(), -2);
    a.kill();
    EXPECT_EQ(numbers.balance(), -1);
    numbers.put(1);
    EXPECT_EQ(numbers.balance(), 0);
    const auto c = putting(2);
    yield();
    EXPECT_EQ(numbers.balance(), 1);
    c.kill();
    EXPECT_EQ(numbers.balance(), 0);
}

// decision 7
TEST_F(Channel, TimedFormsAnswerAndLeaveNobodyWaiting) {
    EXPECT_EQ(numbers.get_for(1s), std::nullopt);
    EXPECT_EQ(numbers.get_for(-1s), std::nullopt);
    EXPECT_EQ(numbers.get_until(copse::clock::now() + 1s), std::nullopt);
    EXPECT_FALSE(numbers.put_for(1, 1s));
    EXPECT_FALSE(numbers.put_for(1, 0s));
    EXPECT_FALSE(numbers.put_until(1, copse::clock::now() + 1s));
    EXPECT_EQ(time.elapsed(), 4s);
    EXPECT_EQ(numbers.balance(), 0);
    putting(2);
    EXPECT_EQ(numbers.get_for(0s), 2);
    getting();
    EXPECT_TRUE(numbers.put_for(3, 0s));
    EXPECT_EQ(time.elapsed(), 4s);
}

TEST_F(Channel, Fault_TM01_NotANumberIsRefusedAndLeavesNobodyWaiting) {
    const std::chrono::duration<double> nan(std::nan(""));
    EXPECT_THROW(numbers.get_for(nan), copse::invalid_duration);
    EXPECT_THROW(numbers.put_for(1, nan), copse::invalid_duration);
    EXPECT_EQ(numbers.balance(), 0);
}

TEST_F(Channel, CarriesWhatCanOnlyBeMoved) {
    channel<std::unique_ptr<int>> pointers;
    auto item = std::make_unique<int>(1);
    EXPECT_FALSE(pointers.try_put(std::move(item)));
    EXPECT_FALSE(pointers.put_for(std::move(item), 1s));
    ASSERT_NE(item, nullptr);
    const auto getter = spawn([&] { return *pointers.get(); });
    pointers.put(std::move(item));
    EXPECT_EQ(item, nullptr);
    EXPECT_EQ(getter.get(), 1);
}

TEST_F(Channel, ARangeEndsWhenItIsClosed) {
    const auto producer = spawn([this] {
        for (int i = 0; i < 3; ++i) numbers.put(i);
        numbers.close();
    });
    for (const int i : numbers) log(i);
    EXPECT_EQ(log.text(), "0 1 2");
    producer.join();
}

// QU01
TEST_F(Channel, Fault_QU01_CloseTellsWhoWaitsAndWhoComes) {
    const auto getter = spawn([this] { EXPECT_THROW(numbers.get(), queue_closed); });
    yield();
    numbers.close();
    getter.get();
    EXPECT_TRUE(numbers.closed());
    EXPECT_EQ(what_is_thrown_by([this] { numbers.put(1); }), "put: the channel is closed");
    EXPECT_THROW(numbers.try_put(1), queue_closed);
    EXPECT_EQ(what_is_thrown_by([this] { numbers.get(); }), "get: the channel is closed and drained");
    EXPECT_THROW(numbers.get_for(1s), queue_closed);
    EXPECT_EQ(numbers.try_get(), std::nullopt);
    numbers.close();
}

TEST_F(Channel, Fault_QU01_APutterThatIsToldKeepsItsItem) {
    channel<std::unique_ptr<int>> pointers;
    auto item = std::make_unique<int>(1);
    const auto putter = spawn([&] { EXPECT_THROW(pointers.put(std::move(item)), queue_closed); });
    yield();
    pointers.close();
    putter.get();
    EXPECT_NE(item, nullptr);
}

TEST_F(Channel, Fault_QU01_WhatWasMatchedInTheSameTurnIsNotTakenBack) {
    const auto putter = putting(1);
    yield();
    EXPECT_EQ(numbers.try_get(), 1);
    numbers.close();
    putter.get();
    EXPECT_EQ(log.text(), "put1");
}

// decision 3, KL09: for either side, first or last to come, killed in the turn of the match
TEST_F(Channel, Fault_KL09_AMatchCompletesAndAKillIsThrownAtTheNextWait) {
    for (const bool getter_first : {true, false}) {
        for (const bool kill_getter : {true, false}) {
            copse::fiber<void> getter;
            copse::fiber<void> putter;
            const auto get = [&] {
                getter = spawn([this] {
                    log("got", numbers.get());
                    yield();
                    log("g-on");
                });
            };
            const auto put = [&] {
                putter = spawn([this] {
                    numbers.put(1);
                    log("put");
                    yield();
                    log("p-on");
                });
            };
            if (getter_first) get();
            put();
            if (!getter_first) get();
            spawn([&] { (kill_getter ? getter : putter).request_kill(); });
            join_all(getter, putter);
            EXPECT_EQ(log.take(), kill_getter ? "got1 put p-on" : "got1 put g-on");
        }
    }
}

TEST_F(Channel, AKilledOneIsPassedOver) {
    const auto a = putting(1);
    putting(2);
    yield();
    a.request_kill();
    EXPECT_EQ(numbers.get(), 2);
    a.join();
    const auto b = getting();
    const auto c = getting();
    yield();
    b.request_kill();
    numbers.put(3);
    c.join();
    EXPECT_EQ(log.text(), "put2 got3");
}

TEST_F(Channel, ATimeoutScopeEndsAWait) {
    EXPECT_TRUE(copse::with_timeout(
                    1s, [this] { return numbers.get(); }, -1) == -1);
    EXPECT_EQ(numbers.balance(), 0);
    EXPECT_EQ(time.elapsed(), 1s);
}

// QU02: the move is made by whoever comes last, and fails there.
TEST_F(Channel, Fault_QU02_AMoveThatThrowsIsTheMoversAndThePartnerWaitsOn) {
    channel<fragile> items;
    const auto getter = spawn([&] { log("got", items.get().number); });
    yield();
    fragile item(1);
    fragile::armed = 1;
    EXPECT_EQ(what_is_thrown_by([&] { items.put(std::move(item)); }), "move");
    EXPECT_EQ(item.number, 1);
    EXPECT_EQ(items.balance(), -1);
    items.put(std::move(item));
    getter.join();

    const auto putter = spawn([&] { items.put(fragile(2)); });
    yield();
    fragile::armed = 1;
    EXPECT_EQ(what_is_thrown_by([&] { items.get(); }), "move");
    EXPECT_EQ(items.balance(), 1);
    EXPECT_EQ(items.get().number, 2);
    putter.get();
    EXPECT_EQ(log.text(), "got1");
}

// Greenlets made by hand meet as well, also within one fiber.
TEST_F(Channel, GreenletsOfOneFiberMeet) {
    const copse::greenlet child([this] {
        log("got", numbers.get());
        return 7;
    });
    const auto putter = spawn([this] {
        numbers.put(1);
        log("put");
    });
    EXPECT_EQ(child.switch_to().as<int>(), 7);
    putter.join();
    EXPECT_EQ(log.text(), "got1 put");
}

}  // namespace
