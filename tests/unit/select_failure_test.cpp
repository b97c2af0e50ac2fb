// Select: what is closed, killed, throws or is misused. Decision 3; P5, QU01, QU02, KL09, KL11.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "fragile.hpp"
#include "select_fixture.hpp"

#include <any>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

using copse::channel;
using copse::on_get;
using copse::on_put;
using copse::queue;
using copse::queue_closed;
using copse::select;
using copse::select_for;
using copse::select_get;
using copse::spawn;
using copse::try_select;
using copse::yield;
using copse_test::fragile;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

using Select = copse_test::select_fixture;
class SelectClosed : public Select {};

TEST_F(Select, AHandlerRunsAfterTheChoiceAndMayThrow) {
    a.put(1);
    EXPECT_EQ(what_is_thrown_by([this] { select(on_get(a, [](int) { throw std::runtime_error("handler"); })); }),
              "handler");
    EXPECT_TRUE(a.empty());
    // A kept case can be used again, also by its own handler.
    a.put(2);
    auto get = on_get(a, [this](int i) {
        log(i);
        if (i == 2) select_for(1s, on_get(a, logging("inner")));
    });
    select(get);
    a.put(3);
    select(get);
    EXPECT_EQ(log.text(), "2 3");
}

TEST_F(Select, ACaseNamedTwiceOrWaitedForByAnotherIsRefused) {
    auto get = on_get(a, logging("a"));
    EXPECT_THROW(select(get, get), copse::concurrent_use);
    const auto other = spawn([&] { select(get); });
    yield();
    EXPECT_THROW(select(get), copse::concurrent_use);
    EXPECT_THROW(try_select(get), copse::concurrent_use);
    a.put(1);
    other.get();
    EXPECT_EQ(log.text(), "a1");
}

TEST_F(Select, InTheHubIsRefused) {
    copse_test::error_recorder errors;
    copse::hub::current().post([this] { select(on_get(a, logging("a"))); });
    copse::hub::current().run_until_idle();
    EXPECT_EQ(errors.count(), 1u);
    a.put(1);
    EXPECT_EQ(a.size(), 1u);
}

// decision 3, KL09
TEST_F(Select, Fault_KL09_AKillInTheTurnOfTheChoiceIsThrownAtTheNextWait) {
    for (const bool kill_first : {false, true}) {
        auto put = on_put(meet, 9);
        const auto chooser = spawn([&] {
            select(on_get(a, logging("a")), put);
            yield();
            log("never");
        });
        yield();
        if (kill_first) chooser.request_kill();
        a.put(1);
        chooser.request_kill();
        chooser.join();
        EXPECT_EQ(log.take(), kill_first ? "" : "a1");
        EXPECT_EQ(a.size(), kill_first ? 1u : 0u);
        EXPECT_EQ(put.item(), 9);
        EXPECT_EQ(meet.balance(), 0);
    }
}

TEST_F(Select, AKillWhileItLetsAPartnerContinueIsThrownAtTheNextWait) {
    const auto getter = spawn([this] { log("got", meet.get()); });
    const auto chooser = spawn([this] {
        select(on_get(a, logging("a")), on_put(meet, 1, saying("put")));
        yield();
        log("never");
    });
    spawn([&] { chooser.request_kill(); });
    join_all(getter, chooser);
    EXPECT_EQ(log.text(), "got1 put");
}

TEST_F(Select, Fault_KL11_ATimeoutScopeTakesNothingWithIt) {
    auto put = on_put(meet, 1);
    EXPECT_FALSE(copse::with_timeout(
        1s,
        [&] {
            select(on_get(a, logging("a")), put);
            return true;
        },
        false));
    EXPECT_EQ(put.item(), 1);
    EXPECT_EQ(meet.balance(), 0);
    a.put(1);
    EXPECT_EQ(a.get(), 1);
}

// QU01: what takes a T has nothing to do with the end
TEST_F(SelectClosed, Fault_QU01_AGetOfItemsIsLeftOut) {
    a.close();
    EXPECT_EQ(select_for(1s, on_get(a, logging("a")), on_get(b, logging("b"))), std::nullopt);
    const auto chooser = spawn([this] { return select(on_get(a, logging("a")), on_get(b, logging("b"))); });
    yield();
    b.put(1);
    EXPECT_EQ(chooser.get(), 1u);
    b.put(2);
    b.close();
    EXPECT_EQ(select(on_get(a, logging("a")), on_get(b, logging("b"))), 1u);  // drained first
    EXPECT_THROW(select(on_get(a, logging("a")), on_get(b, logging("b"))), queue_closed);
    EXPECT_THROW(try_select(on_get(a, logging("a"))), queue_closed);
    EXPECT_EQ(log.text(), "b1 b2");
}

TEST_F(SelectClosed, Fault_QU01_WhileItWaitsTheLastOneEndsIt) {
    const auto chooser = spawn([this] {
        return what_is_thrown_by(
            [this] { select(on_get(a, logging("a")), on_get(a, logging("a")), on_get(meet, logging("met"))); });
    });
    yield();
    a.close();
    yield();
    EXPECT_FALSE(chooser.ready());
    EXPECT_EQ(meet.balance(), -1);
    meet.close();
    EXPECT_EQ(chooser.get(),
              "select: no case can happen any more: what they get from is closed and drained, what they put is gone");
}

TEST_F(SelectClosed, Fault_QU01_AGetOfOptionalsHearsOfTheEnd) {
    const auto hearing = [this](std::optional<int> i) { log(i ? std::to_string(*i) : "end"); };
    a.put(1);
    a.close();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(select(on_get(a, hearing), on_get(b, logging("b"))), 0u);
    const auto chooser = spawn([&] { return select(on_get(b, logging("b")), on_get(meet, hearing)); });
    yield();
    meet.close();
    b.put(1);
    EXPECT_EQ(chooser.get(), 1u);
    EXPECT_EQ(log.text(), "1 end end end");
    EXPECT_EQ(b.size(), 1u);
}

TEST_F(SelectClosed, AHandlerOfAnythingHearsOfTheEndUnlessItCannotBeTold) {
    a.close();
    select(on_get(a, [this](auto i) { log(i.has_value()); }));
    EXPECT_EQ(log.text(), "0");
    queue<std::any> anything(1);
    anything.put(std::any(1));
    select(on_get(anything, [this](std::any i) { log(std::any_cast<int>(i)); }));
    anything.put(std::any(2));
    queue<std::any>* all[] = {&anything};
    EXPECT_EQ(std::any_cast<int>(select_get(all).item), 2);
    anything.close();
    EXPECT_THROW(select_get(all), queue_closed);
}

// QU01: a put into what is closed is refused before anything happens, ready or not
TEST_F(SelectClosed, Fault_QU01_APutIsRefusedAndKeepsItsItem) {
    auto put = on_put(b, 9);
    a.put(1);
    b.close();
    EXPECT_EQ(what_is_thrown_by([&] { select(on_get(a, logging("a")), put); }), "put: the queue is closed");
    EXPECT_THROW(try_select(on_get(a, logging("a")), put), queue_closed);
    EXPECT_EQ(put.item(), 9);
    EXPECT_EQ(a.size(), 1u);
    EXPECT_EQ(log.text(), "");
}

TEST_F(SelectClosed, Fault_QU01_APutThatWaitsIsTold) {
    auto put = on_put(meet, 9);
    const auto chooser = spawn([&] { return what_is_thrown_by([&] { select(on_get(a, logging("a")), put); }); });
    yield();
    meet.close();
    EXPECT_EQ(chooser.get(), "put: the channel is closed");
    EXPECT_EQ(put.item(), 9);
    a.put(1);
    EXPECT_EQ(a.size(), 1u);
}

// QU02
TEST_F(Select, Fault_QU02_AMoveThatThrowsLeavesEverythingAsItWas) {
    channel<fragile> items;
    auto put = on_put(items, fragile(1));
    const auto chooser = spawn([&] { return select(put, on_get(a, logging("a"))); });
    yield();
    fragile::armed = 1;
    EXPECT_EQ(what_is_thrown_by([&] { items.get(); }), "move");  // the getter moves: its failure
    EXPECT_EQ(items.get().number, 1);
    EXPECT_EQ(chooser.get(), 0u);

    queue<fragile> full(1);
    full.put(fragile(2));
    auto late = on_put(full, fragile(3));
    const auto waiting = spawn([&] { return what_is_thrown_by([&] { select(late, on_get(a, logging("a"))); }); });
    yield();
    fragile::armed = 2;  // out of the queue; in from the case: that is the select's failure
    EXPECT_EQ(full.get().number, 2);
    EXPECT_EQ(fragile::armed, 0);
    EXPECT_EQ(waiting.get(), "move");
    ASSERT_TRUE(late.item());
    EXPECT_EQ(late.item()->number, 3);
    a.put(1);
    EXPECT_EQ(a.size(), 1u);
}

}  // namespace
