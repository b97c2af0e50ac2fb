// Semaphores between threads: the line, and what happens when a claim meets a kill, a deadline or the end of a thread.
// Decisions 3, 4; SY04.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "hub_test.hpp"
#include "worker.hpp"

#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>

using copse::sleep;
using copse::spawn;
using copse::yield;
using copse::shared::semaphore;
using copse_test::at_end;
using copse_test::in_thread;
using copse_test::worker;
using namespace std::chrono_literals;

namespace {

class SharedSemaphore : public copse_test::hub_test {
protected:
    copse::fiber<void> acquiring(semaphore& permits, const char* name) {
        return spawn([this, &permits, name] {
            permits.acquire();
            log(name);
        });
    }
};

TEST_F(SharedSemaphore, WithPermitsNobodyIsSwitchedTo) {
    semaphore permits(3);
    spawn([this] { log("other"); });
    permits.acquire();
    EXPECT_TRUE(permits.try_acquire());
    EXPECT_TRUE(permits.try_acquire_for(1h));
    EXPECT_FALSE(permits.try_acquire());
    permits.release(2);
    EXPECT_EQ(permits.available(), 2);
    EXPECT_EQ(log.text(), "");
    yield();
}

TEST_F(SharedSemaphore, PermitsGoToTheLongestWaiterOfAllThreads) {
    semaphore permits(0);
    worker other;
    std::optional<copse::fiber<void>> b;
    bool b_has_it = false;
    const auto a = acquiring(permits, "a");
    yield();
    other.run([&] {
        b = spawn([&] {
            permits.acquire();
            b_has_it = true;
        });
        yield();
    });
    const auto c = acquiring(permits, "c");
    yield();
    permits.release(2);
    EXPECT_EQ(permits.available(), 0);
    yield();
    EXPECT_EQ(log.text(), "a");  // the second is b's, though it has not run yet
    permits.release();
    c.join();
    EXPECT_EQ(log.text(), "a c");
    other.run([&] {
        b->join();
        b.reset();
    });
    EXPECT_TRUE(b_has_it);
}

// Decision 3: no barging, not even while the waiter has not run yet.
TEST_F(SharedSemaphore, ARunningFiberCannotBargeIn) {
    semaphore permits(0);
    const auto a = acquiring(permits, "a");
    yield();
    in_thread([&] { permits.release(); });
    EXPECT_FALSE(permits.try_acquire());
    EXPECT_FALSE(permits.try_acquire_for(0s));
    a.join();
}

// Decision 3: it has the permit, and the kill is thrown at its next wait.
TEST_F(SharedSemaphore, AKillThatFindsItClaimedWaitsForTheNextWait) {
    semaphore permits(0);
    const auto a = spawn([&] {
        const at_end gone([this] { log("gone"); });
        permits.acquire();
        log("has");
        sleep(1h);
        log("never");
    });
    yield();
    in_thread([&] { permits.release(); });
    a.request_kill();
    a.join();
    EXPECT_TRUE(a.killed());
    EXPECT_EQ(log.text(), "has gone");
    EXPECT_EQ(permits.available(), 0);
}

TEST_F(SharedSemaphore, ATimeoutThatFindsItClaimedIsNotThrownIfItsScopeEnds) {
    semaphore permits(0);
    const auto a = spawn([&] {
        {
            copse::timeout limit(0s);  // expires with the next turn
            permits.acquire();
        }
        log("has");
        sleep(1s);
        log("lives");
    });
    spawn([&] {
        in_thread([&] { permits.release(); });
        yield();  // no turn: there is main
    });
    yield();
    a.join();
    EXPECT_EQ(log.text(), "has lives");
}

TEST_F(SharedSemaphore, AKilledOrTimedOutWaiterTakesNothing) {
    semaphore permits(0);
    const auto a = acquiring(permits, "a");
    const auto b = spawn([&] { EXPECT_FALSE(permits.try_acquire_for(1s)); });
    const auto c = acquiring(permits, "c");
    yield();
    a.kill();
    b.join();
    EXPECT_EQ(time.elapsed(), 1s);
    in_thread([&] { permits.release(2); });
    c.join();
    EXPECT_EQ(log.text(), "c");
    EXPECT_EQ(permits.available(), 1);
}

TEST_F(SharedSemaphore, AGivenPermitBeatsADeadlineThatIsLookedAtLater) {
    semaphore permits(0);
    const auto a = spawn([&] { log(permits.try_acquire_for(0s) ? "has" : "late"); });
    spawn([&] { in_thread([&] { permits.release(); }); });
    a.join();
    EXPECT_EQ(log.text(), "has");
    EXPECT_EQ(permits.available(), 0);
}

TEST_F(SharedSemaphore, AShieldedOneIsNotInterrupted) {
    semaphore permits(0);
    const auto a = spawn([&] {
        {
            const copse::shield s;
            permits.acquire();
            log("has");
        }
        sleep(1s);
    });
    yield();
    a.request_kill();
    yield();
    EXPECT_EQ(log.text(), "");
    in_thread([&] { permits.release(); });
    a.join();
    EXPECT_TRUE(a.killed());
    EXPECT_EQ(log.text(), "has");
}

// The last handle of a parked greenlet that was claimed is dropped: it takes what it was given.
TEST_F(SharedSemaphore, ADroppedGreenletThatWasClaimedTakesItAndIsToldAtItsNextWait) {
    semaphore permits(0);
    copse::greenlet g([&] {
        permits.acquire();
        const at_end back([&] { permits.release(); });
        log("has");
        sleep(1h);
        log("never");
    });
    const auto entering = spawn([&] { g.switch_to(); });
    yield();
    in_thread([&] { permits.release(); });
    g = copse::greenlet();
    EXPECT_EQ(log.text(), "has");
    EXPECT_EQ(permits.available(), 1);
    entering.kill();
}

TEST_F(SharedSemaphore, AGreenletInsideAFiberMayWait) {
    semaphore permits(0);
    const auto a = spawn([&] {
        copse::greenlet g([&] {
            permits.acquire();
            log("inner");
        });
        g.switch_to();
        log("outer");
    });
    yield();
    in_thread([&] { permits.release(); });
    a.join();
    EXPECT_EQ(log.text(), "inner outer");
}

// The end of a thread whose fiber was given a permit, which has not been told yet: it is told first, then killed.
TEST_F(SharedSemaphore, AThreadThatEndsWithAClaimedWaiterLosesNothing) {
    semaphore permits(0);
    worker other;
    other.run([&] {
        spawn([&] {
            permits.acquire();
            const at_end back([&] { permits.release(); });
            sleep(1h);
        });
        yield();
    });
    permits.release();
    EXPECT_EQ(permits.available(), 0);
    other.finish();
    EXPECT_EQ(permits.available(), 1);
}

TEST_F(SharedSemaphore, AThreadThatEndsTakesItsWaitersOutOfTheLine) {
    semaphore permits(0);
    worker other;
    other.run([&] {
        for (int i = 0; i < 3; ++i) spawn([&] { permits.acquire(); });
        yield();
    });
    const auto a = acquiring(permits, "a");
    yield();
    other.finish();
    permits.release();
    a.join();
    EXPECT_EQ(permits.available(), 0);
}

// SY04
TEST_F(SharedSemaphore, Fault_SY04_BadCounts) {
    EXPECT_THROW(semaphore(-1), std::invalid_argument);
    semaphore permits(1);
    EXPECT_THROW(permits.release(-1), std::invalid_argument);
    EXPECT_THROW(permits.release(std::numeric_limits<std::ptrdiff_t>::max()), std::overflow_error);
    permits.release(0);
    EXPECT_EQ(permits.available(), 1);
    permits.acquire();
    EXPECT_THROW(permits.try_acquire_for(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    EXPECT_FALSE(permits.try_acquire_for(-1h));
    permits.release(5);
    EXPECT_EQ(permits.available(), 5);
}

TEST_F(SharedSemaphore, ReleasesMoreThanThereAreWaiters) {
    semaphore permits(0);
    const auto a = acquiring(permits, "a");
    const auto b = acquiring(permits, "b");
    yield();
    permits.release(5);
    copse::join_all(a, b);
    EXPECT_EQ(log.text(), "a b");
    EXPECT_EQ(permits.available(), 3);
}

}  // namespace
