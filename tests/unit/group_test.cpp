// Groups. gevent rules 100 to 104 as far as they concern them; KL07, KL09; decisions 3, 4, 5, 7.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "hub_test.hpp"
#include "worker.hpp"

#include <chrono>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>

using copse::any_fiber;
using copse::group;
using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::error_recorder;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class Group : public copse_test::hub_test {};

TEST_F(Group, MembersLeaveWhenTheyFinish) {
    group g;
    const auto a = g.spawn([] { sleep(1s); });
    const auto b = g.spawn(
        {.name = "b"}, [](int x) { return x; }, 41);
    EXPECT_EQ(b.name(), "b");
    EXPECT_EQ(g.size(), 2u);
    EXPECT_TRUE(g.contains(a));
    yield();
    EXPECT_EQ(g.size(), 1u);
    EXPECT_FALSE(g.contains(b));
    EXPECT_EQ(b.get(), 41);
    g.join();
    EXPECT_TRUE(g.empty());
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(Group, AllFormsOfSpawn) {
    group g;
    const auto site = copse::source_site::current();
    const auto none = g.spawn([] { return 0; });
    const auto one = g.spawn([](int a) { return a; }, 1);
    const auto two = g.spawn([](int a, int b) { return a + b; }, 1, 1);
    const auto three = g.spawn([](int a, int b, int c) { return a + b + c; }, 1, 1, 1);
    const auto all = hub::current().fibers();
    ASSERT_EQ(all.size(), 4u);
    EXPECT_NE(all[3].spawned_at.find("group_test.cpp:" + std::to_string(site.line + 1)), std::string::npos)
        << all[3].spawned_at;
    g.join();
    EXPECT_EQ(none.get() + one.get() + two.get() + three.get(), 6);
}

TEST_F(Group, AMoveOnlyCallableAndAFailingCopy) {
    group g;
    auto owned = std::make_unique<int>(7);
    const auto f = g.spawn([p = std::move(owned)] { return *p; });
    EXPECT_EQ(f.get(), 7);
    struct fails {
        fails() = default;
        fails(const fails& /*other*/) { throw std::runtime_error("copy"); }
        void operator()() const {}
    };
    const fails callable;
    EXPECT_EQ(what_is_thrown_by([&] { g.spawn(callable); }), "copy");
    EXPECT_TRUE(g.empty());
}

TEST_F(Group, AddIsIdempotentAndIgnoresTheFinished) {
    group g;
    const auto f = spawn([] { sleep(1s); });
    g.add(f);
    g.add(f);
    EXPECT_EQ(g.size(), 1u);
    g.join();
    g.add(f);
    EXPECT_TRUE(g.empty());
}

TEST_F(Group, AFiberMayBeInSeveralGroups) {
    group a;
    group b;
    const auto f = a.spawn([] { sleep(1s); });
    b.add(f);
    a.discard(f);
    EXPECT_FALSE(a.contains(f));
    EXPECT_TRUE(b.contains(f));
    b.join();
}

// rule 104: discarding twice changes nothing
TEST_F(Group, ADiscardedMemberGoesOn) {
    group g;
    const auto f = g.spawn([this] {
        sleep(1s);
        log("went on");
    });
    yield();
    g.discard(f);
    g.discard(f);
    EXPECT_TRUE(g.empty());
    g.kill();
    g.join();
    EXPECT_EQ(log.text(), "");
    f.join();
    EXPECT_EQ(log.text(), "went on");
}

TEST_F(Group, MembersGivesASnapshotInOrder) {
    group g;
    for (const char* name : {"a", "b", "c"}) g.spawn({.name = name}, [] { sleep(1h); });
    yield();
    for (const any_fiber& f : g.members()) {
        log(f.name());
        f.kill();
    }
    EXPECT_EQ(log.text(), "a b c");
    EXPECT_TRUE(g.empty());
}

TEST_F(Group, AMemberHasLeftWhenItsJoinerLearnsOfItsEnd) {
    group g;
    const auto f = g.spawn([] {});
    f.join();
    EXPECT_TRUE(g.empty());
}

// rule 103
TEST_F(Group, JoinWaitsForWhatMembersAdd) {
    group g;
    g.spawn([&] {
        sleep(1s);
        g.spawn([&] {
            sleep(1s);
            log("second");
        });
    });
    g.join();
    log("joined");
    EXPECT_EQ(log.text(), "second joined");
}

// rule 103
TEST_F(Group, JoinReturnsAtTheFirstMomentOfEmptiness) {
    group g;
    g.spawn([] { sleep(1s); });
    const auto late = spawn([&] {
        g.join();
        log("joined", g.size());
    });
    const auto refill = spawn([&] {
        g.members().front().join();
        g.spawn([] { sleep(1h); });
    });
    late.join();
    refill.join();
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_EQ(log.text(), "joined0");
    g.kill();
}

TEST_F(Group, JoiningAnEmptyOneDoesNotSwitch) {
    group g;
    spawn([this] { log("other"); });
    g.join();
    EXPECT_TRUE(g.join_for(1h));
    EXPECT_TRUE(g.join({.raise_error = true}));
    g.kill();
    EXPECT_EQ(log.text(), "");
    yield();
}

// decision 7
TEST_F(Group, TimedJoinsAnswer) {
    group g;
    g.spawn([] { sleep(3s); });
    EXPECT_FALSE(g.join_for(0s));
    EXPECT_FALSE(g.join_for(-1s));
    EXPECT_FALSE(g.join_for(1s));
    EXPECT_FALSE(g.join_until(copse::clock::now() + 1s));
    EXPECT_FALSE(g.join({.timeout = 500ms}));
    EXPECT_EQ(time.elapsed(), 2500ms);
    EXPECT_TRUE(g.join_for(1s));
    EXPECT_EQ(time.elapsed(), 3s);
    const std::chrono::duration<double> not_a_number(std::numeric_limits<double>::quiet_NaN());
    EXPECT_THROW(g.join_for(not_a_number), copse::invalid_duration);
    EXPECT_THROW(g.kill_for(not_a_number), copse::invalid_duration);
}

TEST_F(Group, AKilledJoinerLeavesNoTrace) {
    group g;
    const auto member = g.spawn([] { sleep(1h); });
    const auto joiner = spawn([&] { g.join(); });
    yield();
    joiner.kill();
    EXPECT_TRUE(joiner.killed());
    EXPECT_FALSE(member.ready());
    g.kill();
}

// A join acquires nothing: a kill that comes with the end is thrown.
TEST_F(Group, AKillInTheTurnOfTheLastEndIsThrown) {
    group g;
    g.spawn([] { yield(); });
    copse::fiber<void> joiner;
    joiner = spawn([&] {
        g.join();
        log("never");
    });
    yield();
    yield();
    EXPECT_TRUE(g.empty());
    EXPECT_FALSE(joiner.ready());
    joiner.kill();
    EXPECT_EQ(log.text(), "");
}

// rule 103
TEST_F(Group, JoinWithRaiseErrorThrowsOneFailureOfThosePresent) {
    const error_recorder errors;
    group g;
    const auto a = g.spawn([] {
        sleep(2s);
        throw std::runtime_error("a");
    });
    g.spawn([] {
        sleep(1s);
        throw std::runtime_error("b");
    });
    EXPECT_EQ(what_is_thrown_by([&] { g.join({.raise_error = true}); }), "a");
    EXPECT_EQ(time.elapsed(), 2s) << "it waits for all";
    ASSERT_EQ(errors.count(), 1u) << "the other failure is told as ever";
    EXPECT_EQ(errors[0].what, "b");
}

TEST_F(Group, JoinWithoutRaiseErrorObservesNothing) {
    const error_recorder errors;
    group g;
    g.spawn([] { throw std::runtime_error("told"); });
    g.join();
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].what, "told");
}

TEST_F(Group, AFailureIsThrownAlsoWhenTheTimeIsOver) {
    group g;
    g.spawn([] { sleep(1h); });
    g.spawn([] { throw std::runtime_error("early"); });
    EXPECT_EQ(what_is_thrown_by([&] { g.join({.timeout = 1s, .raise_error = true}); }), "early");
    EXPECT_EQ(time.elapsed(), 1s);
    g.kill();
}

// rule 104
TEST_F(Group, KillEndsAllInOrderAndWaitsForTheirCleanUp) {
    group g;
    for (int i = 0; i < 3; ++i) {
        g.spawn([this, i] {
            try {
                sleep(1h);
            } catch (const copse::greenlet_exit&) {
                sleep(1s);
                log(i);
                throw;
            }
        });
    }
    g.spawn([this] { log("never"); });
    const auto before_it_runs = g.members().back();
    g.discard(before_it_runs);
    before_it_runs.kill();
    yield();
    g.kill();
    log("killed");
    EXPECT_EQ(log.text(), "0 1 2 killed");
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(Group, KillNeverStartsTheUnstarted) {
    group g;
    g.spawn([this] { log("never"); });
    g.kill();
    yield();
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(time.elapsed(), 0s);
}

// rule 104: once a member
TEST_F(Group, KillIsAskedOfEachMemberOnce) {
    error_recorder errors;
    group g;
    int kills = 0;
    g.spawn([&] {
        while (kills < 5) {
            try {
                sleep(1s);
                return;
            } catch (const copse::greenlet_exit&) {
                ++kills;
            }
        }
    });
    yield();
    EXPECT_FALSE(g.kill_for(100ms));
    EXPECT_FALSE(g.kill_for(100ms));
    g.kill();
    EXPECT_EQ(kills, 1);
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_EQ(errors.count(), 1u) << "that it caught its kill";
}

TEST_F(Group, MembersThatComeDuringAKillAreKilledToo) {
    group g;
    copse::fiber<void> other;
    g.spawn([&] {
        try {
            sleep(1h);
        } catch (const copse::greenlet_exit&) {
            g.spawn([this] { log("never"); });
            other = spawn([] { sleep(1h); });
            yield();
            g.add(other);
            throw;
        }
    });
    yield();
    g.kill();
    EXPECT_TRUE(other.killed());
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(time.elapsed(), 0s);
    g.spawn([this] { log("lives"); });
    g.join();
    EXPECT_EQ(log.text(), "lives");
}

TEST_F(Group, RequestKillDoesNotWait) {
    group g;
    const auto a = g.spawn([] { sleep(1h); });
    yield();
    g.request_kill();
    EXPECT_FALSE(a.ready());
    const auto b = g.spawn([] { return 1; });
    g.join();
    EXPECT_TRUE(a.killed());
    EXPECT_EQ(b.get(), 1) << "what comes later is not killed";
}

// KL07
TEST_F(Group, Fault_KL07_AMemberThatKillsItsGroupIsKilledThere) {
    group g;
    const auto other = g.spawn([] { sleep(1h); });
    const auto killer = g.spawn([&] {
        yield();
        g.kill();
        log("never");
    });
    g.join();
    EXPECT_TRUE(other.killed());
    EXPECT_TRUE(killer.killed());
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(time.elapsed(), 0s);
}

// KL08: it would wait for itself
TEST_F(Group, Fault_KL08_AMemberThatCannotBeKilledDoesNotWaitForItself) {
    group g;
    const auto f = g.spawn([&] {
        const copse::shield keep;
        g.kill();
        log("went on");
    });
    g.join();
    EXPECT_EQ(log.text(), "went on");
    EXPECT_TRUE(f.successful());
}

// What an unstarted member would have called may change the group while it is destroyed.
TEST_F(Group, ADestructorMayDiscardOthersDuringAKill) {
    group g;
    const auto last = spawn([] { sleep(1s); });
    g.spawn([end = at_end([&] { g.discard(last); })] {});
    g.add(last);
    yield();
    const auto kept = g.spawn([end = at_end([&] { g.discard(last); })] {});
    g.request_kill();
    EXPECT_TRUE(kept.killed());
    EXPECT_FALSE(g.contains(last));
    last.join();
    EXPECT_EQ(time.elapsed(), 1s) << "it was no member any more";
}

TEST_F(Group, MembersOutliveTheGroup) {
    copse::fiber<int> f;
    {
        group g;
        f = g.spawn([] {
            sleep(1s);
            return 3;
        });
    }
    EXPECT_EQ(f.get(), 3);
}

TEST_F(Group, EmptyAndForeignHandlesAreRefused) {
    group g;
    EXPECT_THROW(g.add(any_fiber()), copse::empty_handle);
    EXPECT_THROW(g.discard(any_fiber()), copse::empty_handle);
    EXPECT_THROW(static_cast<void>(g.contains(any_fiber())), copse::empty_handle);
    EXPECT_THROW(g.spawn(static_cast<void (*)()>(nullptr)), copse::null_callable);
    copse_test::worker other;
    copse::fiber<void> foreign;
    other.run([&] { foreign = spawn([] {}); });
    EXPECT_THROW(g.add(foreign), copse::wrong_thread);
    EXPECT_THROW(static_cast<void>(g.contains(foreign)), copse::wrong_thread);
    EXPECT_TRUE(g.empty());
    other.run([&] { foreign.join(); });
}

// rule 31
TEST_F(Group, AThousandMembers) {
    group g;
    for (int i = 0; i < 1000; ++i) g.spawn([i] { sleep(std::chrono::milliseconds(i % 7)); });
    EXPECT_EQ(g.size(), 1000u);
    EXPECT_FALSE(g.join_for(3ms));
    EXPECT_LT(g.size(), 1000u);
    g.kill();
    EXPECT_TRUE(g.empty());
}

}  // namespace
