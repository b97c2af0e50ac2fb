// The queue that gives the greatest first. Decision 3; QU01 to QU03.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "fragile.hpp"
#include "hub_test.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

using copse::priority_queue;
using copse::spawn;
using copse::yield;
using copse_test::fragile;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class PriorityQueue : public copse_test::hub_test {};

struct job {
    int urgency;
    int serial;
};
struct less_urgent {
    bool operator()(const job& a, const job& b) const { return a.urgency < b.urgency; }
};

TEST_F(PriorityQueue, GivesTheGreatestFirst) {
    priority_queue<int> q(5);
    for (const int i : {3, 1, 5, 2, 4}) q.put(i);
    EXPECT_TRUE(q.full());
    EXPECT_EQ(q.peek(), 5);
    EXPECT_EQ(q.try_peek(), 5);
    for (int i = 5; i > 2; --i) EXPECT_EQ(q.get(), i);
    q.put(6);
    EXPECT_EQ(q.try_get(), 6);
    EXPECT_EQ(q.get_for(1s), 2);
    EXPECT_EQ(q.get(), 1);
    EXPECT_EQ(q.try_get(), std::nullopt);
}

TEST_F(PriorityQueue, GivesTheSmallestFirstIfToldSo) {
    priority_queue<int, std::greater<int>> q(5);
    for (const int i : {3, 1, 2}) q.put(i);
    for (int i = 1; i < 4; ++i) EXPECT_EQ(q.get(), i);
}

TEST_F(PriorityQueue, TakesAComparisonWithState) {
    const std::vector<int> rank{10, 30, 20};
    const auto less = [&rank](std::size_t a, std::size_t b) { return rank[a] < rank[b]; };
    priority_queue<std::size_t, decltype(less)> q(3, less);
    for (std::size_t i = 0; i < 3; ++i) q.put(i);
    for (int i = 0; i < 3; ++i) log(q.get());
    EXPECT_EQ(log.text(), "1 2 0");
}

TEST_F(PriorityQueue, GivesEqualOnesInTheOrderInWhichTheyWerePut) {
    priority_queue<job, less_urgent> q(q.unlimited);
    for (int i = 0; i < 100; ++i) q.put({i % 3, i});
    std::vector<job> got;
    while (auto j = q.try_get()) got.push_back(*j);
    ASSERT_EQ(got.size(), 100u);
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end(), [](const job& a, const job& b) {
        return a.urgency != b.urgency ? a.urgency > b.urgency : a.serial < b.serial;
    }));
}

// Against the plainest model: the first of the greatest in the order of arrival.
TEST_F(PriorityQueue, IsAStableHeapWhateverComesAndGoes) {
    std::minstd_rand dice(1);
    priority_queue<job, less_urgent> q(q.unlimited);
    std::vector<job> model;
    for (int serial = 0; serial < 20'000; ++serial) {
        const bool fills = serial / 2'000 % 2 == 0;
        if (dice() % 3 < (fills ? 2 : 1)) {
            const job made{static_cast<int>(dice() % 16), serial};
            q.put(made);
            model.push_back(made);
            continue;
        }
        const auto got = q.try_get();
        ASSERT_EQ(got.has_value(), !model.empty());
        if (!got) continue;
        const auto first = std::max_element(model.begin(), model.end(), less_urgent());
        ASSERT_EQ(got->serial, first->serial);
        model.erase(first);
    }
    EXPECT_EQ(q.size(), model.size());
}

// It is empty then, so that the item is the greatest.
TEST_F(PriorityQueue, GettersAreServedInTheOrderInWhichTheyBlocked) {
    priority_queue<int> q(5);
    for (const char name : {'a', 'b', 'c'}) {
        spawn([&, name] { log(name, q.get()); });
    }
    yield();
    for (const int i : {1, 3, 2, 0}) q.put(i);
    EXPECT_EQ(q.size(), 1u);
    yield();
    EXPECT_EQ(log.text(), "a1 b3 c2");
}

TEST_F(PriorityQueue, PuttersComeInInTheOrderInWhichTheyBlocked) {
    priority_queue<int> q(2);
    q.put(5);
    q.put(1);
    for (const int i : {2, 9}) {
        spawn([&q, i] { q.put(i); });
    }
    yield();
    for (int i = 0; i < 4; ++i) log(q.get());
    EXPECT_EQ(log.text(), "5 2 9 1");
    yield();
}

TEST_F(PriorityQueue, CarriesWhatCanOnlyBeMoved) {
    const auto less = [](const std::unique_ptr<int>& a, const std::unique_ptr<int>& b) { return *a < *b; };
    priority_queue<std::unique_ptr<int>, decltype(less)> q(2, less);
    q.put(std::make_unique<int>(1));
    q.put(std::make_unique<int>(2));
    auto item = std::make_unique<int>(3);
    EXPECT_FALSE(q.put_for(std::move(item), 0s));
    EXPECT_EQ(*item, 3);
    EXPECT_EQ(*q.get(), 2);
    EXPECT_EQ(*q.get(), 1);
}

TEST_F(PriorityQueue, Fault_QU01_DrainsGreatestFirstAndEnds) {
    priority_queue<int> q(3);
    for (const int i : {1, 3, 2}) q.put(i);
    q.close();
    EXPECT_THROW(q.put(4), copse::queue_closed);
    for (const int i : q) log(i);
    EXPECT_EQ(log.text(), "3 2 1");
}

TEST_F(PriorityQueue, CloseAndDropEndsTheItems) {
    const auto item = std::make_shared<int>(1);
    priority_queue<std::shared_ptr<int>> q(3);
    q.put(item);
    q.put(item);
    EXPECT_EQ(q.get(), item);
    q.close_and_drop();
    EXPECT_EQ(item.use_count(), 1);
    EXPECT_THROW(q.get(), copse::queue_closed);
}

// QU02: whichever move or comparison throws, in a put or in a get, nothing is lost and the order stays.
TEST_F(PriorityQueue, Fault_QU02_AMoveOrComparisonThatThrowsLosesNothing) {
    for (int at = 1; at < 40; ++at) {
        priority_queue<fragile> q(16);
        fragile::armed = at;
        for (const int number : {4, 8, 2, 6, 1, 7, 3, 5}) {
            fragile item(number);
            try {
                q.put(std::move(item));
            } catch (const std::runtime_error&) {
                ASSERT_EQ(item.number, number);
                q.put(std::move(item));
            }
        }
        ASSERT_EQ(q.size(), 8u);
        for (int expected = 8; expected > 0; --expected) {
            try {
                ASSERT_EQ(q.get().number, expected) << "at " << at;
            } catch (const std::runtime_error&) {
                ASSERT_EQ(q.get().number, expected) << "at " << at;
            }
        }
    }
    fragile::armed = 0;
}

TEST_F(PriorityQueue, Fault_QU02_AWaitingPuttersFailureIsItsOwn) {
    priority_queue<fragile> q(2);
    q.put(fragile(3));
    q.put(fragile(1));
    const auto putter = spawn([&] { log(what_is_thrown_by([&] { q.put(fragile(2)); })); });
    yield();
    fragile::armed = 2;  // the move out; the comparison that brings the putter's in
    EXPECT_EQ(q.get().number, 3);
    EXPECT_EQ(fragile::armed, 0);
    putter.join();
    EXPECT_EQ(log.text(), "comparison");
    EXPECT_EQ(q.get().number, 1);
    EXPECT_TRUE(q.empty());
}

TEST_F(PriorityQueue, Fault_QU03_CapacityOfNothingIsRefused) {
    EXPECT_EQ(what_is_thrown_by([] { priority_queue<int> q(0); }),
              "priority_queue: a capacity of 0 holds nothing; use a channel");
}

}  // namespace
