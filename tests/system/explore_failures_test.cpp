// What the explorer takes for a failure, and how it says so. SC08.

#include "exceptions.hpp"
#include "explorer_fixture.hpp"

#include <copse/explore.hpp>
#include <copse/fibers.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
using copse::exploration;
using copse::exploration_failed;
using copse::spawn;
using copse::yield;
using copse_test::contains;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

using Explore = copse_test::explorer_fixture;

TEST_F(Explore, WhatTheScenarioThrows) {
    const exploration_failed found = failure_of({.name = "thrower"}, [](exploration& run) {
        if (run.choose(3) == 2) throw std::range_error("too far");
    });
    EXPECT_TRUE(contains(found.what(), "execution 3 failed: the scenario threw std::range_error: too far"))
        << found.what();
    EXPECT_EQ(found.replay(), "2");
    EXPECT_THROW(std::rethrow_exception(found.cause()), std::range_error);
}

TEST_F(Explore, AFailureThatNobodyObserves) {
    const exploration_failed found = failure_of({}, [](exploration&) {
        const auto a = spawn([] { throw std::range_error("too far"); });
        a.join();
    });
    EXPECT_TRUE(contains(found.what(), "told the error handler: std::range_error: too far")) << found.what();
    EXPECT_NO_THROW(copse::explore([](exploration&) {
        const auto a = spawn([] { throw std::range_error("too far"); });
        EXPECT_THROW(a.get(), std::range_error);
    }));
}

TEST_F(Explore, FibersThatAreLeft) {
    const exploration_failed found = failure_of({}, [](exploration&) {
        spawn({.name = "left"}, [] { copse::sleep(1h); });
        yield();
    });
    EXPECT_TRUE(contains(found.what(), "left 1 unfinished")) << found.what();
    EXPECT_TRUE(contains(found.what(), "\"left\" parked in sleep")) << found.what();
    failure_of({}, [](exploration&) { spawn([] {}); });
}

TEST_F(Explore, GreenletsThatAreLeft) {
    std::optional<copse::greenlet> kept;
    const exploration_failed found = failure_of({}, [&](exploration&) {
        if (!kept) kept.emplace([] { copse::greenlet::current().parent().switch_to(); });
    });
    EXPECT_TRUE(contains(found.what(), "left greenlets or handles behind")) << found.what();
    EXPECT_TRUE(contains(found.what(), "repeated, it did not fail")) << found.what();
}

TEST_F(Explore, OneThatDoesNotEnd) {
    const exploration_failed found = failure_of({.max_dispatches = 1'000}, [](exploration&) {
        const auto a = spawn([] {
            for (;;) yield();
        });
        a.join();
    });
    EXPECT_TRUE(contains(found.what(), "has not come to an end after 1000 dispatches")) << found.what();
    failure_of({.max_dispatches = 1'000}, [](exploration&) {
        for (;;) yield();
    });
}

TEST_F(Explore, MainThatHangs) {
    failure_of({}, [](exploration&) {
        copse::event never;
        never.wait();
    });
    EXPECT_NO_THROW(copse::explore({.hangs = true}, [](exploration&) {
        copse::event never;
        EXPECT_THROW(never.wait(), copse::would_block_forever);
    }));
}

TEST_F(Explore, AKillThatIsSwallowed) {
    const exploration_failed found = failure_of({.kills = true}, [](exploration&) {
        const auto a = spawn([] {
            try {
                copse::sleep(1ms);
            } catch (...) {}
        });
        a.join();
    });
    EXPECT_TRUE(contains(found.what(), "caught its kill")) << found.what();
}

TEST_F(Explore, OneThatIsNotDeterministic) {
    int calls = 0;
    const std::string text = what_is_thrown_by([&] {
        copse::explore([&](exploration& run) {
            run.choose(2);
            run.choose(++calls % 2 == 0 ? 3 : 2);
        });
    });
    EXPECT_TRUE(contains(text, "explore: the scenario is not deterministic")) << text;
    EXPECT_THROW(copse::explore([&](exploration& run) {
                     run.choose(2);
                     if (++calls % 2 == 0) run.choose(2);
                 }),
                 copse::not_deterministic);
}

}  // namespace
