// Queues between threads. Decision 3; QU01, QU02, QU03; P5.

#include <copse/fibers.hpp>

#include "fragile.hpp"
#include "hub_test.hpp"
#include "worker.hpp"

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using copse::sleep;
using copse::spawn;
using copse::yield;
using copse::shared::queue;
using copse_test::fragile;
using copse_test::in_thread;
using copse_test::worker;
using namespace std::chrono_literals;

namespace {

class SharedQueue : public copse_test::hub_test {
protected:
    copse::fiber<void> getting(queue<int>& from, const char* name) {
        return spawn([this, &from, name] { log(name, from.get()); });
    }
    copse::fiber<void> putting(queue<int>& to, int item) {
        return spawn([this, &to, item] {
            to.put(item);
            log("put", item);
        });
    }
};

TEST_F(SharedQueue, FirstInFirstOutAcrossThreads) {
    queue<int> q(3);
    in_thread([&] {
        for (int i = 0; i < 3; ++i) EXPECT_TRUE(q.try_put(i));
        EXPECT_FALSE(q.try_put(3));
    });
    EXPECT_TRUE(q.full());
    EXPECT_EQ(q.size(), 3u);
    EXPECT_EQ(q.capacity(), 3u);
    EXPECT_EQ(q.get(), 0);
    EXPECT_EQ(q.try_get(), 1);
    EXPECT_EQ(q.get_for(1s), 2);
    EXPECT_TRUE(q.empty());
    EXPECT_EQ(q.try_get(), std::nullopt);
}

TEST_F(SharedQueue, ItemsGoToTheLongestWaiterOfAllThreads) {
    queue<int> q(10);
    worker other;
    std::optional<copse::fiber<int>> b;
    const auto a = getting(q, "a");
    yield();
    other.run([&] {
        b = spawn([&q] { return q.get(); });
        yield();
    });
    const auto c = getting(q, "c");
    yield();
    for (int i = 1; i <= 4; ++i) q.put(i);
    EXPECT_EQ(q.size(), 1u);
    EXPECT_EQ(q.get(), 4);  // the others are spoken for
    copse::join_all(a, c);
    EXPECT_EQ(log.text(), "a1 c3");
    other.run([&] {
        EXPECT_EQ(b->get(), 2);
        b.reset();
    });
}

TEST_F(SharedQueue, RoomGoesToTheLongestWaitingPutter) {
    queue<int> q(1);
    q.put(1);
    const auto a = putting(q, 2);
    const auto b = putting(q, 3);
    yield();
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(q.get(), 1);
    EXPECT_FALSE(q.try_put(9));
    yield();
    EXPECT_EQ(log.text(), "put2");
    in_thread([&] {
        EXPECT_EQ(q.try_get(), 2);
        EXPECT_EQ(q.try_get(), 3);
    });
    b.join();
    EXPECT_EQ(log.text(), "put2 put3");
}

TEST_F(SharedQueue, ARangeEndsWhenItIsClosedAndDrained) {
    queue<std::unique_ptr<int>> q(4);
    std::thread producer([&] {
        for (int i = 1; i <= 100; ++i) q.put(std::make_unique<int>(i));
        q.close();
    });
    int sum = 0;
    for (std::unique_ptr<int>& item : q) sum += *item;
    producer.join();
    EXPECT_EQ(sum, 5050);
}

TEST_F(SharedQueue, Fault_QU01_CloseTellsGettersAndPuttersAndKeepsWhatIsInside) {
    queue<int> full(1);
    queue<int> empty(1);
    full.put(1);
    int kept = 2;
    const auto putter = spawn([&] { EXPECT_THROW(full.put(std::move(kept)), copse::queue_closed); });
    const auto getter = spawn([&] { EXPECT_THROW(empty.get(), copse::queue_closed); });
    const auto timed = spawn([&] { EXPECT_THROW(empty.get_for(1h), copse::queue_closed); });
    yield();
    in_thread([&] {
        full.close();
        empty.close();
        full.close();
    });
    copse::join_all(putter, getter, timed);
    EXPECT_TRUE(full.closed());
    EXPECT_EQ(kept, 2);
    EXPECT_THROW(full.put(3), copse::queue_closed);
    EXPECT_THROW(full.try_put(3), copse::queue_closed);
    EXPECT_THROW(full.put_for(3, 1s), copse::queue_closed);
    EXPECT_EQ(full.get(), 1);
    EXPECT_THROW(full.get(), copse::queue_closed);
    EXPECT_EQ(full.try_get(), std::nullopt);
    EXPECT_EQ(time.elapsed(), 0s);
}

// What ended at a close acquired nothing: a kill that came with it is thrown.
TEST_F(SharedQueue, AKillThatComesWithACloseIsThrown) {
    queue<int> q(1);
    const auto a = getting(q, "a");
    yield();
    in_thread([&] { q.close(); });
    a.request_kill();
    a.join();
    EXPECT_TRUE(a.killed());
}

TEST_F(SharedQueue, AKilledGetterTakesNothingAndAKilledPutterKeepsItsItem) {
    queue<std::string> q(1);
    const auto getter = spawn([&] { q.get(); });
    yield();
    getter.kill();
    q.put("first");
    std::string kept = "kept, and long enough to need memory of its own";
    const auto putter = spawn([&] { q.put(std::move(kept)); });
    const auto timed = spawn([&] {
        std::string mine = "mine";
        EXPECT_FALSE(q.put_for(std::move(mine), 1s));
        EXPECT_EQ(mine, "mine");
    });
    yield();
    putter.kill();
    timed.join();
    EXPECT_EQ(kept.substr(0, 4), "kept");
    EXPECT_EQ(q.get(), "first");
    EXPECT_TRUE(q.empty());
}

// Decision 3
TEST_F(SharedQueue, AGetterThatIsKilledWithItsItemOnTheWayGetsIt) {
    queue<int> q(1);
    const auto a = spawn([&] {
        log("got", q.get());
        sleep(1h);
        log("never");
    });
    yield();
    in_thread([&] { EXPECT_TRUE(q.try_put(7)); });
    a.request_kill();
    a.join();
    EXPECT_TRUE(a.killed());
    EXPECT_EQ(log.text(), "got7");
}

TEST_F(SharedQueue, APutterThatIsKilledWhenItsItemIsInGoesOn) {
    queue<int> q(1);
    q.put(1);
    const auto a = spawn([&] {
        q.put(2);
        log("in");
        sleep(1h);
    });
    yield();
    in_thread([&] { EXPECT_EQ(q.try_get(), 1); });
    a.request_kill();
    a.join();
    EXPECT_EQ(log.text(), "in");
    EXPECT_EQ(q.get(), 2);
}

TEST_F(SharedQueue, TimesOut) {
    queue<int> q(1);
    EXPECT_EQ(q.get_for(1s), std::nullopt);
    EXPECT_EQ(q.get_until(copse::clock::now() + 1s), std::nullopt);
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_EQ(q.get_for(0s), std::nullopt);
    EXPECT_EQ(q.get_for(-1s), std::nullopt);
    EXPECT_TRUE(q.put_for(1, 0s));
    EXPECT_FALSE(q.put_for(2, 0s));
    EXPECT_FALSE(q.put_until(2, copse::clock::now() + 1s));
    EXPECT_EQ(time.elapsed(), 3s);
    EXPECT_EQ(q.get(), 1);
    EXPECT_TRUE(q.empty());
    const auto a = spawn([&] { return q.get_for(0s); });
    spawn([&] { in_thread([&] { EXPECT_TRUE(q.try_put(3)); }); });
    EXPECT_EQ(a.get(), 3);
}

// A move that throws changes nothing, whoever makes it.
TEST_F(SharedQueue, Fault_QU02_AMoveThatThrows) {
    queue<fragile> q(1);
    fragile one(1);
    fragile::armed = 1;
    EXPECT_THROW(q.put(std::move(one)), std::runtime_error);  // into the queue
    EXPECT_EQ(one.number, 1);
    EXPECT_TRUE(q.empty());
    q.put(std::move(one));
    fragile::armed = 1;
    EXPECT_THROW(q.get(), std::runtime_error);  // out of it
    EXPECT_EQ(q.size(), 1u);

    const auto putter = spawn([&] {
        fragile two(2);
        EXPECT_THROW(q.put(std::move(two)), std::runtime_error);  // its own item cannot be moved into the room
        EXPECT_EQ(two.number, 2);
    });
    const auto next = spawn([&] { q.put(fragile(3)); });
    yield();
    fragile::armed = 2;  // the first is ours, out of the queue
    EXPECT_EQ(q.try_get()->number, 1);
    copse::join_all(putter, next);
    EXPECT_EQ(q.get().number, 3);

    const auto getter = spawn([&] { EXPECT_EQ(q.get().number, 5); });
    yield();
    fragile::armed = 1;
    EXPECT_THROW(q.put(fragile(4)), std::runtime_error);  // to the getter, which still waits
    q.put(fragile(5));
    getter.join();
    fragile::armed = 0;
}

TEST_F(SharedQueue, Fault_QU03_Capacities) {
    EXPECT_THROW(queue<int>(0), std::invalid_argument);
    queue<int> endless(queue<int>::unlimited);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(endless.try_put(i));
    EXPECT_FALSE(endless.full());
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(endless.get(), i);
    EXPECT_THROW(endless.get_for(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
}

// An item whose end comes back to the queue.
struct boomerang {
    boomerang(queue<boomerang>& q, int& ends) : home(&q), count(&ends) {}
    boomerang(boomerang&& other) noexcept : home(other.home), count(other.count) {}
    boomerang(const boomerang&) = delete;
    boomerang& operator=(const boomerang&) = delete;
    ~boomerang() {
        ++*count;  // also of those that were moved from
        if (home->closed()) home->try_get();
        EXPECT_GE(home->capacity(), home->size());
    }
    queue<boomerang>* home;
    int* count;
};

TEST_F(SharedQueue, AnItemsEndMayComeBackToTheQueue) {
    int ends = 0;
    {
        queue<boomerang> q(3);
        for (int i = 0; i < 3; ++i) q.put(boomerang(q, ends));
        EXPECT_EQ(ends, 3);
        q.get();
        EXPECT_GE(ends, 5);
        q.close_and_drop();
        EXPECT_TRUE(q.empty());
    }
    EXPECT_GE(ends, 7);
}

TEST_F(SharedQueue, DroppedItemsEndAndTheirNodesServeAgain) {
    auto counted = std::make_shared<int>(0);
    queue<std::shared_ptr<int>> q(8);
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 8; ++i) q.put(counted);
        for (int i = 0; i < 8; ++i) q.get();
        EXPECT_EQ(counted.use_count(), 1);
    }
    q.put(counted);
    EXPECT_EQ(counted.use_count(), 2);
    q.close_and_drop();
    EXPECT_EQ(counted.use_count(), 1);
    {
        queue<std::shared_ptr<int>> other(2);
        other.put(counted);
    }
    EXPECT_EQ(counted.use_count(), 1);
}

}  // namespace
