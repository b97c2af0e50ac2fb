// Select: what is chosen, who meets whom, when time is up. Decision 3; P5, QU04.

#include <copse/fibers.hpp>

#include "select_fixture.hpp"

#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using copse::channel;
using copse::joinable_queue;
using copse::lifo_queue;
using copse::on_get;
using copse::on_put;
using copse::priority_queue;
using copse::queue;
using copse::queue_closed;
using copse::select;
using copse::select_for;
using copse::select_get;
using copse::spawn;
using copse::try_select;
using copse::yield;
using namespace std::chrono_literals;

namespace {

using Select = copse_test::select_fixture;
class SelectGet : public Select {};

TEST_F(Select, TakesWhatIsReadyWithoutSwitching) {
    b.put(7);
    spawn(saying("other"));
    EXPECT_EQ(select(on_get(a, logging("a")), on_get(b, logging("b"))), 1u);
    EXPECT_EQ(select(on_put(a, 1, saying("put"))), 0u);
    EXPECT_EQ(log.take(), "b7 put");
    EXPECT_EQ(a.get(), 1);
    yield();
}

TEST_F(Select, ParksUntilTheFirstCaseHappens) {
    const auto chooser = spawn([this] { return select(on_get(a, logging("a")), on_get(b, logging("b"))); });
    yield();
    b.put(1);
    a.put(2);
    EXPECT_TRUE(b.empty());
    EXPECT_EQ(chooser.get(), 1u);
    EXPECT_EQ(log.text(), "b1");
    EXPECT_EQ(a.get(), 2);
}

TEST_F(Select, WaitsForRoomToo) {
    a.put(1);
    const auto chooser = spawn([this] { return select(on_put(a, 2, saying("put")), on_get(b, logging("b"))); });
    yield();
    EXPECT_EQ(a.get(), 1);
    EXPECT_EQ(a.size(), 1u);
    b.put(3);
    EXPECT_EQ(chooser.get(), 0u);
    EXPECT_EQ(log.text(), "put");
    EXPECT_EQ(a.get(), 2);
    EXPECT_EQ(b.get(), 3);
}

TEST_F(Select, MixesAllKinds) {
    lifo_queue<std::string> lifo(2);
    priority_queue<int> most(2);
    joinable_queue<std::unique_ptr<int>> jobs(2);
    const auto choose = [&] {
        return select(on_get(a, logging("a")), on_get(lifo, [this](const std::string& s) { log(s); }),
                      on_get(most, logging("most")), on_get(jobs, [this](std::unique_ptr<int> i) { log("job", *i); }),
                      on_get(meet, logging("met")));
    };
    const auto chooser = spawn([&] {
        for (int i = 0; i < 5; ++i) choose();
    });
    yield();
    meet.put(1);
    jobs.put(std::make_unique<int>(2));
    yield();
    most.put(3);
    yield();
    lifo.put("four");
    yield();
    a.put(5);
    chooser.join();
    EXPECT_EQ(log.text(), "met1 job2 most3 four a5");
    jobs.task_done();
    EXPECT_EQ(jobs.unfinished(), 0u);
}

// decision 3: behind those who came before
TEST_F(Select, StandsInLineWithTheOthers) {
    spawn([this] { log("first", a.get()); });
    spawn([this] { select(on_get(a, logging("select")), on_get(b, logging("b"))); });
    spawn([this] { log("last", a.get()); });
    yield();
    for (int i = 0; i < 3; ++i) a.put(i);
    yield();
    EXPECT_EQ(log.text(), "first0 select1 last2");
}

TEST_F(Select, LeavesEveryLineAtOnce) {
    const auto chooser = spawn([this] { select(on_get(a, logging("a")), on_get(b, logging("b"))); });
    yield();
    a.put(1);
    b.put(2);
    EXPECT_EQ(b.size(), 1u);  // went to nobody
    chooser.join();
    EXPECT_EQ(b.get(), 2);
    EXPECT_EQ(log.text(), "a1");
}

TEST_F(Select, TheSameQueueTwiceWorks) {
    const auto chooser = spawn([this] { return select(on_get(a, logging("x")), on_get(a, logging("y"))); });
    yield();
    a.put(1);
    EXPECT_EQ(chooser.get(), 0u);
    a.put(2);
    EXPECT_EQ(a.get(), 2);
    EXPECT_EQ(log.text(), "x1");
}

TEST_F(Select, FairlyAmongReadyCases) {
    std::array<int, 3> chosen{};
    queue<int> never(1);
    for (int i = 0; i < 3000; ++i) {
        a.try_put(1);
        b.try_put(1);
        ++chosen[select(on_get(a, [](int) {}), on_get(never, [](int) {}), on_get(b, [](int) {}))];
    }
    EXPECT_EQ(chosen[1], 0);
    EXPECT_GT(chosen[0], 1200);
    EXPECT_GT(chosen[2], 1200);
}

// QU04: two selects in turn must not fall into step with the choice
TEST_F(Select, Fault_QU04_NoReadyCaseStarves) {
    std::array<int, 4> chosen{};
    for (int i = 0; i < 400; ++i) {
        for (const std::size_t base : {0u, 2u}) {
            a.try_put(1);
            b.try_put(1);
            ++chosen[base + select(on_get(a, [](int) {}), on_get(b, [](int) {}))];
        }
    }
    for (const int count : chosen) EXPECT_GT(count, 100);
}

TEST_F(Select, TheChoiceRepeatsFromTheSeed) {
    const auto run = [](std::uint64_t seed) {
        copse::hub::current().shuffle(seed);
        queue<int> x(1);
        queue<int> y(1);
        std::string choices;
        for (int i = 0; i < 40; ++i) {
            x.try_put(1);
            y.try_put(1);
            choices += std::to_string(select(on_get(x, [](int) {}), on_get(y, [](int) {})));
        }
        copse::hub::current().shuffle(std::nullopt);
        return choices;
    };
    const std::string first = run(1);
    EXPECT_EQ(run(1), first);
    EXPECT_NE(run(2), first);
}

TEST_F(Select, TryNeverParks) {
    spawn(saying("other"));
    EXPECT_EQ(try_select(on_get(a, logging("a")), on_put(meet, 1)), std::nullopt);
    a.put(1);
    EXPECT_EQ(try_select(on_get(a, logging("a")), on_put(meet, 1)), 0u);
    EXPECT_EQ(log.text(), "a1");
    const auto getter = spawn([this] { log("got", meet.get()); });
    yield();
    EXPECT_EQ(try_select(on_get(a, logging("a")), on_put(meet, 2, saying("put"))), 1u);
    EXPECT_EQ(log.text(), "a1 other put");  // not yet in its turn
    getter.join();
}

// decision 7
TEST_F(Select, TimedFormsAnswerAndLeaveNobodyWaiting) {
    auto put = on_put(meet, 1);
    EXPECT_EQ(select_for(1s, on_get(a, logging("a")), put), std::nullopt);
    EXPECT_EQ(select_for(-1s, on_get(a, logging("a")), put), std::nullopt);
    EXPECT_EQ(copse::select_until(copse::clock::now() + 1s, put), std::nullopt);
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_EQ(meet.balance(), 0);
    EXPECT_EQ(put.item(), 1);
    spawn([this] { a.put(2); });
    EXPECT_EQ(select_for(0s, on_get(a, logging("a")), put), 0u);
    EXPECT_EQ(log.text(), "a2");
}

TEST_F(Select, Fault_TM01_NotANumberIsRefusedAndLeavesNobodyWaiting) {
    const std::chrono::duration<double> nan(std::nan(""));
    EXPECT_THROW(select_for(nan, on_get(a, logging("a")), on_put(meet, 1)), copse::invalid_duration);
    EXPECT_EQ(meet.balance(), 0);
    a.put(1);
    EXPECT_EQ(a.size(), 1u);
}

TEST_F(Select, TwoOfThemMeetOnAChannel) {
    const auto putter = spawn([this] { return select(on_get(a, logging("a")), on_put(meet, 1, saying("put"))); });
    const auto getter = spawn([this] { return select(on_get(b, logging("b")), on_get(meet, logging("got"))); });
    join_all(putter, getter);
    EXPECT_EQ(putter.get(), 1u);
    EXPECT_EQ(getter.get(), 1u);
    EXPECT_EQ(log.text(), "got1 put");  // rule 98
}

TEST_F(Select, TwoOfThemMeetOnAChannelTheOtherWayRound) {
    const auto getter = spawn([this] { select(on_get(b, logging("b")), on_get(meet, logging("got"))); });
    const auto putter = spawn([this] { select(on_get(a, logging("a")), on_put(meet, 1, saying("put"))); });
    join_all(putter, getter);
    EXPECT_EQ(log.text(), "got1 put");
}

TEST_F(Select, DoesNotMatchItself) {
    EXPECT_EQ(select_for(1s, on_put(meet, 1, saying("put")), on_get(meet, logging("got"))), std::nullopt);
    const auto both = [this](int i) {
        return spawn([this, i] { select(on_put(meet, i, saying("put")), on_get(meet, logging("got"))); });
    };
    const auto first = both(1);
    const auto second = both(2);
    join_all(first, second);
    EXPECT_TRUE(log.text() == "got2 put" || log.text() == "got1 put") << log.text();
    EXPECT_EQ(meet.balance(), 0);
}

TEST_F(Select, ALosingPutKeepsItsItem) {
    channel<std::unique_ptr<int>> pointers;
    auto put = on_put(pointers, std::make_unique<int>(1), saying("put"));
    a.put(1);
    EXPECT_EQ(select(put, on_get(a, logging("a"))), 1u);
    ASSERT_TRUE(put.item());
    const auto getter = spawn([&] { return *pointers.get(); });
    EXPECT_EQ(select(put, on_get(a, logging("a"))), 0u);
    EXPECT_FALSE(put.item());
    EXPECT_EQ(getter.get(), 1);
    EXPECT_EQ(log.text(), "a1 put");
}

TEST_F(Select, APutWithoutAnItemIsLeftOutUntilItIsGivenOne) {
    auto put = on_put(a, 1);
    select(put);
    EXPECT_EQ(a.get(), 1);
    EXPECT_EQ(select_for(1s, put, on_get(b, logging("b"))), std::nullopt);
    EXPECT_TRUE(a.empty());
    EXPECT_THROW(select(put), queue_closed);
    put.item() = 2;
    EXPECT_EQ(select(put, on_get(b, logging("b"))), 0u);
    EXPECT_EQ(a.get(), 2);
}

TEST_F(Select, SeesWhatPeekersBeforeItSaw) {
    const auto peeker = spawn([this] { return a.peek(); });
    spawn([this] { select(on_get(a, logging("a")), on_get(b, logging("b"))); });
    yield();
    a.put(1);
    EXPECT_EQ(peeker.get(), 1);
    yield();
    EXPECT_EQ(log.text(), "a1");
}

TEST_F(SelectGet, OfARangeTakesFromTheFirstThatHasSomething) {
    std::vector<std::unique_ptr<queue<std::unique_ptr<int>>>> owned;
    std::vector<queue<std::unique_ptr<int>>*> all;
    for (int i = 0; i < 5; ++i) {
        all.push_back(owned.emplace_back(std::make_unique<queue<std::unique_ptr<int>>>(1)).get());
    }
    EXPECT_EQ(copse::try_select_get(all), std::nullopt);
    EXPECT_EQ(copse::select_get_for(1s, all), std::nullopt);
    const auto getter = spawn([&] {
        auto got = select_get(all);
        log(got.index, '-', *got.item);
    });
    yield();
    all[3]->put(std::make_unique<int>(7));
    getter.join();
    EXPECT_EQ(log.text(), "3-7");
    for (auto* q : all) q->close();
    EXPECT_THROW(select_get(all), queue_closed);
    EXPECT_THROW(select_get(std::vector<queue<int>*>()), std::invalid_argument);
}

}  // namespace
