// assert_switches and what it stands on. gevent rule 144 is in conformance/gevent_watchdog_test.cpp.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

using copse::assert_switches;
using copse::did_not_switch;
using copse::spawn;
using copse::switch_watch;
using copse::yield;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

using AssertSwitches = copse_test::hub_test;

TEST_F(AssertSwitches, ACallThatDidNotHaveToParkGivesNobodyATurn) {
    copse::mutex m;
    copse::queue<int> q(1);
    EXPECT_THROW(assert_switches([&] { m.lock(); }), did_not_switch);
    EXPECT_THROW(assert_switches([&] { q.put(1); }), did_not_switch);
    assert_switches([] { yield(); });
    m.unlock();
}

TEST_F(AssertSwitches, ASwitchByHandIsNone) {
    const copse::greenlet g([] { copse_test::to_parent(); });
    EXPECT_THROW(assert_switches([&] { g.switch_to(); }), did_not_switch);
    g.switch_to();
    // But one that parks is.
    const copse::greenlet h([] { yield(); });
    assert_switches([&] { h.switch_to(); });
}

TEST_F(AssertSwitches, GivesBackWhatTheBodyReturns) {
    int number = 1;
    EXPECT_EQ(assert_switches([] { return yield(), 7; }), 7);
    EXPECT_EQ(*assert_switches([] { return yield(), std::make_unique<int>(3); }), 3);
    int& same = assert_switches([&]() -> int& { return yield(), number; });
    EXPECT_EQ(&same, &number);
    static_assert(std::is_void_v<decltype(assert_switches([] { yield(); }))>);
    static_assert(std::is_same_v<decltype(assert_switches([] { return 1; })), int>);
}

TEST_F(AssertSwitches, WhatTheBodyThrowsGoesOnUnchecked) {
    EXPECT_EQ(what_is_thrown_by([] { assert_switches([] { throw std::runtime_error("mine"); }); }), "mine");
    const auto victim = spawn([] { assert_switches({.max_blocking = 1s}, [] { copse::sleep(1h); }); });
    yield();
    victim.kill();
    EXPECT_TRUE(victim.killed());
}

TEST_F(AssertSwitches, NamesWhoAndHowLong) {
    const auto f = spawn({.name = "greedy"}, [] { return what_is_thrown_by([] { assert_switches([] {}); }); });
    EXPECT_NE(f.get().find("\"greedy\" current active started> neither parked nor yielded"), std::string::npos)
        << f.get();
    const std::string text = what_is_thrown_by([&] {
        assert_switches({.max_blocking = 10ms}, [&] {
            yield();
            time.advance(11ms);
        });
    });
    EXPECT_NE(text.find("held for 11000000 ns"), std::string::npos) << text;
}

// Each stretch is measured, whoever holds the hub: before the first switch, between two, after the last.
TEST_F(AssertSwitches, MeasuresTheLongestStretch) {
    switch_watch watch({.max_blocking = 10ms});
    EXPECT_EQ(watch.longest_hold(), 0ns);
    time.advance(3ms);
    EXPECT_EQ(watch.longest_hold(), 3ms);
    yield();
    time.advance(2ms);
    EXPECT_EQ(watch.longest_hold(), 3ms);
    const auto other = spawn([&] { time.advance(7ms); });
    other.join();
    EXPECT_EQ(watch.longest_hold(), 7ms);
    copse::sleep(1h);  // holds nothing
    EXPECT_EQ(watch.longest_hold(), 7ms);
    EXPECT_NO_THROW(watch.check());
    time.advance(11ms);
    EXPECT_THROW(watch.check(), did_not_switch);
}

TEST_F(AssertSwitches, MayBeNestedAndEndInAnyOrder) {
    auto outer = std::make_unique<switch_watch>(copse::assert_switches_options{.max_blocking = 5ms});
    auto inner = std::make_unique<switch_watch>(copse::assert_switches_options{.max_blocking = 5ms});
    yield();
    time.advance(6ms);
    outer.reset();
    yield();
    EXPECT_EQ(inner->longest_hold(), 6ms);
    inner.reset();
    EXPECT_THROW(assert_switches({.max_blocking = -1ns}, [] { yield(); }), std::invalid_argument);
}

// What it does to the hub's budget is undone, and no dispatch is lost in the counting.
TEST_F(AssertSwitches, CountsStayExact) {
    copse::sleep(1ns);
    const auto before = copse::hub::current().stats();
    for (int i = 0; i < 10; ++i) yield();
    assert_switches({.max_blocking = 1s}, [] {
        for (int i = 0; i < 10; ++i) yield();
    });
    for (int i = 0; i < 10; ++i) yield();
    const auto after = copse::hub::current().stats();
    EXPECT_EQ(after.dispatches - before.dispatches, 30u);
    EXPECT_EQ(after.turns - before.turns, 10u);
}

}  // namespace
