// The queue that counts what is unfinished. Rules 96, 97; QU05.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <optional>
#include <type_traits>
#include <vector>

using copse::joinable_queue;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class JoinableQueue : public copse_test::hub_test {};

TEST_F(JoinableQueue, IsAQueue) {
    joinable_queue<int> q(2);
    q.put(1);
    q.put(2);
    EXPECT_FALSE(q.try_put(3));
    EXPECT_EQ(q.peek(), 1);
    EXPECT_EQ(q.get(), 1);
    EXPECT_EQ(q.get(), 2);
    q.task_done();
    q.task_done();
}

// rule 96
TEST_F(JoinableQueue, CountsWhatCameInUntilItIsDone) {
    joinable_queue<int> q(1);
    EXPECT_EQ(q.unfinished(), 0u);
    q.put(1);
    const auto putter = spawn([&] { q.put(2); });
    yield();
    EXPECT_EQ(q.unfinished(), 1u);  // what waits outside has not come in
    EXPECT_EQ(q.get(), 1);
    EXPECT_EQ(q.unfinished(), 2u);
    q.task_done();
    EXPECT_EQ(q.get(), 2);
    EXPECT_EQ(q.unfinished(), 1u);
    q.task_done();
    EXPECT_EQ(q.unfinished(), 0u);
    putter.join();
}

TEST_F(JoinableQueue, CountsWhatIsHandedOver) {
    joinable_queue<int> q(1);
    const auto getter = spawn([&] { return q.get(); });
    yield();
    q.put(1);
    EXPECT_TRUE(q.empty());
    EXPECT_EQ(q.unfinished(), 1u);
    EXPECT_EQ(getter.get(), 1);
    q.task_done();
}

// QU05, rule 96
TEST_F(JoinableQueue, Fault_QU05_TooOftenIsRefused) {
    static_assert(std::is_base_of_v<copse::error, copse::task_done_too_often>);
    joinable_queue<int> q(2);
    EXPECT_THROW(q.task_done(), copse::task_done_too_often);
    q.put(1);
    q.task_done();  // it need not have been got: who counts is the caller
    EXPECT_EQ(what_is_thrown_by([&] { q.task_done(); }),
              "task_done: every item of the joinable_queue has been reported done already");
    EXPECT_EQ(q.unfinished(), 0u);
}

// rule 96
TEST_F(JoinableQueue, WithNothingUnfinishedJoinDoesNotSwitch) {
    joinable_queue<int> q(2);
    spawn([this] { log("other"); });
    q.join();
    EXPECT_TRUE(q.join_for(1h));
    EXPECT_TRUE(q.join_until(copse::clock::now() + 1h));
    EXPECT_EQ(log.text(), "");
    yield();
}

TEST_F(JoinableQueue, JoinEndsWithTheLastTask) {
    joinable_queue<int> q(8);
    for (int i = 0; i < 3; ++i) q.put(i);
    const auto worker = spawn([&] {
        for (const int i : q) {
            sleep(1s);
            log("done", i);
            q.task_done();
        }
    });
    for (const char name : {'a', 'b'}) {
        spawn([&, name] {
            q.join();
            log(name);
        });
    }
    q.join();
    log("main");
    q.close();
    worker.join();
    yield();
    EXPECT_EQ(log.text(), "done0 done1 done2 main a b");
    EXPECT_EQ(time.elapsed(), 3s);
}

// As of an event: who waited when it became true goes on, whatever follows.
TEST_F(JoinableQueue, JoinersAreNotCalledBackByANewItem) {
    joinable_queue<int> q(8);
    q.put(1);
    const auto joiner = spawn([&] { return q.join_for(1h); });
    yield();
    q.task_done();
    q.put(2);
    EXPECT_TRUE(joiner.get());
    EXPECT_EQ(time.elapsed(), 0s);
    EXPECT_FALSE(q.join_for(0s));
    q.task_done();
}

TEST_F(JoinableQueue, TimedJoinsAnswer) {
    joinable_queue<int> q(8);
    q.put(1);
    EXPECT_FALSE(q.join_for(1s));
    EXPECT_FALSE(q.join_for(-1s));
    EXPECT_FALSE(q.join_until(copse::clock::now() + 1s));
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_THROW(q.join_for(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    spawn([&] { q.task_done(); });
    EXPECT_TRUE(q.join_for(0s));
}

// decision 3: a join acquires nothing
TEST_F(JoinableQueue, AKillInTheTurnOfTheLastTaskIsThrownAtOnce) {
    joinable_queue<int> q(8);
    q.put(1);
    const auto joiner = spawn([&] {
        q.join();
        log("never");
    });
    yield();
    q.task_done();
    joiner.kill();
    EXPECT_TRUE(joiner.killed());
    EXPECT_EQ(log.text(), "");
}

TEST_F(JoinableQueue, AKilledJoinerLeavesNothingBehind) {
    joinable_queue<int> q(8);
    q.put(1);
    const auto joiner = spawn([&] { q.join(); });
    yield();
    joiner.kill();
    q.task_done();
}

// rule 97
TEST_F(JoinableQueue, CloseLetsTheRestBeWorkedOff) {
    joinable_queue<int> q(8);
    q.put(1);
    q.put(2);
    q.close();
    EXPECT_EQ(q.unfinished(), 2u);
    for (const int i : q) {
        log(i);
        q.task_done();
    }
    q.join();
    EXPECT_EQ(log.text(), "1 2");
}

// rule 97
TEST_F(JoinableQueue, CloseAndDropCountsTheDroppedAsDone) {
    joinable_queue<int> q(2);
    for (int i = 0; i < 2; ++i) q.put(i);
    const auto putter = spawn([&] { q.put(9); });
    const auto joiner = spawn([&] {
        q.join();
        log("joined");
    });
    yield();
    EXPECT_EQ(q.get(), 0);
    yield();  // 9 came in
    q.put_for(10, 0s);
    EXPECT_EQ(q.unfinished(), 3u);
    q.close_and_drop();
    EXPECT_EQ(q.unfinished(), 1u);  // the one that was got
    yield();
    EXPECT_EQ(log.text(), "");
    q.task_done();
    joiner.join();
    EXPECT_EQ(log.text(), "joined");
    putter.join();
}

TEST_F(JoinableQueue, CloseAndDropOfAllEndsTheJoin) {
    joinable_queue<int> q(2);
    q.put(1);
    const auto joiner = spawn([&] { q.join(); });
    yield();
    q.close_and_drop();
    joiner.get();
    EXPECT_EQ(q.unfinished(), 0u);
}

}  // namespace
