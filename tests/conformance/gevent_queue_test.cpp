// Queues and channels, rule by rule: 88 to 99 of gevent's list, as design §3.2 changes them.

#include <copse/fibers.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

using copse::channel;
using copse::joinable_queue;
using copse::queue;
using copse::queue_closed;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class GeventQueue : public copse_test::hub_test {};
class GeventChannel : public copse_test::hub_test {};

// rule 88
TEST_F(GeventQueue, GettersAndPuttersAreServedInBlockingOrder) {
    queue<int> q(1);
    for (const char name : {'a', 'b', 'c'}) {
        spawn([&, name] { log(name, q.get()); });
    }
    yield();
    for (int i = 0; i < 3; ++i) q.put(i);
    yield();
    EXPECT_EQ(log.take(), "a0 b1 c2");
    q.put(0);
    for (int i = 1; i < 4; ++i) {
        spawn([&, i] {
            q.put(i);
            log("p", i);
        });
    }
    yield();
    for (int i = 0; i < 4; ++i) log("g", q.get());
    yield();
    EXPECT_EQ(log.text(), "g0 g1 g2 g3 p1 p2 p3");
}

// rule 89. With capacity 1 a hand-over lets the consumer be one ahead of gevent's: the putter's item comes in at the get
// (decision 3), before the putter itself continues.
TEST_F(GeventQueue, PutDoesNotSwitchWhileThereIsRoom) {
    const auto run = [this](std::size_t capacity) {
        queue<int> q(capacity);
        const auto producer = spawn([&] {
            for (int i = 0; i < 3; ++i) {
                q.put(i);
                log("p", i);
            }
        });
        const auto consumer = spawn([&] {
            for (int i = 0; i < 3; ++i) log("c", q.get());
        });
        join_all(producer, consumer);
        return log.take();
    };
    EXPECT_EQ(run(queue<int>::unlimited), "p0 p1 p2 c0 c1 c2");
    EXPECT_EQ(run(1), "p0 c0 c1 p1 p2 c2");
}

// rule 90, changed by decision 3: nobody barges in
TEST_F(GeventQueue, ARunningFiberCannotTakeWhatWokeAGetter) {
    queue<int> q(1);
    const auto waiter = spawn([&] { return q.get(); });
    yield();
    q.put(1);
    EXPECT_EQ(q.try_get(), std::nullopt);
    EXPECT_EQ(q.get_for(0s), std::nullopt);
    EXPECT_EQ(waiter.get(), 1);
}

// rule 91, changed: unlimited is said by name, and 0 is refused
TEST_F(GeventQueue, UnlimitedIsNeverFull) {
    queue<int> q(queue<int>::unlimited);
    for (int i = 0; i < 10'000; ++i) q.put(i);
    EXPECT_FALSE(q.full());
    EXPECT_EQ(q.size(), 10'000u);
    EXPECT_THROW(queue<int>(0), std::invalid_argument);
}

// rule 92, changed by decision 7: a length of 0 gives the others one turn, negative counts as 0, the answer is a value
TEST_F(GeventQueue, TimedFormsAnswerAndLeaveNoWaiter) {
    queue<int> q(1);
    spawn([this] { log("turn"); });
    EXPECT_EQ(q.try_get(), std::nullopt);
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(q.get_for(0s), std::nullopt);
    EXPECT_EQ(log.text(), "turn");
    EXPECT_EQ(q.get_for(-1s), std::nullopt);
    EXPECT_EQ(q.get_for(1s), std::nullopt);
    q.put(1);
    EXPECT_EQ(q.size(), 1u);
    EXPECT_FALSE(q.try_put(2));
    EXPECT_FALSE(q.put_for(2, -1s));
    EXPECT_FALSE(q.put_for(2, 1s));
    EXPECT_EQ(q.get(), 1);
    EXPECT_TRUE(q.empty());
    EXPECT_EQ(time.elapsed(), 2s);
}

// rule 93, changed: blocking calls are refused in the hub, try_ forms serve who waits and never switch
TEST_F(GeventQueue, InTheHubNothingBlocks) {
    queue<int> q(1);
    const auto getter = spawn([&] { log("got", q.get()); });
    yield();
    copse::hub::current().post([&] {
        EXPECT_THROW(q.get(), copse::blocking_in_hub);
        EXPECT_TRUE(q.try_put(1));
        log("put");
        EXPECT_EQ(q.try_get(), std::nullopt);
    });
    getter.join();
    EXPECT_EQ(log.text(), "put got1");
}

// rule 94
TEST_F(GeventQueue, PeekThenGetBothSucceedOnOneItem) {
    queue<int> q(1);
    const auto peeker = spawn([&] { return q.peek(); });
    const auto getter = spawn([&] { return q.get(); });
    yield();
    q.put(1);
    EXPECT_EQ(peeker.get(), 1);
    EXPECT_EQ(getter.get(), 1);
    EXPECT_TRUE(q.empty());
}

// rule 94
TEST_F(GeventQueue, GetThenPeekThePeekerWaitsOn) {
    queue<int> q(1);
    const auto getter = spawn([&] { return q.get(); });
    const auto peeker = spawn([&] { return q.peek(); });
    yield();
    q.put(1);
    EXPECT_EQ(getter.get(), 1);
    EXPECT_FALSE(peeker.join_for(1h));
    q.put(2);
    EXPECT_EQ(peeker.get(), 2);
    EXPECT_EQ(q.get(), 2);
}

// rule 95, changed: a range ends when the queue is closed and drained; no item is special
TEST_F(GeventQueue, IterationEndsWithTheClose) {
    queue<std::optional<int>> q(4);
    q.put(1);
    q.put(std::nullopt);
    q.put(2);
    q.close();
    for (const auto& item : q) log(item.value_or(-1));
    EXPECT_EQ(log.text(), "1 -1 2");
}

// rule 96
TEST_F(GeventQueue, JoinableCountsPutsAndTasksDone) {
    joinable_queue<int> q(8);
    q.join();
    EXPECT_THROW(q.task_done(), copse::task_done_too_often);
    q.put(1);
    q.put(2);
    EXPECT_FALSE(q.join_for(1s));
    q.get();
    q.get();
    EXPECT_FALSE(q.join_for(1s));  // empty, but not done
    q.task_done();
    const auto joiner = spawn([&] { return q.join_for(1h); });
    yield();
    q.task_done();
    EXPECT_TRUE(joiner.get());
    EXPECT_THROW(q.task_done(), copse::task_done_too_often);
}

// rule 97
TEST_F(GeventQueue, CloseTellsThoseWhoWaitAndLetsTheRestBeTaken) {
    queue<int> q(1);
    const auto getter = spawn([&] { EXPECT_THROW(q.get(), queue_closed); });
    yield();
    q.close();
    getter.get();

    queue<int> full(1);
    full.put(1);
    const auto putter = spawn([&] { EXPECT_THROW(full.put(2), queue_closed); });
    yield();
    full.close();
    putter.get();
    EXPECT_EQ(full.get(), 1);
    EXPECT_THROW(full.get(), queue_closed);
}

// rule 97
TEST_F(GeventQueue, CloseAndDropCountsTheDroppedAsDone) {
    joinable_queue<int> q(2);
    q.put(1);
    q.put(2);
    const auto putter = spawn([&] { EXPECT_THROW(q.put(3), queue_closed); });
    const auto joiner = spawn([&] { q.join(); });
    yield();
    q.close_and_drop();
    putter.get();
    joiner.get();
    EXPECT_TRUE(q.empty());
    EXPECT_THROW(q.get(), queue_closed);
}

// rule 98
TEST_F(GeventChannel, AMatchResumesTheGetterAndThenThePutter) {
    for (const bool putter_first : {true, false}) {
        channel<int> c;
        const auto put = [&] {
            return spawn([&] {
                c.put(1);
                log("put");
            });
        };
        const auto get = [&] { return spawn([&] { log("got", c.get()); }); };
        const auto first = putter_first ? put() : get();
        const auto second = putter_first ? get() : put();
        join_all(first, second);
        EXPECT_EQ(log.take(), "got1 put");
    }
}

// rule 98
TEST_F(GeventChannel, APutterContinuesBeforeTheSecondGetReturns) {
    channel<char> c;
    for (const char name : {'a', 'b'}) {
        spawn([&, name] {
            c.put(name);
            log("put-", name);
        });
    }
    log("got-", c.get());
    log("got-", c.get());
    log("end");
    yield();
    EXPECT_EQ(log.text(), "got-a put-a got-b end put-b");
}

// rule 98
TEST_F(GeventChannel, APutEndsOnlyAfterTheGet) {
    channel<int> c;
    const auto putter = spawn([&] { c.put(1); });
    EXPECT_FALSE(putter.join_for(1h));
    EXPECT_EQ(c.get(), 1);
    putter.join();
}

// rule 99
TEST_F(GeventChannel, TryFormsSucceedIfAPartnerWaitsAndBalanceCounts) {
    channel<int> c;
    EXPECT_FALSE(c.try_put(1));
    EXPECT_EQ(c.try_get(), std::nullopt);
    EXPECT_EQ(c.balance(), 0);
    const auto putter = spawn([&] { c.put(2); });
    yield();
    EXPECT_EQ(c.balance(), 1);
    EXPECT_EQ(c.try_get(), 2);
    const auto getter = spawn([&] { return c.get(); });
    yield();
    EXPECT_EQ(c.balance(), -1);
    EXPECT_TRUE(c.try_put(3));
    EXPECT_EQ(getter.get(), 3);
    EXPECT_EQ(c.balance(), 0);
    putter.join();
}

}  // namespace
