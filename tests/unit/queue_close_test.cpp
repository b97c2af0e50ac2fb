// Queues that are closed: who is told, what becomes of the items. gevent rule 97; QU01.

#include <copse/fibers.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <memory>
#include <optional>

using copse::queue;
using copse::queue_closed;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class QueueClose : public copse_test::hub_test {};

// QU01
TEST_F(QueueClose, Fault_QU01_GettersDrainAndThenAreTold) {
    queue<int> q(2);
    q.put(1);
    q.put(2);
    q.close();
    EXPECT_TRUE(q.closed());
    EXPECT_THROW(q.put(3), queue_closed);
    EXPECT_THROW(q.try_put(3), queue_closed);
    EXPECT_THROW(q.put_for(3, 1s), queue_closed);
    EXPECT_EQ(q.get(), 1);
    EXPECT_EQ(q.get_for(1s), 2);
    EXPECT_THROW(q.get(), queue_closed);
    EXPECT_THROW(q.get_for(1s), queue_closed);
    EXPECT_EQ(q.try_get(), std::nullopt);
    q.close();
}

TEST_F(QueueClose, Fault_QU01_WaitingGettersAreToldAtOnceInOrder) {
    queue<int> q(2);
    for (int i = 0; i < 3; ++i) {
        spawn([&, i] {
            EXPECT_THROW(q.get(), queue_closed);
            log(i);
        });
    }
    yield();
    q.close();
    yield();
    EXPECT_EQ(log.text(), "0 1 2");
}

TEST_F(QueueClose, Fault_QU01_WaitingPuttersAreToldAndTheirItemsDoNotComeIn) {
    queue<int> q(1);
    q.put(1);
    const auto putter = spawn([&] { EXPECT_THROW(q.put(2), queue_closed); });
    yield();
    q.close();
    putter.get();
    EXPECT_EQ(q.get(), 1);
    EXPECT_THROW(q.get(), queue_closed);
}

// An item that was handed over is not taken back by a close in the same turn.
TEST_F(QueueClose, Fault_QU01_AnItemHandedOverInTheSameTurnArrives) {
    queue<int> q(1);
    const auto getter = spawn([&] { return q.get(); });
    yield();
    q.put(5);
    q.close();
    EXPECT_EQ(getter.get(), 5);
}

TEST_F(QueueClose, ARangeEndsWhenItIsClosedAndDrained) {
    queue<int> numbers(16);
    const auto producer = spawn([&] {
        for (int i = 0; i < 3; ++i) {
            numbers.put(i);
            sleep(1s);
        }
        numbers.close();
    });
    for (const int n : numbers) log(n);
    EXPECT_EQ(log.text(), "0 1 2");
    EXPECT_EQ(time.elapsed(), 3s);
    producer.join();
}

// rule 97, immediate
TEST_F(QueueClose, AndDropEndsTheItems) {
    queue<std::shared_ptr<int>> q(2);
    const auto item = std::make_shared<int>(1);
    q.put(item);
    q.put(item);
    const auto putter = spawn([&] { EXPECT_THROW(q.put(item), queue_closed); });
    yield();
    q.close_and_drop();
    EXPECT_EQ(item.use_count(), 2);  // and the waiting putter's copy
    EXPECT_TRUE(q.empty());
    EXPECT_THROW(q.get(), queue_closed);
    putter.get();
    q.close_and_drop();
}

}  // namespace
