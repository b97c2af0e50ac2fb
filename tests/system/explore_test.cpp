// The explorer itself: how many orders there are, what may come in between, and what it refuses. SC08. What it finds is in
// explore_broken_test.cpp and explore_failures_test.cpp.

#include <copse/explore.hpp>
#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "explorer_fixture.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using copse::exploration;
using copse::exploration_failed;
using copse::explored;
using copse::spawn;
using copse::yield;
using copse_test::environment_variable;
using namespace std::chrono_literals;

namespace {

using Explore = copse_test::explorer_fixture;

// ---- the orders

TEST_F(Explore, EveryOrderOfThoseThatAreReadyOnce) {
    std::set<std::string> seen;
    const explored all = copse::explore([&](exploration&) {
        std::string order;
        const auto say = [&order](char c) { order += c; };
        const auto a = spawn(say, 'a');
        const auto b = spawn(say, 'b');
        const auto c = spawn(say, 'c');
        copse::join_all(a, b, c);
        EXPECT_TRUE(seen.insert(order).second) << order << " comes twice";
    });
    EXPECT_EQ(seen, (std::set<std::string>{"abc", "acb", "bac", "bca", "cab", "cba"}));
    EXPECT_EQ(all.executions, 6U);
    EXPECT_EQ(all.choices, 12U);
    EXPECT_EQ(all.deepest, 2U);
    EXPECT_TRUE(all.complete);
}

TEST_F(Explore, TheFirstIsFirstInFirstOut) {
    std::string order;
    copse::explore({.limit = 1}, [&](exploration&) {
        order.clear();
        const auto twice = [&order](char c) {
            order += c;
            yield();
            order += c;
        };
        const auto a = spawn(twice, 'a');
        const auto b = spawn(twice, 'b');
        copse::join_all(a, b);
    });
    EXPECT_EQ(order, "abab");
}

TEST_F(Explore, ALimitCutsItOff) {
    const explored some = copse::explore({.limit = 4}, [](exploration& run) { run.choose(5); });
    EXPECT_EQ(some.executions, 4U);
    EXPECT_FALSE(some.complete);
    const explored all = copse::explore({.limit = 5}, [](exploration& run) { run.choose(5); });
    EXPECT_EQ(all.executions, 5U);
    EXPECT_TRUE(all.complete);
}

TEST_F(Explore, WhatLiesBeyondTheMostChoicesIsNotVaried) {
    const auto poll = [](exploration&) {
        bool done = false;
        const auto a = spawn([&done] {
            while (!done) yield();
        });
        const auto b = spawn([&done] { done = true; });
        copse::join_all(a, b);
    };
    const explored some = copse::explore({.max_choices = 10}, poll);
    EXPECT_EQ(some.executions, 11U);
    EXPECT_EQ(some.deepest, 10U);
    EXPECT_FALSE(some.complete);
}

TEST_F(Explore, ChoicesOfTheScenario) {
    std::set<std::pair<std::size_t, std::size_t>> seen;
    copse::explore([&](exploration& run) {
        const std::size_t first = run.choose(2);
        seen.emplace(first, run.choose(3 - first));
        EXPECT_EQ(run.choose(1), 0U);
    });
    EXPECT_EQ(seen.size(), 5U);
    EXPECT_THROW(copse::explore([](exploration& run) { run.choose(0); }), exploration_failed);
}

TEST_F(Explore, WhatASelectTakesIsAChoice) {
    std::set<std::size_t> taken;
    const explored all = copse::explore([&](exploration&) {
        copse::queue<int> a(1);
        copse::queue<int> b(1);
        a.put(1);
        b.put(2);
        taken.insert(copse::select(copse::on_get(a, [](int) {}), copse::on_get(b, [](int) {})));
    });
    EXPECT_EQ(taken.size(), 2U);
    EXPECT_EQ(all.executions, 2U);
}

TEST_F(Explore, PostedFunctionsKeepTheirOrder) {
    std::set<std::string> seen;
    copse::explore([&](exploration&) {
        std::string order;
        copse::hub::current().post([&order] { order += '1'; });
        copse::hub::current().post([&order] { order += '2'; });
        const auto a = spawn([&order] { order += 'a'; });
        copse::hub::current().run_until_idle();
        seen.insert(order);
    });
    EXPECT_EQ(seen, (std::set<std::string>{"12a", "1a2", "a12"}));
}

TEST_F(Explore, SoDoTheyWhenShuffled) {
    for (std::uint64_t seed = 1; seed < 50; ++seed) {
        copse::hub::current().shuffle(seed);
        std::string order;
        for (char c = '1'; c < '5'; ++c) copse::hub::current().post([&order, c] { order += c; });
        copse::hub::current().run_until_idle();
        EXPECT_EQ(order, "1234") << "seed " << seed;
    }
    copse::hub::current().shuffle(std::nullopt);
}

TEST_F(Explore, AWaitOfLengthZeroEndsAfterAllWhoWereReady) {
    copse::explore([](exploration& run) {
        copse::event e;
        const auto a = spawn([&e] { e.set(); });
        const auto b = spawn([&e] { e.is_set(); });
        run.check(e.wait_for(0ms), "it is set within a turn");
        copse::join_all(a, b);
    });
}

TEST_F(Explore, TimeIsVirtual) {
    copse::explore([](exploration& run) {
        const auto begun = copse::clock::now();
        const auto a = spawn([] { copse::sleep(24h); });
        a.join();
        run.check(copse::clock::now() - begun == 24h, "a day goes by");
    });
}

// ---- interferences

// The states in which a kill found it, and how often each came.
TEST_F(Explore, AKillAtEveryWaitAndBeforeTheStart) {
    std::vector<std::string> ends;
    copse::explore({.kills = true}, [&](exploration& run) {
        std::string state = "unstarted";
        const auto a = spawn([&state] {
            state = "begun";
            yield();
            state = "once";
            copse::sleep(1ms);
            state = "over";
        });
        a.join();
        EXPECT_EQ(a.killed(), run.interfered());
        ends.push_back(state);
    });
    EXPECT_EQ(ends, (std::vector<std::string>{"over", "once", "once", "begun", "unstarted"}));
}

TEST_F(Explore, ATimeoutAtEveryWait) {
    std::vector<std::string> ends;
    copse::explore({.timeouts = true}, [&](exploration& run) {
        std::string state = "unstarted";
        const auto a = spawn([&] {
            state = "begun";
            try {
                yield();
                state = "once";
                copse::sleep(1ms);
                state = "over";
            } catch (const copse::timeout_expired&) {
                EXPECT_TRUE(run.interfered());
                state += " timed out";
            }
        });
        a.join();
        ends.push_back(state);
    });
    EXPECT_EQ(ends, (std::vector<std::string>{"over", "once timed out", "once timed out", "begun timed out"}));
}

// Decision 3: who was given something and killed at the same moment keeps it, and is killed at its next wait.
TEST_F(Explore, AKillThatComesWithWhatWasWaitedFor) {
    bool kept = false;
    copse::explore({.kills = true}, [&](exploration& run) {
        copse::semaphore s(0);
        bool has = false;
        const auto a = spawn([&] {
            s.acquire();
            has = true;
            yield();
            has = false;
        });
        yield();
        s.release();
        a.join();
        if (a.killed() && has) kept = true;
        run.check(s.available() == (a.killed() && !has ? 1 : 0), "the permit is somewhere");
    });
    EXPECT_TRUE(kept);
}

TEST_F(Explore, ADeadlineAlthoughOthersAreReady) {
    std::set<std::string> seen;
    copse::explore({.deadlines = true, .limit = 100}, [&](exploration&) {
        std::string order;
        const auto a = spawn([&order] {
            copse::sleep(1h);
            order += 's';
        });
        const auto b = spawn([&order] {
            order += 'b';
            yield();
            order += 'b';
        });
        copse::join_all(a, b);
        seen.insert(order);
    });
    EXPECT_EQ(seen, (std::set<std::string>{"bbs", "bsb", "sbb"}));
}

TEST_F(Explore, SeveralInterferencesInOneExecution) {
    std::size_t most = 0;
    const auto scene = [&](exploration&) {
        const auto a = spawn([] { yield(); });
        const auto b = spawn([] { yield(); });
        copse::join_all(a, b);
        most = std::max(most, static_cast<std::size_t>(a.killed()) + static_cast<std::size_t>(b.killed()));
    };
    copse::explore({.kills = true}, scene);
    EXPECT_EQ(most, 1U);
    copse::explore({.kills = true, .interferences = 2}, scene);
    EXPECT_EQ(most, 2U);
}

// ---- misuse

TEST_F(Explore, BadReplays) {
    const auto scene = [](exploration& run) { run.choose(2); };
    for (const char* bad : {"x", "1,", ",1", "1;2", "0*", "k", "-1", "1 ", "0*99999999999", "0*2000000"})
        EXPECT_THROW(copse::explore({.replay = bad}, scene), std::invalid_argument) << bad;
    for (const char* misfit : {"2", "1,1", "k0", "d", "t7"})
        EXPECT_THROW(copse::explore({.replay = misfit}, scene), std::invalid_argument) << misfit;
    EXPECT_EQ(copse::explore({.replay = "1,0*3"}, scene).executions, 1U);
    EXPECT_EQ(copse::explore({.replay = "0"}, scene).executions, 1U);
    const environment_variable told("COPSE_SEED", "seven");
    EXPECT_THROW(copse::explore_seeds({}, scene), std::invalid_argument);
}

TEST_F(Explore, AnotherNamesReplayIsNotTaken) {
    const environment_variable told("COPSE_REPLAY", "other:1");
    EXPECT_EQ(copse::explore({.name = "mine"}, [](exploration& run) { run.choose(2); }).executions, 2U);
    EXPECT_EQ(copse::explore({.name = "other"}, [](exploration& run) { run.choose(2); }).executions, 1U);
    EXPECT_EQ(copse::explore([](exploration& run) { run.choose(2); }).executions, 2U);
}

TEST_F(Explore, OnlyOnMainAndAlone) {
    const auto nothing = [](exploration&) {};
    spawn([&] { EXPECT_THROW(copse::explore(nothing), copse::error); }).join();
    const auto other = spawn([] {});
    EXPECT_THROW(copse::explore(nothing), copse::error);
    other.join();
    copse::explore([&](exploration&) { EXPECT_THROW(copse::explore(nothing), copse::error); });
    EXPECT_THROW(copse::explore(nullptr), copse::null_callable);
    EXPECT_THROW(copse::explore_seeds({}, nullptr), copse::null_callable);
}

TEST_F(Explore, LeavesTheThreadAsItWas) {
    const copse_test::error_recorder errors;
    copse::explore([](exploration&) {
        copse::hub::current().shuffle(7);  // no effect meanwhile
        const auto a = spawn([] { yield(); });
        const auto b = spawn([] { yield(); });
        copse::join_all(a, b);
    });
    std::string order;
    const auto say = [&order](char c) { order += c; };
    const auto a = spawn(say, 'a');
    const auto b = spawn(say, 'b');
    copse::join_all(a, b);
    EXPECT_EQ(order, "ab");
    spawn([] { throw 1; });
    yield();
    EXPECT_EQ(errors.count(), 1U);
}

// Nobody outside can end it, as there are no other threads.
TEST_F(Explore, AWaitForAnotherThreadIsAHang) {
    EXPECT_THROW(copse::explore([](copse::exploration&) {
                     copse::shared::event never;
                     spawn([&never] { never.wait(); }).join();
                 }),
                 copse::exploration_failed);
    EXPECT_THROW(copse::explore([](copse::exploration&) {
                     copse::shared::mutex a, b;
                     const auto f = spawn([&] {
                         const std::lock_guard first(a);
                         yield();
                         const std::lock_guard second(b);
                     });
                     const auto g = spawn([&] {
                         const std::lock_guard first(b);
                         yield();
                         const std::lock_guard second(a);
                     });
                     copse::join_all(f, g);
                 }),
                 copse::exploration_failed);
}

}  // namespace
