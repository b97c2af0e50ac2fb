// Events between threads, and by their example what holds for everything in copse::shared. Decisions 3, 4, 6; gevent rules
// 71, 114; TP08.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "hub_test.hpp"
#include "worker.hpp"

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <thread>
#include <utility>

using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse::detail::this_thread;
using copse::shared::event;
using copse::shared::semaphore;
using copse_test::in_thread;
using namespace std::chrono_literals;

namespace {

class SharedEvent : public copse_test::hub_test {
protected:
    copse::fiber<void> waiting(event& e, const char* name) {
        return spawn([this, &e, name] {
            e.wait();
            log(name);
        });
    }
};

TEST_F(SharedEvent, SetOnAnotherThreadMakesReadyAllInTheirOrder) {
    event e;
    const auto a = waiting(e, "a");
    const auto b = waiting(e, "b");
    const auto c = waiting(e, "c");
    yield();
    in_thread([&] { e.set(); });
    EXPECT_FALSE(a.ready());
    copse::join_all(a, b, c);
    EXPECT_EQ(log.text(), "a b c");
    EXPECT_TRUE(e.is_set());
    e.wait();
    e.clear();
    EXPECT_FALSE(e.is_set());
}

TEST_F(SharedEvent, SetOnTheSameThreadDoesNotSwitch) {
    event e;
    const auto a = waiting(e, "a");
    yield();
    e.set();
    log("set");
    a.join();
    EXPECT_EQ(log.text(), "set a");
}

// rule 71
TEST_F(SharedEvent, SetAndClearedStillEndsTheWaitsThatStood) {
    event e;
    const auto a = waiting(e, "a");
    yield();
    in_thread([&] { e.set(), e.clear(); });
    a.join();
    EXPECT_FALSE(e.wait_for(0s));
}

TEST_F(SharedEvent, CallsThatDoNotParkMakeNothingOfTheirThread) {
    event e;
    semaphore permits(1);
    copse::shared::mutex m;
    copse::shared::queue<int> numbers(1);
    copse::shared::channel<int> meeting;
    copse::shared::async_result<int> result;
    const auto a = waiting(e, "a");
    yield();
    in_thread([&] {
        e.set();
        e.clear();
        EXPECT_TRUE(permits.try_acquire());
        permits.release();
        EXPECT_TRUE(m.try_lock());
        EXPECT_TRUE(m.owned());
        m.unlock();
        EXPECT_TRUE(numbers.try_put(1));
        EXPECT_EQ(numbers.try_get(), 1);
        EXPECT_FALSE(meeting.try_put(1));
        EXPECT_EQ(meeting.try_get(), std::nullopt);
        EXPECT_EQ(result.try_get(), std::nullopt);
        result.set(1);
        EXPECT_EQ(result.try_get(), 1);
        numbers.close();
        meeting.close();
        EXPECT_EQ(this_thread.state, nullptr);
        EXPECT_EQ(this_thread.hub, nullptr);
    });
    a.join();
}

TEST_F(SharedEvent, Fault_TP08_AThreadThatKnowsNothingOfFibersMayWait) {
    event asked;
    event answered;
    std::thread other([&] {
        asked.wait();  // as the main greenlet of a hub that this makes
        EXPECT_NE(this_thread.hub, nullptr);
        answered.set();
    });
    asked.set();
    answered.wait();
    other.join();
}

TEST_F(SharedEvent, PostedFunctionsMaySetAndMustNotWait) {
    event e;
    event never_set;
    const auto a = waiting(e, "a");
    yield();
    hub::current().post([&] {
        EXPECT_THROW(never_set.wait(), copse::blocking_in_hub);
        e.set();
        e.wait_for(1s);  // this is an error, too, but told apart: it is thrown before anything is looked at
    });
    int errors = 0;
    auto before = copse::set_error_handler([&](const std::exception_ptr&, const copse::greenlet&) { ++errors; });
    a.join();
    copse::set_error_handler(std::move(before));
    EXPECT_EQ(errors, 1);
}

// rule 114
TEST_F(SharedEvent, AWaiterKeepsItsHubFromCallingItADeadlock) {
    event e;
    const auto a = waiting(e, "a");
    EXPECT_FALSE(hub::current().run_until_idle_for(1s));  // it would be idle at once
    std::thread other([&, post = hub::current().handle()]() mutable {
        event parked;
        post.post([&parked] { parked.set(); });  // main waits by then, and this is the last that its hub has to do
        parked.wait();
        post = {};
        e.set();
    });
    e.wait();
    other.join();
    a.join();
}

TEST_F(SharedEvent, IsShownInADump) {
    event e;
    const auto a = waiting(e, "a");
    yield();
    const auto fibers = hub::current().fibers();
    ASSERT_EQ(fibers.size(), 1u);
    EXPECT_EQ(fibers[0].waits_for.find("shared event"), 0u);
    e.set();
    a.join();
}

TEST_F(SharedEvent, TimesOut) {
    event e;
    EXPECT_FALSE(e.wait_for(5s));
    EXPECT_EQ(time.elapsed(), 5s);
    EXPECT_FALSE(e.wait_until(copse::clock::now() + 5s));
    EXPECT_EQ(time.elapsed(), 10s);
    EXPECT_THROW(copse::with_timeout(1s, [&] { e.wait(); }), copse::timeout_expired);
    in_thread([&] { e.set(); });  // nobody is left in the line
    EXPECT_TRUE(e.wait_for(5s));
    EXPECT_EQ(time.elapsed(), 11s);
}

TEST_F(SharedEvent, ALengthOfNothingOrLessGivesTheOthersOneTurn) {
    event e;
    spawn([this] { log("other"); });
    EXPECT_FALSE(e.wait_for(0s));
    log("main");
    spawn([this] { log("other"); });
    EXPECT_FALSE(e.wait_for(-1s));
    EXPECT_EQ(log.text(), "other main other");
    spawn([&e] { e.set(); });
    EXPECT_TRUE(e.wait_for(0s));
    EXPECT_EQ(time.elapsed(), 0s);
}

TEST_F(SharedEvent, BadDurations) {
    event e;
    EXPECT_THROW(e.wait_for(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    e.set();
    EXPECT_TRUE(e.wait_for(std::chrono::hours::max()));
}

// Decision 3: waiting acquires nothing.
TEST_F(SharedEvent, AKillEndsTheWaitAndOneThatCameWithTheSetIsThrown) {
    event e;
    const auto a = waiting(e, "a");
    const auto b = waiting(e, "b");
    yield();
    a.kill();
    EXPECT_TRUE(a.killed());
    in_thread([&] { e.set(); });  // word is on its way
    b.request_kill();
    b.join();
    EXPECT_TRUE(b.killed());
    EXPECT_EQ(log.text(), "");
}

// The deadline finds the wait claimed: it was set in time, and stays so until the word comes.
TEST_F(SharedEvent, SetBeforeItsDeadlineIsLookedAtIsInTime) {
    event e;
    const auto a = spawn([&] { log(e.wait_for(0s) ? "set" : "late"); });
    spawn([&] {
        in_thread([&] { e.set(); });
        log("there");
    });
    a.join();
    EXPECT_EQ(log.text(), "there set");
}

TEST_F(SharedEvent, MayEndWhenAWaitHasReturned) {
    for (int i = 0; i < 200; ++i) {
        auto e = std::make_unique<event>();
        std::thread setter([it = e.get()] { it->set(); });
        e->wait();
        e.reset();
        setter.join();
    }
}

// What the same thread does in one order comes in that order.
TEST_F(SharedEvent, WordAndPostsOfAThreadKeepTheirOrder) {
    event e;
    const auto a = waiting(e, "woken");
    yield();
    in_thread([&, post = hub::current().handle()] {
        post.post([this] { log("before"); });
        e.set();
        post.post([this] { log("after"); });
    });
    a.join();
    hub::current().run_until_idle();
    EXPECT_EQ(log.text(), "before woken after");
}

// A greenlet that loses its last handle while it is parked.
TEST_F(SharedEvent, ADroppedGreenletLeavesTheLine) {
    event e;
    copse::greenlet g([&] {
        const copse_test::at_end gone([this] { log("gone"); });
        e.wait();
    });
    const auto entering = spawn([&] { g.switch_to(); });
    yield();
    g = copse::greenlet();
    EXPECT_EQ(log.text(), "gone");
    entering.kill();
    e.set();
}

}  // namespace
