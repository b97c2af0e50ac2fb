// Links: what is called when a fiber has finished. gevent rules 33 to 39.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"
#include "worker.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

using copse::fiber;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::error_recorder;
using namespace std::chrono_literals;

namespace {

class Link : public copse_test::hub_test {};

// rules 33, 35
TEST_F(Link, LinksAndJoinersAreServedInTheOrderInWhichTheyCame) {
    const auto f = spawn([] { sleep(1s); });
    f.link([this] { log("one"); });
    const auto joiner = spawn([&] {
        f.join();
        log("joiner");
    });
    yield();
    f.link([this] { log("two"); });
    f.link_raw([this] { log("raw"); });
    f.link([this] { log("three"); });
    joiner.join();
    yield();
    EXPECT_EQ(log.text(), "one joiner two raw three");
}

// rule 33
TEST_F(Link, AThousandKeepTheirOrder) {
    const auto f = spawn([] {});
    std::vector<int> order;
    for (int i = 0; i < 1000; ++i) f.link([&order, i] { order.push_back(i); });
    f.join();
    yield();
    ASSERT_EQ(order.size(), 1000u);
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

// rule 34
TEST_F(Link, EachHasAFiberOfItsOwnAndMayPark) {
    const auto f = spawn([] {});
    f.link([this] {
        log("b1");
        yield();
        log("b1-end");
    });
    f.link([this] { log("b2"); });
    f.join();
    log("joined");
    yield();
    yield();
    EXPECT_EQ(log.text(), "b1 b2 joined b1-end");
}

// rule 34
TEST_F(Link, ARawOneMustNotParkAndTheOthersStillRun) {
    error_recorder errors;
    const auto f = spawn([] {});
    f.link_raw([] { sleep(1s); });
    f.link_raw([this] { log("second"); });
    f.link([this] { log("third"); });
    f.join();
    yield();
    EXPECT_EQ(log.text(), "second third");
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_NE(errors[0].what.find("in the hub"), std::string::npos) << errors[0].what;
}

TEST_F(Link, GetsTheHandle) {
    const auto f = spawn([] { return 42; });
    f.link([this](const fiber<int>& finished) { log("link", finished.get()); });
    f.link_raw([this](const auto& finished) { log("raw", finished.get()); });
    const copse::any_fiber any = f;
    any.link([this, &any](const copse::any_fiber& finished) { log("any", finished == any); });
    f.join();
    yield();
    EXPECT_EQ(log.text(), "link42 raw42 any1");
}

TEST_F(Link, ExactlyOneOfValueAndExceptionIsCalled) {
    const auto good = spawn([] { return 1; });
    const auto bad = spawn([]() -> int { throw std::runtime_error("bad"); });
    const auto killed = spawn([] {
        sleep(1h);
        return 1;
    });
    for (const auto& f : {good, bad, killed}) {
        f.link_value([this](const auto& of) { log("value", of.get()); });
        f.link_exception([this](const auto& of) { log(of.killed() ? "killed" : copse_test::what_of(of.exception())); });
    }
    yield();
    killed.kill();
    yield();
    EXPECT_EQ(log.text(), "value1 bad killed");
}

// rule 17
TEST_F(Link, IsCalledForOneThatIsKilledBeforeItStarted) {
    const auto f = spawn([this] { log("entered"); });
    f.link([this](const auto& of) { log("killed", of.killed()); });
    f.kill();
    EXPECT_EQ(log.text(), "");
    yield();
    EXPECT_EQ(log.text(), "killed1");
}

// rule 36
TEST_F(Link, OnAFinishedFiberItComesWithTheNextTurn) {
    const auto f = spawn([] {});
    f.join();
    const auto own = f.link([this] { log("own"); });
    f.link_raw([this] { log("raw"); });
    EXPECT_FALSE(own.linked());
    log("after");
    yield();
    EXPECT_EQ(log.text(), "after own raw");
}

// rule 37
TEST_F(Link, OneMayUnlinkALaterOneAndAddAnother) {
    const auto f = spawn([] {});
    copse::fiber_link later;
    f.link([&] {
        log("first");
        later.unlink();
        f.link([this] { log("added"); });
    });
    later = f.link([this] { log("never"); });
    f.link([this] { log("last"); });
    f.join();
    yield();
    yield();
    EXPECT_EQ(log.text(), "first last added");
}

// rule 38
TEST_F(Link, TheSameCallableTwiceRunsTwice) {
    const auto f = spawn([] {});
    const std::function<void()> call = [this] { log("called"); };
    f.link(call);
    f.link(call);
    f.join();
    yield();
    EXPECT_EQ(log.text(), "called called");
}

TEST_F(Link, UnlinkedItIsGoneWithWhatItHeld) {
    const auto f = spawn([] { sleep(1s); });
    auto held = std::make_shared<int>(1);
    const auto link = f.link([this, held] { log("never"); });
    EXPECT_TRUE(link.linked());
    link.unlink();
    link.unlink();
    EXPECT_FALSE(link.linked());
    f.join();
    yield();
    EXPECT_EQ(log.text(), "");
    copse::fiber_link().unlink();
}

TEST_F(Link, ItsStateEndsWithTheCall) {
    const auto f = spawn([] {});
    auto held = std::make_shared<int>(1);
    f.link([held] {});
    f.link_raw([held] {});
    EXPECT_EQ(held.use_count(), 3);
    f.join();
    yield();
    EXPECT_EQ(held.use_count(), 1);
}

// rule 39, decision 5: whoever sees the failure is told instead of the error handler.
TEST_F(Link, OnesThatSeeFailuresObserveThem) {
    error_recorder errors;
    spawn([] { throw std::runtime_error("seen"); }).link([this] { log("any"); });
    spawn([] { throw std::runtime_error("seen too"); }).link_exception([this] { log("exception"); });
    spawn([] { throw std::runtime_error("unseen"); }).link_value([this] { log("value"); });
    yield();
    yield();
    EXPECT_EQ(log.text(), "any exception");
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].what, "unseen");
}

TEST_F(Link, WhatItThrowsGoesToTheErrorHandler) {
    error_recorder errors;
    const auto f = spawn([] {});
    f.link([] { throw std::runtime_error("own"); });
    f.link_raw([] { throw std::runtime_error("raw"); });
    f.link([this] { log("still"); });
    f.join();
    yield();
    EXPECT_EQ(log.text(), "still");
    ASSERT_EQ(errors.count(), 2u);
    EXPECT_EQ(errors[0].what, "own");
    EXPECT_EQ(errors[1].what, "raw");
}

TEST_F(Link, BadInput) {
    EXPECT_THROW(fiber<int>().link([] {}), copse::empty_handle);
    const auto f = spawn([] {});
    EXPECT_THROW(f.link(std::function<void()>()), copse::null_callable);
    const auto link = f.link([this] { log("called"); });
    std::thread([&] {
        EXPECT_THROW(f.link([] {}), copse::wrong_thread);
        EXPECT_THROW(link.unlink(), copse::wrong_thread);
    }).join();
    f.join();
    yield();
    EXPECT_EQ(log.text(), "called");
}

}  // namespace
