// Queues that are looked into without taking anything. gevent rule 94; QU01, QU02.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "fragile.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

using copse::queue;
using copse::queue_closed;
using copse::spawn;
using copse::yield;
using copse_test::fragile;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class QueuePeek : public copse_test::hub_test {};

// rule 94
TEST_F(QueuePeek, LeavesTheItemAndParksOnlyWhileThereIsNone) {
    queue<int> q(2);
    EXPECT_EQ(q.try_peek(), std::nullopt);
    EXPECT_EQ(q.peek_for(1s), std::nullopt);
    EXPECT_EQ(q.peek_until(copse::clock::now() + 1s), std::nullopt);
    EXPECT_EQ(time.elapsed(), 2s);
    q.put(1);
    q.put(2);
    spawn([this] { log("other"); });
    EXPECT_EQ(q.peek(), 1);
    EXPECT_EQ(q.try_peek(), 1);
    EXPECT_EQ(q.peek_for(1h), 1);
    EXPECT_EQ(q.size(), 2u);
    EXPECT_EQ(log.text(), "");
    yield();
}

// rule 94
TEST_F(QueuePeek, InOneLineWithGettersSeesWhatTheNextOneTakes) {
    queue<int> q(2);
    const auto peeking = [&](char name) { spawn([&, name] { log(name, q.peek()); }); };
    const auto getting = [&](char name) { spawn([&, name] { log(name, q.get()); }); };
    peeking('p');
    peeking('q');
    getting('g');
    peeking('r');
    getting('h');
    yield();
    q.put(1);
    yield();
    EXPECT_EQ(log.take(), "p1 q1 g1");
    q.put(2);
    yield();
    EXPECT_EQ(log.text(), "r2 h2");
    EXPECT_TRUE(q.empty());
}

TEST_F(QueuePeek, WithNoGetterTheItemStays) {
    queue<int> q(1);
    const auto peeker = spawn([&] { return q.peek(); });
    yield();
    q.put(1);
    EXPECT_TRUE(q.full());
    EXPECT_EQ(peeker.get(), 1);
    EXPECT_EQ(q.get(), 1);
}

TEST_F(QueuePeek, AKilledOneIsPassedOver) {
    queue<int> q(1);
    const auto a = spawn([&] { log("a", q.peek()); });
    const auto b = spawn([&] { log("b", q.peek()); });
    yield();
    a.request_kill();
    q.put(1);
    b.request_kill();  // too late: it has been served
    join_all(a, b);
    EXPECT_EQ(log.text(), "b1");
    EXPECT_EQ(q.size(), 1u);
}

TEST_F(QueuePeek, ACopyThatThrowsIsThePeekersFailure) {
    queue<fragile> q(1);
    const auto peeker = spawn([&] { log(what_is_thrown_by([&] { q.peek(); })); });
    yield();
    fragile::armed = 2;  // the move in, the copy out
    q.put(fragile(1));
    EXPECT_EQ(fragile::armed, 0);
    peeker.join();
    EXPECT_EQ(log.text(), "copy");
    EXPECT_EQ(q.get().number, 1);
}

TEST_F(QueuePeek, Fault_TM01_NotANumberIsRefused) {
    queue<int> q(1);
    EXPECT_THROW(q.peek_for(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    q.put(1);
    EXPECT_EQ(q.size(), 1u);
}

TEST_F(QueuePeek, Fault_QU01_IsToldOfTheEnd) {
    queue<int> q(1);
    const auto peeker = spawn([&] { EXPECT_THROW(q.peek(), queue_closed); });
    yield();
    q.close();
    peeker.get();
    EXPECT_THROW(q.peek(), queue_closed);
    EXPECT_THROW(q.peek_for(1s), queue_closed);
    EXPECT_EQ(q.try_peek(), std::nullopt);
}

// A type that is copyable by its signature only can be queued all the same.
TEST_F(QueuePeek, AsksNothingOfItemsThatAreNotPeeked) {
    queue<std::vector<std::unique_ptr<int>>> q(1);
    q.put({});
    EXPECT_TRUE(q.get().empty());
}

}  // namespace
