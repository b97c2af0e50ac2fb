// How fibers end: kills at every wait of a scenario, failures and who is told of them. KL05 to KL10, SW01, P5, P8;
// decisions 4 and 5; gevent rules 31, 39, 47, 48.

#include <copse/fibers.hpp>
#include <copse/virtual_time.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "sanitizer.hpp"

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <ostream>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <utility>
#include <vector>

using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::error_recorder;
using copse_test::what_of;
using namespace std::chrono_literals;

namespace {

struct hub_with_stack {
    hub_with_stack() {
        hub::current().post([] {});
        hub::current().run_until_idle();
    }
};

class FaultKill : hub_with_stack, public copse_test::leak_check {
protected:
    void TearDown() override {
        hub::current().run_until_idle();
        EXPECT_EQ(hub::current().stats().timers, 0u);
        EXPECT_EQ(hub::current().stats().fibers, 0u);
        leak_check::TearDown();
    }

    copse::virtual_time time;
    const copse::fiber<void>* self_ = nullptr;
};

class FiberFailure : public FaultKill {};

// KL07
TEST_F(FaultKill, Fault_KL07_OfTheOneThatSpawnedTheKiller) {
    const auto parent = spawn([this] {
        const copse::any_fiber self = *self_;
        spawn([this, self] {
            self.kill();
            log("killed");
        });
        sleep(1h);
    });
    self_ = &parent;
    parent.join();
    yield();
    EXPECT_TRUE(parent.killed());
    EXPECT_EQ(log.text(), "killed");
    EXPECT_EQ(time.elapsed(), 0ns);
}

// KL07: two killers of each other
TEST_F(FaultKill, Fault_KL07_OfEachOther) {
    copse::fiber<void> a;
    copse::fiber<void> b;
    a = spawn([&] {
        yield();
        b.kill();
        log("a");
    });
    b = spawn([&] {
        yield();
        a.kill();
        log("b");
    });
    join_all(a, b);
    EXPECT_NE(a.killed(), b.killed()) << "the first to kill goes on, unless the other had asked already";
}

// KL08
TEST_F(FaultKill, Fault_KL08_OfAFiberThatWaitsForTheKiller) {
    copse::fiber<void> killer;
    const auto victim = spawn([&] { killer.join(); });
    killer = spawn([&] {
        victim.kill();
        log("killed");
    });
    killer.join();
    EXPECT_EQ(log.text(), "killed");
    EXPECT_TRUE(victim.killed());
}

// A buffer that parks before it takes a character.
struct slow_buffer : std::streambuf {
    int_type overflow(int_type c) override {
        sleep(1s);
        return c;
    }
};

// KL05: libstdc++ swallows what passes through a stream; that is told, and the fiber lives.
TEST_F(FaultKill, Fault_KL05_SwallowedByAStreamIsReported) {
    error_recorder errors;
    slow_buffer buffer;
    const auto victim = spawn([&] {
        std::ostream out(&buffer);
        out << "text";
        log(out.bad() ? "bad" : "good");
        sleep(1h);
    });
    yield();
    EXPECT_FALSE(victim.kill_for(1s));
    EXPECT_EQ(log.text(), "bad");
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].greenlet_id, victim.id());
    victim.kill();
    EXPECT_TRUE(victim.killed());
}

// KL06: a packaged task keeps the exception: the kill stays under way until it is let go
TEST_F(FaultKill, Fault_KL06_KeptByAPackagedTaskIsReportedWhenLetGo) {
    error_recorder errors;
    const auto victim = spawn([this] {
        {
            std::packaged_task<void()> task([] { sleep(1h); });
            task();
            log("after");
        }
        return 3;
    });
    yield();
    EXPECT_TRUE(victim.kill_for(1s));
    EXPECT_EQ(victim.get(), 3);
    EXPECT_EQ(errors.count(), 1u);
    EXPECT_EQ(log.text(), "after");
}

TEST_F(FaultKill, Fault_KL06_PassesThroughCallOnce) {
    if (copse_test::thread_sanitized) GTEST_SKIP() << "its pthread_once does not survive an exception";
    std::once_flag once;
    const auto victim = spawn([&] { std::call_once(once, [] { sleep(1h); }); });
    yield();
    victim.kill();
    EXPECT_TRUE(victim.killed());
    std::call_once(once, [this] { log("again"); });
    EXPECT_EQ(log.text(), "again");
}

// How the wait of this number is disturbed.
enum class disturbance { kill_on_entry, kill_in_the_park, kill_and_wake, timeout };

// Four fibers over a queue, a mutex, a semaphore, a condition, an event and a join. Each wait goes through `wait_number`.
class scenario {
public:
    scenario(int number, disturbance how) : number_(number), how_(how) {
        fibers_.push_back(spawn([this] { produce(); }));
        fibers_.push_back(spawn([this] { consume(); }));
        fibers_.push_back(spawn([this] { share(); }));
        fibers_.push_back(spawn([this] { share(); }));
    }

    void finish() {
        for (const auto& f : fibers_) {
            if (!f.join_for(1h)) f.kill();
        }
        EXPECT_EQ(put_, got_ + static_cast<int>(items_.size())) << what();
        EXPECT_EQ(permits_.available(), 1) << what();
        EXPECT_FALSE(m_.locked()) << what();
        EXPECT_EQ(inside_, 0) << what();
        EXPECT_EQ(hub::current().stats().timers, 0u) << what();
        for (const auto& f : fibers_) EXPECT_TRUE(f.killed() || f.successful()) << what() << what_of(f.exception());
    }

    int waits() const { return waits_; }

private:
    std::string what() const {
        return "wait " + std::to_string(number_) + ", disturbance " + std::to_string(static_cast<int>(how_)) + ": ";
    }

    const copse::fiber<void>& self() const {
        for (const auto& f : fibers_) {
            if (f.id() == copse::this_fiber::id()) return f;
        }
        throw std::logic_error("not of this scenario");
    }

    template <class F>
    void wait_number(F wait) {
        if (++waits_ != number_) return wait();
        switch (how_) {
        case disturbance::kill_on_entry: self().request_kill(); return wait();
        case disturbance::kill_in_the_park: spawn([victim = self()] { victim.request_kill(); }); return wait();
        case disturbance::kill_and_wake:
            spawn([victim = self()] {
                for (int i = 0; i < 3; ++i) yield();
                victim.request_kill();
            });
            return wait();
        case disturbance::timeout: break;
        }
        try {
            copse::with_timeout(0s, wait);
        } catch (const copse::timeout_expired&) {}
    }

    void produce() {
        for (int i = 0; i < 4; ++i) {
            wait_number([&] {
                items_.put(i);
                ++put_;
            });
            wait_number([] { sleep(1ms); });
        }
    }

    void consume() {
        for (int i = 0; i < 4; ++i) {
            wait_number([&] {
                if (items_.get_for(10ms)) ++got_;
            });
            wait_number([] { yield(); });
        }
        done_.set();
    }

    void share() {
        for (int i = 0; i < 2; ++i) {
            wait_number([&] {
                permits_.acquire();
                const at_end give_back([&] { permits_.release(); });
                wait_number([] { sleep(1ms); });
            });
            wait_number([&] {
                std::unique_lock lock(m_);
                EXPECT_EQ(inside_++, 0);
                const at_end outside([&] { --inside_; });
                sleep(500us);
            });
            wait_number([&] {
                std::unique_lock lock(m_);
                changed_.notify_all();
                changed_.wait_for(lock, 1ms);
                EXPECT_TRUE(lock.owns_lock());
            });
        }
        wait_number([&] { done_.wait_for(20ms); });
        wait_number([&] { fibers_[1].join_for(20ms); });
    }

    copse::queue<int> items_{1};
    copse::mutex m_;
    copse::semaphore permits_{1};
    copse::condition_variable changed_;
    copse::event done_;
    int put_ = 0;
    int got_ = 0;
    int inside_ = 0;
    int waits_ = 0;
    int number_;
    disturbance how_;
    std::vector<copse::fiber<void>> fibers_;
};

class AtEveryWait : public FaultKill, public testing::WithParamInterface<disturbance> {};

TEST_P(AtEveryWait, Fault_KL10_NothingIsLostDoubledOrLeft) {
    int waits = 1;
    for (int number = 0; number <= waits; ++number) {
        const auto before = copse::debug::live_greenlets();
        {
            scenario s(number, GetParam());
            s.finish();
            hub::current().run_until_idle();
            if (number == 0) waits = s.waits();
        }
        EXPECT_EQ(copse::debug::live_greenlets(), before) << "wait " << number;
        if (HasFailure()) break;
    }
    EXPECT_GT(waits, 30);
}

INSTANTIATE_TEST_SUITE_P(KillAndTimeout, AtEveryWait,
                         testing::Values(disturbance::kill_on_entry, disturbance::kill_in_the_park,
                                         disturbance::kill_and_wake, disturbance::timeout));

// P8, rule 39: told before any joiner goes on, and only if nobody observes it
TEST_F(FiberFailure, Fault_SW01_ThatNobodyCanObserveIsReportedAtOnceBeforeTheJoiners) {
    const auto before = copse::set_error_handler(
        [this](const std::exception_ptr& e, const copse::greenlet& g) { log("handler:", g.name(), ":", what_of(e)); });
    spawn({.name = "lone"}, [this] {
        log("body");
        throw std::runtime_error("boom");
    });
    yield();
    log("main");
    copse::set_error_handler(before);
    EXPECT_EQ(log.text(), "body handler:lone:boom main");
}

TEST_F(FiberFailure, ThatIsOnlyJoinedIsReportedWhenTheLastHandleGoes) {
    error_recorder errors;
    {
        auto f = spawn([] { throw std::runtime_error("boom"); });
        f.join();
        EXPECT_TRUE(f.ready());
        EXPECT_FALSE(f.successful());
        const auto copy = f;
        f = {};
        EXPECT_EQ(errors.count(), 0u);
    }
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].what, "boom");
}

TEST_F(FiberFailure, ThatIsObservedIsNotReported) {
    error_recorder errors;
    const auto fails = [] { return spawn([] { throw std::runtime_error("boom"); }); };
    EXPECT_THROW(fails().get(), std::runtime_error);
    EXPECT_THROW(fails().get_for(1s), std::runtime_error);
    {
        const auto f = fails();
        f.join();
        EXPECT_EQ(what_of(f.exception()), "boom");
    }
    EXPECT_THROW(join_all({.raise_error = true}, fails()), std::runtime_error);
    EXPECT_EQ(errors.count(), 0u);
}

// Looking before there is anything to see observes nothing.
TEST_F(FiberFailure, LookedForTooEarlyIsStillReported) {
    error_recorder errors;
    {
        const auto f = spawn([] { throw std::runtime_error("boom"); });
        EXPECT_EQ(f.exception(), nullptr);
        f.join();
    }
    EXPECT_EQ(errors.count(), 1u);
}

TEST_F(FiberFailure, OfTheSecondInAJoinAllIsReportedForNobodyHasSeenIt) {
    error_recorder errors;
    {
        const auto a = spawn([] { throw std::runtime_error("first"); });
        const auto b = spawn([] { throw std::runtime_error("second"); });
        EXPECT_THROW(join_all({.raise_error = true}, a, b), std::runtime_error);
        b.join();
    }
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].what, "second");
}

TEST_F(FiberFailure, OfAnyTypeIsKept) {
    EXPECT_THROW(spawn([] { throw 7; }).get(), int);
    EXPECT_THROW(spawn([]() -> int { throw std::string("text"); }).get(), std::string);
}

TEST_F(FiberFailure, ByDefaultIsPrintedWithTheFibersName) {
    testing::internal::CaptureStderr();
    spawn({.name = "printer"}, [] { throw std::runtime_error("to stderr"); });
    yield();
    const std::string printed = testing::internal::GetCapturedStderr();
    EXPECT_NE(printed.find("printer"), std::string::npos) << printed;
    EXPECT_NE(printed.find("to stderr"), std::string::npos) << printed;
}

}  // namespace
