// Pools: apply, map, imap. QU06, KL08; decisions 3, 4, 5. The gevent rules are in conformance/gevent_pool_test.cpp.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "counting.hpp"
#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <list>
#include <memory>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using copse::pool;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::counting;
using copse_test::error_recorder;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class PoolMap : public copse_test::hub_test {};

TEST_F(PoolMap, ApplyGivesResultsAndFailures) {
    pool p(1);
    EXPECT_EQ(p.apply([](int a, int b) { return a + b; }, 1, 2), 3);
    EXPECT_EQ(*p.apply([] { return std::make_unique<int>(5); }), 5);
    EXPECT_EQ(what_is_thrown_by([&] { p.apply([] { throw std::runtime_error("f"); }); }), "f");
    int n = 0;
    int& r = p.apply([&]() -> int& { return n; });
    EXPECT_EQ(&r, &n);
    EXPECT_EQ(p.free_count(), 1u);
}

TEST_F(PoolMap, KillingWhoAppliesKillsTheMemberAndWaits) {
    pool p(1);
    const auto caller = spawn([&] {
        std::string mine = "alive";
        const at_end end([&] { log("unwound"); });
        p.apply([&] {
            try {
                sleep(1h);
            } catch (const copse::greenlet_exit&) {
                sleep(1s);
                log(mine);
                throw;
            }
        });
    });
    yield();
    yield();
    caller.kill();
    EXPECT_EQ(log.text(), "alive unwound");
}

// rule 102: also through a greenlet of the member's
TEST_F(PoolMap, Fault_KL08_AMemberAndItsGreenletsApplyDirectly) {
    pool p(1);
    const int n = p.apply([&] {
        int inner = 0;
        copse::greenlet([&] { inner = p.apply([] { return 20; }); }).switch_to();
        return inner + p.apply([&] { return p.apply([] { return 2; }); });
    });
    EXPECT_EQ(n, 22);
    const auto squares = p.apply([&] { return p.map(counting(1, 4), [](int x) { return x * x; }); });
    EXPECT_EQ(squares, (std::vector{1, 4, 9}));
}

TEST_F(PoolMap, MapKeepsTheOrder) {
    pool p(3);
    const std::vector<int> delays{3, 1, 2};
    const auto results = p.map(delays, [this](const int& d) {
        sleep(std::chrono::seconds(d));
        log(d);
        return std::to_string(d);
    });
    EXPECT_EQ(log.text(), "1 2 3");
    EXPECT_EQ(results, (std::vector<std::string>{"3", "1", "2"}));
    EXPECT_EQ(time.elapsed(), 3s);
}

TEST_F(PoolMap, MapPassesTheElementsThemselves) {
    pool p(2);
    std::list<std::unique_ptr<int>> numbers;
    for (int i = 0; i < 3; ++i) numbers.push_back(std::make_unique<int>(i));
    p.map(numbers, [](std::unique_ptr<int>& n) { *n += 10; });
    EXPECT_EQ(*numbers.back(), 12);
}

TEST_F(PoolMap, MapTakesInputRangesAndGenerators) {
    pool p(2);
    std::istringstream words("a bb ccc");
    copse::generator<std::string> read([&](auto yield) {
        for (std::string w; words >> w;) yield(w);
    });
    EXPECT_EQ(p.map(read, [](const std::string& w) { return w.size(); }), (std::vector<std::size_t>{1, 2, 3}));
    copse::generator<std::unique_ptr<int>> made([](auto yield) {
        for (int i = 0; i < 3; ++i) yield(std::make_unique<int>(i));
    });
    EXPECT_EQ(p.map(made, [](std::unique_ptr<int> n) { return *n; }), (std::vector{0, 1, 2}));
    EXPECT_TRUE(p.map(std::vector<int>(), [](int n) { return n; }).empty());
}

TEST_F(PoolMap, MapInAPoolWithoutSlotsIsADeadlock) {
    pool p(0);
    EXPECT_THROW(p.map(std::vector{1}, [](int) {}), copse::would_block_forever);
    EXPECT_TRUE(p.empty());
}

TEST_F(PoolMap, Fault_QU06_MapWhoseRangeThrowsEndsWhatItStarted) {
    pool p(2);
    copse::generator<int> fails([](auto yield) {
        yield(1);
        throw std::runtime_error("range");
    });
    EXPECT_EQ(what_is_thrown_by([&] {
                  p.map(fails, [this](int) {
                      log("started");
                      sleep(1h);
                  });
              }),
              "range");
    EXPECT_TRUE(p.empty());
    EXPECT_EQ(time.elapsed(), 0s);
}

// QU06: first failure rethrown, others told
TEST_F(PoolMap, Fault_QU06_MapTellsTheOtherFailures) {
    const error_recorder errors;
    pool p(2);
    const auto fail = [&](int i) {
        sleep(std::chrono::seconds(4 - i));
        log(i);
        if (i != 2) throw std::runtime_error(std::to_string(i));
    };
    EXPECT_EQ(what_is_thrown_by([&] { p.map(std::vector{1, 2, 3}, fail); }), "1");
    EXPECT_EQ(log.text(), "2 1 3");
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].what, "3");
    EXPECT_EQ(what_is_thrown_by([&] { p.apply([&] { p.map(std::vector{3, 2, 1}, fail); }); }), "3");
}

TEST_F(PoolMap, KillingWhoMapsKillsItsTasks) {
    pool p(2);
    p.spawn([] { sleep(1s); });
    const auto caller = spawn([&] {
        p.map(counting(0, 5), [&](int i) {
            const at_end end([&, i] { log(i); });
            sleep(1h);
        });
    });
    sleep(1ms);
    caller.kill();
    EXPECT_EQ(log.text(), "0");
    EXPECT_EQ(p.size(), 1u);
    p.join();
    EXPECT_EQ(time.elapsed(), 1s);
}

// ---- imap

TEST_F(PoolMap, ImapIsAnInputRange) {
    pool p(2);
    auto squares = p.imap(std::vector{1, 2, 3}, [](int x) { return x * x; });
    static_assert(std::ranges::input_range<decltype(squares)>);
    static_assert(std::is_same_v<std::ranges::range_value_t<decltype(squares)>, int>);
    int sum = 0;
    for (const int s : squares) sum += s;
    EXPECT_EQ(sum, 14);
    EXPECT_FALSE(squares.next());
    EXPECT_FALSE(squares.next());
}

TEST_F(PoolMap, NothingIsReadBeforeItIsUsed) {
    pool p(2);
    copse::generator<int> input([this](auto yield) {
        log("read");
        yield(1);
    });
    auto results = p.imap(input, [](int x) { return x; });
    yield();
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(results.next(), 1);
    EXPECT_EQ(log.text(), "read");
    {
        const auto unused = p.imap(counting(0), [](int x) { return x; });
    }
}

TEST_F(PoolMap, ImapOfAnEndlessRange) {
    pool p(3);
    std::string seen;
    for (const int x : p.imap(counting(0), [](int x) {
             yield();
             return x;
         })) {
        seen += std::to_string(x);
        if (x == 9) break;
    }
    EXPECT_EQ(seen, "0123456789");
    EXPECT_TRUE(p.empty()) << "what was abandoned has ended";
}

TEST_F(PoolMap, ImapGivesVoidAndMoveOnlyResults) {
    pool p(2);
    int count = 0;
    auto nothing = p.imap_unordered(std::vector{1, 2, 3}, [](int) {});
    while (nothing.next()) ++count;
    EXPECT_EQ(count, 3);
    auto owned = p.imap(std::vector{1, 2}, [](int x) { return std::make_unique<int>(x); });
    auto moved = std::move(owned);
    auto at = moved.begin();
    EXPECT_EQ(**at, 1);
    EXPECT_EQ(**at, 1) << "looking twice takes nothing";
    const std::unique_ptr<int> first = std::move(*at);
    ++at;
    EXPECT_EQ(*at->get(), 2);
    EXPECT_EQ(*first, 1);
    EXPECT_TRUE(++at == moved.end());
}

TEST_F(PoolMap, ImapReadsARangeThatParks) {
    pool p(2);
    copse::queue<int> jobs(4);
    const auto feeder = spawn([&] {
        for (int i = 0; i < 3; ++i) {
            sleep(1s);
            jobs.put(i);
        }
        jobs.close();
    });
    copse::generator<int> input([&](auto yield) {
        for (int job : jobs) yield(job);
    });
    for (const int x : p.imap({.bound = 10}, input, [](int x) { return x; })) log(x, '@', time.elapsed() / 1s);
    EXPECT_EQ(log.text(), "0@1 1@2 2@3") << "each as soon as it is there";
    feeder.join();
}

TEST_F(PoolMap, ABoundOfZeroIsRefused) {
    pool p(1);
    EXPECT_THROW(p.imap({.bound = 0}, std::vector{1}, [](int) {}), std::invalid_argument);
    EXPECT_THROW(p.imap_unordered({.bound = 0}, std::vector{1}, [](int) {}), std::invalid_argument);
}

TEST_F(PoolMap, ImapUnorderedHoldsItsBoundToo) {
    pool p(10);
    int started = 0;
    auto results = p.imap_unordered({.bound = 3}, counting(0), [&](int x) {
        ++started;
        return x;
    });
    for (int taken = 0; taken < 5; ++taken) {
        EXPECT_TRUE(results.next());
        sleep(1ns);
        EXPECT_EQ(started, taken + 4);
    }
}

TEST_F(PoolMap, AnAbandonedImapEndsItsTasksAndItsReader) {
    pool p(3);
    {
        copse::generator<int> input([this](auto yield) {
            const at_end end([this] { log("input"); });
            for (int i = 0;; ++i) yield(i);
        });
        auto results = p.imap_unordered({.bound = 5}, input, [this](int i) {
            const at_end end([this, i] { log(i); });
            if (i != 1) sleep(1h);
            return i;
        });
        EXPECT_EQ(results.next(), 1);
        sleep(1s);
    }
    EXPECT_EQ(log.text(), "1 0 2 3 input");
    EXPECT_TRUE(p.empty());
    EXPECT_EQ(p.free_count(), 3u);
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(PoolMap, KilledWhileItWaitsForAResultTheConsumerAbandonsItAll) {
    pool p(2);
    const auto consumer = spawn([&] {
        for (auto&& x : p.imap(counting(0), [](int x) {
                 sleep(1h);
                 return x;
             }))
            static_cast<void>(x);
    });
    sleep(1s);
    EXPECT_EQ(p.size(), 2u);
    consumer.kill();
    EXPECT_TRUE(consumer.killed());
    EXPECT_TRUE(p.empty());
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(PoolMap, ATimeoutWhileWaitingForAResultTakesNothing) {
    pool p(1);
    auto results = p.imap(std::vector{1, 2}, [](int x) {
        sleep(2s);
        return x;
    });
    EXPECT_THROW(copse::with_timeout(1s, [&] { results.next(); }), copse::timeout_expired);
    EXPECT_EQ(results.next(), 1);
    EXPECT_EQ(results.next(), 2);
    EXPECT_EQ(time.elapsed(), 4s);
}

TEST_F(PoolMap, KilledTasksOfAnImapStandAtTheirPlace) {
    pool p(1);
    auto results = p.imap({.bound = 2}, counting(0, 2), [](int x) {
        sleep(1h);
        return x;
    });
    spawn([&] {
        yield();
        p.request_kill();
    });
    EXPECT_THROW(results.next(), copse::fiber_killed);
    p.request_kill();
    EXPECT_THROW(results.next(), copse::fiber_killed);
    EXPECT_FALSE(results.next());
}

TEST_F(PoolMap, ASecondLoopGoesOnWhereTheFirstOneLeft) {
    pool p(2);
    auto results = p.imap(counting(0, 6), [](int x) { return x; });
    for (const int x : results) {
        log(x);
        if (x == 2) break;
    }
    for (const int x : results) log(x);
    EXPECT_EQ(log.text(), "0 1 2 3 4 5");
}

TEST_F(PoolMap, UnobservedFailuresOfAnAbandonedImapAreTold) {
    const error_recorder errors;
    pool p(2);
    {
        auto results = p.imap(counting(0, 2), [](int x) {
            if (x == 1) throw std::runtime_error("second");
            return x;
        });
        EXPECT_EQ(results.next(), 0);
        sleep(1s);
    }
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].what, "second");
}

}  // namespace
