// What is kept back: by a shield, and while a fiber unwinds. Decision 4; KL04, KL14; gevent rule 32.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <vector>

using copse::greenlet_exit;
using copse::hub;
using copse::shield;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::error_recorder;
using namespace std::chrono_literals;

namespace {

class Shield : public copse_test::hub_test {};

TEST_F(Shield, KeepsAKillBackUntilTheNextWaitAfterIt) {
    const auto victim = spawn([this] {
        {
            const shield s;
            sleep(1s);
            log("slept");
            yield();
            log("yielded");
        }
        log("out");
        yield();
        log("never");
    });
    yield();
    victim.kill();
    EXPECT_EQ(log.text(), "slept yielded out");
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_TRUE(victim.killed());
}

TEST_F(Shield, DoesNotEndAWaitEarly) {
    copse::semaphore permits(0);
    const auto victim = spawn([&] {
        const shield s;
        permits.acquire();
        log("acquired");
    });
    yield();
    EXPECT_FALSE(victim.kill_for(1s));
    EXPECT_EQ(log.text(), "");
    permits.release();
    EXPECT_TRUE(victim.kill_for(1s));
    EXPECT_EQ(log.text(), "acquired");
    EXPECT_TRUE(victim.successful());  // it never waited again
}

TEST_F(Shield, NestedOnesCountAndCopeWithATimeout) {
    const auto f = spawn([this] {
        const copse::timeout limit(1s);
        std::optional<shield> outer(std::in_place);
        {
            const shield inner;
            sleep(2s);
        }
        sleep(2s);
        log("kept");
        outer.reset();
        try {
            sleep(2s);
        } catch (const copse::timeout_expired& e) {
            log(limit.threw(e) ? "thrown" : "?");
        }
    });
    f.join();
    EXPECT_EQ(log.text(), "kept thrown");
    EXPECT_EQ(time.elapsed(), 4s);
}

TEST_F(Shield, ATimeoutScopeInsideItIsLeftWithoutBeingThrown) {
    const auto f = spawn([] {
        const shield s;
        const copse::timeout limit(1s);
        sleep(2s);
        return limit.expired();
    });
    EXPECT_TRUE(f.get());
}

TEST_F(Shield, BelongsToItsFiberAlone) {
    copse::event go;
    const auto shielded = spawn([&] {
        const shield s;
        go.wait();
    });
    const auto bare = spawn([&] { go.wait(); });
    yield();
    bare.kill();
    EXPECT_TRUE(bare.killed());
    shielded.request_kill();
    yield();
    EXPECT_FALSE(shielded.ready());
    go.set();
    shielded.join();
}

TEST_F(Shield, MoreThan255DeepIsRefused) {
    const auto f = spawn([] {
        std::vector<std::unique_ptr<shield>> all;
        for (int i = 0; i < 255; ++i) all.push_back(std::make_unique<shield>());
        EXPECT_THROW(shield(), copse::error);
    });
    f.join();
}

// A kill of oneself cannot be thrown there, and waiting for one's own end would never end.
TEST_F(Shield, KillOfOneselfInsideItDoesNotWaitForItself) {
    copse::fiber<void> self;
    self = spawn([&] {
        {
            const shield s;
            self.kill_for(1s);
            log("kept");
            self.kill();
            log("kept");
        }
        yield();
        log("never");
    });
    EXPECT_TRUE(self.join_for(1h));
    EXPECT_EQ(log.text(), "kept kept");
}

TEST_F(Shield, KillOfOneselfInTheCleanUpDoesNotWaitForItself) {
    copse::fiber<void> self;
    self = spawn([&] {
        try {
            sleep(1h);
        } catch (const greenlet_exit&) {
            self.kill();
            log("cleaned");
            throw;
        }
    });
    yield();
    EXPECT_TRUE(self.kill_for(1h));
    EXPECT_EQ(log.text(), "cleaned");
}

class Unwinding : public Shield {};

TEST_F(Unwinding, AKillIsNotThrownIntoADestructor) {
    const auto victim = spawn([this] {
        try {
            const at_end slow([this] {
                sleep(1s);  // would terminate if it threw
                log("flushed");
            });
            throw std::runtime_error("body");
        } catch (const std::runtime_error&) {
            log("caught");
        }
        yield();
        log("never");
    });
    yield();
    victim.kill();
    EXPECT_EQ(log.text(), "flushed caught");
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(time.elapsed(), 1s);
}

// KL04: a catch block is no unwinding: the kill is thrown there
TEST_F(Unwinding, Fault_KL04_AKillIsThrownIntoACatchBlock) {
    const auto victim = spawn([this] {
        try {
            throw std::runtime_error("body");
        } catch (const std::runtime_error&) {
            const at_end left([this] { log("left"); });
            sleep(1h);
        }
        log("never");
    });
    yield();
    victim.kill();
    EXPECT_EQ(log.text(), "left");
    EXPECT_TRUE(victim.killed());
}

// KL04: a noexcept frame is protected by a shield
TEST_F(Unwinding, Fault_KL04_AShieldProtectsANoexceptFrame) {
    const auto park = []() noexcept {
        const shield s;
        sleep(1s);
    };
    const auto victim = spawn([&] {
        park();
        log("out");
        yield();
        log("never");
    });
    yield();
    victim.kill();
    EXPECT_EQ(log.text(), "out");
}

// KL14
TEST_F(Unwinding, Fault_KL14_CleanUpMayParkAgainAndAgain) {
    copse::queue<int> flushed(10);
    copse::mutex m;
    const auto victim = spawn([&] {
        const at_end flush([&] {
            const std::lock_guard lock(m);
            for (int i = 0; i < 3; ++i) {
                sleep(1s);
                flushed.put(i);
            }
        });
        sleep(1h);
    });
    yield();
    victim.request_kill();
    victim.request_kill();
    sleep(1500ms);
    victim.kill();
    EXPECT_EQ(flushed.size(), 3u);
    EXPECT_FALSE(m.locked());
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(time.elapsed(), 3s);
}

TEST_F(Unwinding, ATimeoutOfTheCleanUpWorksInAHandlerAndReplacesTheKill) {
    const auto victim = spawn([] {
        try {
            sleep(1h);
        } catch (const greenlet_exit&) {
            const copse::timeout limit(1s);
            sleep(1h);  // rule 68
        }
    });
    error_recorder errors;
    yield();
    victim.kill();
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_FALSE(victim.killed());
    EXPECT_THROW(victim.get(), copse::timeout_expired);
    for (std::size_t i = 0; i < errors.count(); ++i) ADD_FAILURE() << errors[i].what;
}

TEST_F(Unwinding, ExceptionsInFlightBelongToTheirFiber) {
    const auto thrower = [this](int number) {
        return spawn([this, number] {
            try {
                const at_end parks([number] {
                    EXPECT_EQ(std::uncaught_exceptions(), 1);
                    sleep(std::chrono::seconds(number));
                    EXPECT_EQ(std::uncaught_exceptions(), 1);
                });
                throw number;
            } catch (int caught) {
                sleep(std::chrono::seconds(5 - number));
                log(caught, copse_test::what_of(std::current_exception()).back());
            }
        });
    };
    join_all(thrower(1), thrower(2), thrower(3));
    EXPECT_EQ(log.text(), "11 22 33");
    EXPECT_EQ(std::uncaught_exceptions(), 0);
}

// A catch that ends with another exception did not swallow the kill into nothing: the fiber ends by that exception.
TEST_F(Unwinding, ReplacedByAnotherExceptionIsAFailure) {
    error_recorder errors;
    const auto victim = spawn([] {
        try {
            sleep(1h);
        } catch (const greenlet_exit&) {
            throw std::runtime_error("clean-up failed");
        }
    });
    yield();
    victim.kill();
    EXPECT_FALSE(victim.killed());
    EXPECT_EQ(copse_test::what_of(victim.exception()), "clean-up failed");
    for (std::size_t i = 0; i < errors.count(); ++i) ADD_FAILURE() << errors[i].what;
}

// Keeping the exception keeps the clean-up open: nothing is reported before it is let go.
TEST_F(Unwinding, KeptAsAPointerAndThrownOnLaterIsAKill) {
    error_recorder errors;
    const auto victim = spawn([] {
        std::exception_ptr kept;
        try {
            sleep(1h);
        } catch (...) {
            kept = std::current_exception();
        }
        sleep(1s);  // cleans up outside the handler
        std::rethrow_exception(kept);
    });
    yield();
    victim.kill();
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(errors.count(), 0u);
}

TEST_F(Unwinding, InACatchBlockKeepsTheCaughtException) {
    const auto catching = [](const char* what) {
        return spawn([what] {
            try {
                throw std::runtime_error(what);
            } catch (...) {
                sleep(1s);
                yield();
                return copse_test::what_of(std::current_exception());
            }
        });
    };
    const auto a = catching("a");
    const auto b = catching("b");
    EXPECT_EQ(a.get() + b.get(), "ab");
}

}  // namespace
