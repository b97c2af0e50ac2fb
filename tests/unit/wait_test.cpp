// The park protocol as greenlets see it: those made by hand that block inside a fiber or in main, what enters them, what drops
// them; and joins of several. Decision 3; design §3.2, the park protocol; gevent rules 31, 43.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "hub_test.hpp"
#include "worker.hpp"

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

using copse::greenlet;
using copse::greenlet_exit;
using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::error_recorder;
using copse_test::to_parent;
using namespace std::chrono_literals;

namespace {

class WaitFixture : public copse_test::hub_test {};

class GreenletThatBlocks : public WaitFixture {};
class ParkedGreenlet : public WaitFixture {};
class Park : public WaitFixture {};
class JoinAll : public WaitFixture {};

// The hub resumes exactly the one that blocked.
TEST_F(GreenletThatBlocks, IsGoneOnWithItselfAndReturnsToItsParent) {
    copse::queue<int> numbers(1);
    const auto f = spawn([&] {
        const greenlet child([&] {
            log("child");
            sleep(1s);
            log("slept");
            const int number = numbers.get();
            return number;
        });
        const int number = child.switch_to().as<int>();
        log("parent", number);
        EXPECT_TRUE(child.dead());
    });
    const auto other = spawn([&] {
        sleep(2s);
        log("other");
        numbers.put(7);
    });
    join_all(f, other);
    EXPECT_EQ(log.text(), "child slept other parent7");
    EXPECT_EQ(time.elapsed(), 2s);
}

TEST_F(GreenletThatBlocks, SeveralInOneFiberTakeTheirTurns) {
    const auto f = spawn([this] {
        std::vector<greenlet> all;
        for (int i = 0; i < 3; ++i) {
            all.emplace_back([this, i] {
                for (int n = 0; n < 2; ++n) {
                    log(char('a' + i), n);
                    yield();
                    to_parent();
                }
            });
        }
        for (int n = 0; n < 3; ++n) {
            for (const greenlet& g : all) g.switch_to();
        }
    });
    f.join();
    EXPECT_EQ(log.text(), "a0 b0 c0 a1 b1 c1");
}

TEST_F(GreenletThatBlocks, MayDoSoInMainToo) {
    spawn([this] {
        yield();
        log("fiber");
    });
    const greenlet g([this] {
        log("g");
        sleep(1s);
        log("g-end");
    });
    g.switch_to();
    EXPECT_EQ(log.text(), "g fiber g-end");
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(GreenletThatBlocks, AnExceptionOfItGoesToTheParentThatEnteredIt) {
    const auto f = spawn([] {
        const greenlet child([] {
            sleep(1s);
            throw std::runtime_error("child");
        });
        return copse_test::what_is_thrown_by([&] { child.switch_to(); });
    });
    EXPECT_EQ(f.get(), "child");
}

// A timeout belongs to the greenlet that made it.
TEST_F(GreenletThatBlocks, ATimeoutInItIsThrownInIt) {
    const auto f = spawn([this] {
        const greenlet child([this] {
            try {
                copse::with_timeout(1s, [] { sleep(1h); });
            } catch (const copse::timeout_expired&) {
                log("child");
            }
        });
        child.switch_to();
        log("parent");
    });
    f.join();
    EXPECT_EQ(log.text(), "child parent");
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(GreenletThatBlocks, OutlivesTheFiberThatMadeIt) {
    greenlet child;
    const auto maker = spawn([&] {
        child = greenlet([&] {
            sleep(1s);
            log("child");
        });
    });
    maker.join();
    const auto f = spawn([&] {
        child.set_parent(greenlet::current());
        child.switch_to();
        log("parent");
    });
    f.join();
    EXPECT_EQ(log.text(), "child parent");
}

// Whoever ends in the hub leaves the one that entered it without anybody to go on with it: the end of the thread does.
TEST_F(GreenletThatBlocks, WhoseParentIsDeadEndsInTheHubAndItsExceptionIsReported) {
    std::string told;
    copse_test::in_thread([&] {
        const copse::virtual_time here;
        error_recorder errors;
        greenlet child;
        spawn([&] {
            child = greenlet([] {
                sleep(1s);
                throw std::runtime_error("orphan");
            });
        }).join();
        spawn([&] { child.switch_to(); });
        sleep(2s);
        if (errors.count() == 1) told = errors[0].what;
        EXPECT_TRUE(child.dead());
    });
    EXPECT_EQ(told, "orphan");
}

TEST_F(ParkedGreenlet, EnteredByHandIsRefused) {
    copse::semaphore permits(0);
    greenlet parked;
    const auto f = spawn({.name = "sleeper"}, [&] {
        parked = greenlet(greenlet::options{.name = "parked", .parent = {}}, [&] { permits.acquire(); });
        parked.switch_to();
        log("back");
    });
    const auto sleeper = spawn([] { sleep(1s); });
    yield();
    try {
        parked.switch_to();
        FAIL();
    } catch (const copse::not_switchable& e) {
        EXPECT_NE(std::string(e.what()).find("\"parked\""), std::string::npos) << e.what();
        EXPECT_NE(std::string(e.what()).find("semaphore"), std::string::npos) << e.what();
    }
    EXPECT_THROW(parked.switch_to(1), copse::not_switchable);
    EXPECT_THROW(parked.raise(), copse::not_switchable);
    EXPECT_THROW(sleeper.underlying().switch_to(), copse::not_switchable);
    EXPECT_THROW(sleeper.underlying().raise(std::runtime_error("no")), copse::not_switchable);
    EXPECT_EQ(log.text(), "");
    permits.release();
    join_all(f, sleeper);
    EXPECT_EQ(log.text(), "back");
}

TEST_F(ParkedGreenlet, AReadyOrUnstartedFiberIsRefusedToo) {
    const auto unstarted = spawn([this] { log("ran"); });
    EXPECT_THROW(unstarted.underlying().switch_to(), copse::not_switchable);
    EXPECT_THROW(unstarted.underlying().raise(), copse::not_switchable);
    const auto yielded = spawn([] { yield(); });
    yield();
    EXPECT_THROW(yielded.underlying().switch_to(), copse::not_switchable);
    yielded.join();
    EXPECT_EQ(log.text(), "ran");
}

TEST_F(ParkedGreenlet, MainParkedIsRefusedToo) {
    const greenlet main = greenlet::current();
    const auto f = spawn([&] { EXPECT_THROW(main.switch_to(), copse::not_switchable); });
    f.get();
}

// Its parent parked meanwhile: nobody can take the result, and that is told.
TEST_F(ParkedGreenlet, WhoseParentIsParkedWhenItEndsIsReported) {
    std::exception_ptr told;
    copse_test::in_thread([&] {
        const copse::virtual_time here;
        error_recorder errors;
        greenlet child;
        const auto parent = spawn([&] {
            child = greenlet([] { return 5; });
            sleep(10s);
            return 6;
        });
        yield();
        spawn([&] { child.switch_to(); });
        sleep(1s);
        EXPECT_TRUE(child.dead());
        if (errors.count() == 1) told = errors[0].exception;
        EXPECT_EQ(parent.get(), 6);
    });
    ASSERT_NE(told, nullptr);
    EXPECT_THROW(std::rethrow_exception(told), copse::not_switchable);
}

TEST_F(ParkedGreenlet, WhoseLastHandleIsDroppedIsUnwoundAndLeavesItsWait) {
    copse_test::in_thread([this] {
        const copse::virtual_time here;
        copse::semaphore permits(0);
        greenlet parked([&] {
            const at_end unwound([this] { log("unwound"); });
            permits.try_acquire_for(1h);
        });
        spawn([&] { parked.switch_to(); });
        yield();
        log("dropping");
        parked = greenlet();
        log("dropped");
        EXPECT_EQ(hub::current().stats().timers, 0u);
        permits.release();
        EXPECT_EQ(permits.available(), 1);
    });
    EXPECT_EQ(log.text(), "dropping unwound dropped");
}

// P5: what had been handed to it is not lost: it is passed on, or kept by who goes on with it.
TEST_F(ParkedGreenlet, DroppedInTheTurnOfAHandOverDoesNotLoseThePermit) {
    std::ptrdiff_t left = 0;
    copse_test::in_thread([&left, this] {
        const copse::virtual_time here;
        copse::semaphore permits(0);
        greenlet parked([&] {
            permits.acquire();
            log("acquired");
            permits.release();
        });
        spawn([&] { parked.switch_to(); });
        yield();
        permits.release();
        parked = greenlet();
        left = permits.available();
    });
    EXPECT_EQ(left, 1);
}

// main has no frame before its first switch: it must not be taken for an unstarted fiber.
TEST_F(Park, MainMayParkBeforeAnythingElseHasRun) {
    copse_test::in_thread([] {
        hub::current().run_until_idle();
        yield();
        sleep(1ns);
        EXPECT_EQ(copse::debug::live_stacks(), 0u);
    });
}

TEST_F(Park, KeepsErrnoOfEachFiber) {
    const auto with_errno = [](int number) {
        return spawn([number] {
            errno = number;
            yield();
            EXPECT_EQ(errno, number);
            sleep(1s);
            EXPECT_EQ(errno, number);
        });
    };
    errno = 42;
    join_all(with_errno(1), with_errno(2), with_errno(3));
    EXPECT_EQ(errno, 42);
    errno = 0;
}

// gevent rule 43
TEST_F(JoinAll, WaitsForTheSlowest) {
    const auto a = spawn([] { return sleep(2s), 1; });
    const auto b = spawn([] { sleep(1s); });
    EXPECT_EQ(join_all(a, b), 2u);
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_EQ(join_all(a, b), 2u);
    EXPECT_EQ(join_all(std::vector<copse::any_fiber>{}), 0u);
}

TEST_F(JoinAll, StopsAtItsTimeoutOrItsCount) {
    std::vector<copse::fiber<void>> all;
    for (int i = 1; i < 5; ++i) all.push_back(spawn([i] { sleep(std::chrono::seconds(i)); }));
    EXPECT_EQ(join_all({.count = 0}, all), 0u);
    EXPECT_EQ(join_all({.timeout = 0s}, all), 0u);
    EXPECT_EQ(time.elapsed(), 0s);
    EXPECT_EQ(join_all({.count = 2}, all), 2u);
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_EQ(join_all({.timeout = 1s}, all), 3u);
    EXPECT_EQ(join_all({.timeout = 1h, .count = 100}, all), 4u);
    EXPECT_EQ(time.elapsed(), 4s);
    EXPECT_EQ(hub::current().stats().timers, 0u);
}

// rule 43: duplicates count separately
TEST_F(JoinAll, CountsWhatIsNamedTwiceTwice) {
    const auto a = spawn([] { sleep(1s); });
    const auto b = spawn([] { sleep(2s); });
    EXPECT_EQ(join_all({.count = 2}, a, a, b), 2u);
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_EQ(join_all(a, b, a, b), 4u);
}

// rule 43: the first to finish, not the first in the list; the others go on
TEST_F(JoinAll, RaisesTheFirstFailureInTheOrderOfFinishing) {
    const auto slow = spawn([] {
        sleep(2s);
        throw std::runtime_error("slow");
    });
    const auto fast = spawn([] {
        sleep(1s);
        throw std::runtime_error("fast");
    });
    const auto good = spawn([] { sleep(3s); });
    EXPECT_EQ(copse_test::what_is_thrown_by([&] { join_all({.raise_error = true}, slow, fast, good); }), "fast");
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_EQ(join_all(slow, fast, good), 3u);
    EXPECT_EQ(copse_test::what_of(slow.exception()), "slow");
}

// rule 31: a wait that was interrupted leaves nothing on those it waited for
TEST_F(JoinAll, KilledOrTimedOutLeavesNoTrace) {
    const auto target = spawn([] { sleep(10s); });
    const auto joiner = spawn([&] { join_all(target, target); });
    yield();
    joiner.kill();
    EXPECT_THROW(copse::with_timeout(1s, [&] { join_all(target); }), copse::timeout_expired);
    target.join();
    EXPECT_TRUE(joiner.killed());
    EXPECT_EQ(time.elapsed(), 10s);
}

}  // namespace
