// Pools and maps: gevent rules 100 to 108, where decision 3 does not say otherwise.

#include <copse/fibers.hpp>

#include "counting.hpp"
#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

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

class GeventPool : public copse_test::hub_test {};

// rule 100
TEST_F(GeventPool, SpawnOnAFullPoolBlocksUntilAMemberEnds) {
    pool p(1);
    p.spawn([this] {
        sleep(1s);
        log("first");
    });
    log("full", p.full());
    p.spawn([this] { log("second"); });
    log("spawned", p.free_count());
    EXPECT_EQ(time.elapsed(), 1s);
    p.join();
    EXPECT_EQ(log.text(), "full1 first spawned0 second");
}

// rule 100: the slot is free when those who join the member learn of its end
TEST_F(GeventPool, ASlotIsFreeWhenTheMembersJoinerGoesOn) {
    pool p(1);
    const auto f = p.spawn([] {});
    f.join();
    EXPECT_EQ(p.free_count(), 1u);
    EXPECT_TRUE(p.try_spawn([] {}));
    p.join();
}

// rule 101: PoolFull is an answer here
TEST_F(GeventPool, FullIsToldByTheTimedAndTheTryForms) {
    pool p(1);
    p.spawn([] { sleep(1h); });
    EXPECT_FALSE(p.try_spawn([] {}));
    EXPECT_FALSE(p.spawn_for(100ms, [] {}));
    EXPECT_EQ(time.elapsed(), 100ms);
    const auto f = spawn([] { sleep(1s); });
    EXPECT_FALSE(p.try_add(f));
    f.join();
    p.kill();
}

// rule 101
TEST_F(GeventPool, APoolOfZeroNeverAccepts) {
    pool p(0);
    EXPECT_TRUE(p.full());
    EXPECT_FALSE(p.try_spawn([] {}));
    EXPECT_FALSE(p.spawn_for(1s, [] {}));
    EXPECT_FALSE(p.wait_available_for(1s));
    EXPECT_THROW(p.spawn([] {}), copse::would_block_forever);
    EXPECT_TRUE(p.empty());
    p.join();
}

// rule 101
TEST_F(GeventPool, ANegativeSizeIsRefused) {
    EXPECT_EQ(what_is_thrown_by([] { const pool p(-1); }), "pool: a capacity of -1 is negative");
    EXPECT_THROW(pool(-2), std::invalid_argument);
}

// rule 102
TEST_F(GeventPool, ApplyFromAMemberRunsInline) {
    pool p(1);
    const auto f = p.spawn([&] {
        const auto outer = copse::this_fiber::id();
        return p.apply([&] { return copse::this_fiber::id() == outer; });
    });
    EXPECT_TRUE(f.get());
    EXPECT_FALSE(p.apply([id = copse::this_fiber::id()] { return copse::this_fiber::id() == id; }));
}

// rule 102 changed: never blocks, but is tracked all the while
TEST_F(GeventPool, ApplyAsyncNeverBlocksAndJoinWaitsForIt) {
    pool p(1);
    p.spawn([] { sleep(1s); });
    const auto f = p.apply_async([this] {
        sleep(1s);
        log("async");
    });
    EXPECT_EQ(time.elapsed(), 0s);
    EXPECT_TRUE(p.contains(f));
    p.join();
    log("joined");
    EXPECT_EQ(log.text(), "async joined");
    EXPECT_EQ(time.elapsed(), 2s) << "it kept to the limit";
}

// rule 103
TEST_F(GeventPool, JoinWaitsForMembersOfMembersAndRethrowsOneFailure) {
    const error_recorder errors;
    pool p(2);
    const auto failing = p.spawn([&] {
        sleep(1s);
        p.spawn([this] {
            sleep(1s);
            log("inner");
        });
        throw std::runtime_error("outer");
    });
    EXPECT_EQ(what_is_thrown_by([&] { p.join({.raise_error = true}); }), "outer");
    EXPECT_EQ(log.text(), "inner");
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_TRUE(p.join({.raise_error = true})) << "those present at the call, and nobody is";
    EXPECT_EQ(errors.count(), 0u);
}

// rule 104
TEST_F(GeventPool, KillThrowsOnceAndWaitsForCleanUp) {
    pool p(2);
    for (int i = 0; i < 2; ++i) {
        p.spawn([this, i] {
            try {
                sleep(1h);
            } catch (const copse::greenlet_exit&) {
                sleep(2s);
                log("clean", i);
                throw;
            }
        });
    }
    yield();
    EXPECT_FALSE(p.kill_for(1s)) << "returns with survivors";
    EXPECT_EQ(p.size(), 2u);
    p.kill();
    EXPECT_EQ(log.text(), "clean0 clean1");
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_EQ(p.free_count(), 2u);
}

// rule 104 changed
TEST_F(GeventPool, DiscardTwiceReleasesOneSlot) {
    pool p(1);
    const auto f = p.spawn([] { sleep(1s); });
    p.discard(f);
    p.discard(f);
    EXPECT_EQ(p.free_count(), 1u);
    p.spawn([] { sleep(2s); });
    EXPECT_FALSE(p.try_spawn([] {}));
    f.join();
    EXPECT_EQ(p.free_count(), 0u);
    p.discard(f);
    EXPECT_EQ(p.free_count(), 0u);
    p.join();
    EXPECT_EQ(p.free_count(), 1u);
}

// rule 105
TEST_F(GeventPool, MapThrowsTheFirstFailureInOrderAfterAllHaveRun) {
    const error_recorder errors;
    pool p(2);
    EXPECT_EQ(what_is_thrown_by([&] {
                  p.map(std::vector{0, 1, 2, 3}, [this](int i) {
                      sleep(std::chrono::seconds(4 - i));
                      log(i);
                      if (i == 1 || i == 2) throw std::runtime_error("task " + std::to_string(i));
                      return i;
                  });
              }),
              "task 1");
    EXPECT_EQ(log.text(), "1 0 2 3");
}

// rule 105
TEST_F(GeventPool, MapIsBoundedByThePool) {
    pool p(2);
    p.map(counting(0, 6), [](int) { sleep(1s); });
    EXPECT_EQ(time.elapsed(), 3s);
}

// rule 106
TEST_F(GeventPool, ImapYieldsInInputOrderAndImapUnorderedInFinishOrder) {
    pool p(3);
    const std::vector<int> seconds{3, 1, 2};
    const auto nap = [](int s) {
        sleep(std::chrono::seconds(s));
        return s;
    };
    for (const int s : p.imap(seconds, nap)) log(s);
    for (const int s : p.imap_unordered(seconds, nap)) log('u', s);
    EXPECT_EQ(log.text(), "3 1 2 u1 u2 u3");
    EXPECT_EQ(time.elapsed(), 6s);
}

// rule 106
TEST_F(GeventPool, AFailingTaskThrowsAtItsPositionAndIterationContinues) {
    pool p(2);
    const auto odd_fails = [](int i) { return i % 2 == 1 ? throw std::runtime_error("bad " + std::to_string(i)) : i; };
    auto results = p.imap(counting(0, 4), odd_fails);
    for (auto at = results.begin(); at != results.end(); ++at) {
        try {
            log(*at);
        } catch (const std::runtime_error& e) {
            log(e.what());
        }
    }
    EXPECT_EQ(log.take(), "0 bad 1 2 bad 3");

    auto again = p.imap_unordered(counting(0, 4), odd_fails);
    int failed = 0;
    int taken = 0;
    for (bool more = true; more;) {
        try {
            more = again.next().has_value();
            taken += more ? 1 : 0;
        } catch (const std::runtime_error&) {
            ++failed;
        }
    }
    EXPECT_EQ(failed, 2);
    EXPECT_EQ(taken, 2);
}

// rule 106
TEST_F(GeventPool, AnErrorInTheInputRangeEndsItWithThatError) {
    pool p(2);
    for (const bool ordered : {true, false}) {
        copse::generator<int> input([](auto yield) {
            yield(1);
            yield(2);
            throw std::runtime_error("input");
        });
        const auto check = [](auto results) {
            EXPECT_EQ(results.next(), 1);
            EXPECT_EQ(results.next(), 2);
            EXPECT_EQ(what_is_thrown_by([&] { results.next(); }), "input");
            EXPECT_FALSE(results.next());
        };
        const auto nap = [](int i) {
            sleep(std::chrono::seconds(i));
            return i;
        };
        if (ordered) {
            check(p.imap({.bound = 4}, input, nap));
        } else {
            check(p.imap_unordered({.bound = 4}, input, nap));
        }
    }
}

// rule 107 changed: a bound there always is (the capacity, if none is given), and it counts what is started or finished
TEST_F(GeventPool, TheInputIsReadOnlyAsFarAsTheBoundAllows) {
    pool p(2);
    int read = 0;
    copse::generator<int> input([&](auto yield) {
        for (int i = 0; i < 6; ++i) {
            ++read;
            yield(i);
        }
    });
    auto results = p.imap({.bound = 1}, input, [](int i) { return i; });
    EXPECT_EQ(read, 0);
    for (int i = 0; i < 6; ++i) {
        EXPECT_EQ(results.next(), i);
        EXPECT_EQ(read, i + 1);
        yield();
        yield();
        EXPECT_EQ(read, i < 5 ? i + 2 : 6);
    }
    EXPECT_FALSE(results.next());
}

// rule 107
TEST_F(GeventPool, WithoutABoundTheCapacityIsIt) {
    pool p(3);
    int started = 0;
    auto results = p.imap(counting(0), [&](int i) {
        ++started;
        return i;
    });
    EXPECT_EQ(results.next(), 0);
    sleep(1s);
    EXPECT_EQ(started, 4) << "three ahead of the one that was taken";
}

// rule 108: stacks are used again
TEST_F(GeventPool, StacksArePooled) {
    pool p(2);
    p.map(counting(0, 100), [](int) { yield(); });
    const auto before = copse::stack_statistics();
    p.map(counting(0, 100), [](int) { yield(); });
    const auto after = copse::stack_statistics();
    EXPECT_EQ(after.live, before.live);
}

}  // namespace
