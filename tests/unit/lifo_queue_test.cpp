// The queue that gives the newest first. Decision 3; QU01 to QU03.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "fragile.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

using copse::lifo_queue;
using copse::spawn;
using copse::yield;
using copse_test::fragile;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class LifoQueue : public copse_test::hub_test {};

TEST_F(LifoQueue, GivesTheNewestFirst) {
    lifo_queue<int> q(3);
    for (int i = 1; i < 4; ++i) q.put(i);
    EXPECT_TRUE(q.full());
    EXPECT_EQ(q.peek(), 3);
    EXPECT_EQ(q.get(), 3);
    q.put(4);
    EXPECT_EQ(q.try_get(), 4);
    EXPECT_EQ(q.get_for(1s), 2);
    EXPECT_EQ(q.get(), 1);
    EXPECT_EQ(q.get_for(1s), std::nullopt);
    EXPECT_EQ(time.elapsed(), 1s);
}

// rule 88
TEST_F(LifoQueue, GettersAreServedInTheOrderInWhichTheyBlocked) {
    lifo_queue<int> q(3);
    for (const char name : {'a', 'b', 'c'}) {
        spawn([&, name] { log(name, q.get()); });
    }
    yield();
    for (int i = 0; i < 3; ++i) q.put(i);
    yield();
    EXPECT_EQ(log.text(), "a0 b1 c2");
}

TEST_F(LifoQueue, PuttersComeInInTheOrderInWhichTheyBlocked) {
    lifo_queue<int> q(1);
    q.put(0);
    for (int i = 1; i < 4; ++i) {
        spawn([&q, i] { q.put(i); });
    }
    yield();
    for (int i = 0; i < 4; ++i) log(q.get());
    EXPECT_EQ(log.text(), "0 1 2 3");
    yield();
}

TEST_F(LifoQueue, AKilledPutterIsPassedOverAndKeepsItsItem) {
    lifo_queue<std::unique_ptr<int>> q(1);
    q.put(nullptr);
    auto item = std::make_unique<int>(1);
    const auto killed = spawn([&] { q.put(std::move(item)); });
    const auto next = spawn([&] { q.put(std::make_unique<int>(2)); });
    yield();
    killed.request_kill();
    EXPECT_EQ(q.get(), nullptr);
    EXPECT_EQ(*q.get(), 2);
    join_all(killed, next);
    EXPECT_NE(item, nullptr);
}

TEST_F(LifoQueue, Fault_QU01_DrainsNewestFirstAndEnds) {
    lifo_queue<int> q(3);
    for (int i = 0; i < 3; ++i) q.put(i);
    q.close();
    EXPECT_THROW(q.put(4), copse::queue_closed);
    for (const int i : q) log(i);
    EXPECT_EQ(log.text(), "2 1 0");
    EXPECT_THROW(q.get(), copse::queue_closed);
}

TEST_F(LifoQueue, CloseAndDrop) {
    lifo_queue<int> q(3);
    q.put(1);
    q.close_and_drop();
    EXPECT_THROW(q.get(), copse::queue_closed);
}

TEST_F(LifoQueue, Fault_QU02_AMoveThatThrowsLeavesTheItemWhereItWas) {
    lifo_queue<fragile> q(2);
    fragile item(1);
    fragile::armed = 1;
    EXPECT_EQ(what_is_thrown_by([&] { q.put(std::move(item)); }), "move");
    EXPECT_TRUE(q.empty());
    q.put(std::move(item));
    fragile::armed = 1;
    EXPECT_EQ(what_is_thrown_by([&] { q.get(); }), "move");
    EXPECT_EQ(q.get().number, 1);
}

TEST_F(LifoQueue, Fault_QU03_CapacityOfNothingIsRefused) {
    EXPECT_EQ(what_is_thrown_by([] { lifo_queue<int> q(0); }),
              "lifo_queue: a capacity of 0 holds nothing; use a channel");
    EXPECT_THROW(lifo_queue<int>(0), std::invalid_argument);
    EXPECT_FALSE(lifo_queue<int>(lifo_queue<int>::unlimited).full());
}

}  // namespace
