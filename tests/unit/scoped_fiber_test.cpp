// Scoped fibers: gevent's context manager. Decisions 3 and 4.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <stdexcept>
#include <type_traits>
#include <utility>

using copse::hub;
using copse::scoped_fiber;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::error_recorder;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

static_assert(!std::is_copy_constructible_v<scoped_fiber<int>>);
static_assert(std::is_move_constructible_v<scoped_fiber<int>>);

class ScopedFiber : public copse_test::hub_test {};

TEST_F(ScopedFiber, IsJoinedAtTheEndOfTheScope) {
    {
        const scoped_fiber f(spawn([this] {
            sleep(1s);
            log("done");
        }));
        log("left");
    }
    EXPECT_EQ(log.text(), "left done");
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(ScopedFiber, IsKilledAndWaitedForWhenUnwinding) {
    const auto body = [this] {
        const scoped_fiber f(spawn([this] {
            try {
                sleep(1h);
            } catch (const copse::greenlet_exit&) {
                sleep(1s);
                log("cleaned");
                throw;
            }
        }));
        yield();
        throw std::runtime_error("body");
    };
    EXPECT_EQ(what_is_thrown_by(body), "body");
    EXPECT_EQ(log.text(), "cleaned");
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(ScopedFiber, AScopeInsideADestructorThatUnwindsIsAnOrdinaryScope) {
    struct during_unwinding {
        copse_test::event_log& log;
        ~during_unwinding() {
            const scoped_fiber f(spawn([this] {
                sleep(1s);
                log("finished");
            }));
        }
    };
    const auto body = [this] {
        const during_unwinding d{log};
        throw std::runtime_error("body");
    };
    EXPECT_EQ(what_is_thrown_by(body), "body");
    EXPECT_EQ(log.text(), "finished");
}

TEST_F(ScopedFiber, AKillWhileItJoinsKillsTheFiberAndGoesOn) {
    copse::fiber<void> inner;
    const auto outer = spawn([&] {
        const scoped_fiber f(inner = spawn([this] {
                                 try {
                                     sleep(1h);
                                 } catch (const copse::greenlet_exit&) {
                                     sleep(1s);
                                     log("cleaned");
                                     throw;
                                 }
                             }));
    });
    yield();
    yield();
    outer.kill();
    EXPECT_EQ(log.text(), "cleaned");
    EXPECT_TRUE(outer.killed());
    EXPECT_TRUE(inner.killed());
}

TEST_F(ScopedFiber, ATimeoutWhileItJoinsComesOutOfTheScope) {
    copse::fiber<void> inner;
    bool caught = false;
    const copse::timeout limit(1s);
    try {
        const scoped_fiber f(inner = spawn([] { sleep(1h); }));
    } catch (const copse::timeout_expired& e) {
        caught = limit.threw(e);
    }
    EXPECT_TRUE(caught);
    EXPECT_TRUE(inner.killed());
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(ScopedFiber, AFailureStaysWithTheFiber) {
    const error_recorder errors;
    {
        const scoped_fiber f(spawn([] { throw std::runtime_error("told"); }));
    }
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].what, "told");
}

TEST_F(ScopedFiber, MovesAndReleases) {
    copse::fiber<int> kept;
    {
        scoped_fiber a(spawn([] {
            sleep(1s);
            return 1;
        }));
        scoped_fiber<int> b(std::move(a));
        EXPECT_TRUE(a.get().empty());
        EXPECT_FALSE(b->ready());
        kept = b.release();
        EXPECT_TRUE(b.get().empty());
    }
    EXPECT_EQ(time.elapsed(), 0s) << "released: not waited for";
    {
        scoped_fiber a(kept);
        scoped_fiber b(spawn([] {
            sleep(2s);
            return 2;
        }));
        a = std::move(b);
        EXPECT_EQ(time.elapsed(), 1s) << "the first one's scope was left by the assignment";
        EXPECT_EQ((*a).get(), 2);
    }
    EXPECT_EQ(kept.get(), 1);
}

}  // namespace
