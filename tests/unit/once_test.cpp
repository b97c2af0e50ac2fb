// call_once. SY08; decision 3.

#include <copse/once.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <utility>

using copse::call_once;
using copse::once_flag;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class CallOnce : public copse_test::hub_test {
protected:
    // Calls it as `name`; the call takes a second, and throws if it is to.
    copse::fiber<void> calling(char name, bool throws = false) {
        return spawn([this, name, throws] {
            call_once(flag, [&] {
                log("run-", name);
                sleep(1s);
                if (throws) throw std::runtime_error("boom");
            });
            log(name);
        });
    }

    once_flag flag;
};

TEST_F(CallOnce, CallsOnceWithTheArguments) {
    int sum = 0;
    const auto add = [&](std::unique_ptr<int> a, int b) { sum += *a + b; };
    EXPECT_FALSE(flag.done());
    call_once(flag, add, std::make_unique<int>(1), 2);
    EXPECT_TRUE(flag.done());
    spawn([this] { log("other"); });
    call_once(flag, add, std::make_unique<int>(1), 2);
    EXPECT_EQ(sum, 3);
    EXPECT_EQ(log.text(), "");
    yield();
}

TEST_F(CallOnce, Fault_SY08_TheOthersWaitForTheEndOfTheFirst) {
    for (const char name : {'a', 'b', 'c'}) calling(name);
    sleep(500ms);
    EXPECT_EQ(log.text(), "run-a");
    EXPECT_FALSE(flag.done());
    sleep(500ms);
    yield();
    EXPECT_EQ(log.text(), "run-a a b c");
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(CallOnce, AnExceptionLetsTheLongestWaiterTry) {
    const auto a = calling('a', true);
    const auto b = calling('b', true);
    const auto c = calling('c');
    const auto d = calling('d');
    join_all(a, b, c, d);
    EXPECT_EQ(log.text(), "run-a run-b run-c c d");
    EXPECT_EQ(what_is_thrown_by([&] { a.get(); }), "boom");
    EXPECT_EQ(what_is_thrown_by([&] { b.get(); }), "boom");
    EXPECT_TRUE(flag.done());
}

TEST_F(CallOnce, WithoutAWaiterTheNextCallTries) {
    EXPECT_THROW(call_once(flag, [] { throw std::runtime_error("boom"); }), std::runtime_error);
    EXPECT_FALSE(flag.done());
    call_once(flag, [this] { log("second"); });
    EXPECT_EQ(log.text(), "second");
}

TEST_F(CallOnce, AKillOfTheOneThatRunsItLetsTheNextTry) {
    const auto a = calling('a');
    const auto b = calling('b');
    yield();
    a.kill();
    b.join();
    EXPECT_TRUE(a.killed());
    EXPECT_EQ(log.text(), "run-a run-b b");
}

TEST_F(CallOnce, AKilledWaiterIsPassedOver) {
    const auto a = calling('a', true);
    const auto b = calling('b');
    const auto c = calling('c');
    yield();
    b.kill();
    join_all(a, c);
    EXPECT_EQ(what_is_thrown_by([&] { a.get(); }), "boom");
    EXPECT_EQ(log.text(), "run-a run-c c");
}

// decision 3: the turn is acquired; the kill comes at the next wait, and then the turn is handed on.
TEST_F(CallOnce, AKillInTheTurnInWhichItIsLetOnComesAtTheNextWait) {
    const auto a = spawn([this] {
        call_once(flag, [] {
            yield();
            throw std::runtime_error("boom");
        });
    });
    const auto b = calling('b');
    const auto c = calling('c');
    const auto killer = spawn([&] {
        a.join();
        b.request_kill();
    });
    join_all(b, c, killer);
    EXPECT_EQ(what_is_thrown_by([&] { a.get(); }), "boom");
    EXPECT_TRUE(b.killed());
    EXPECT_EQ(log.text(), "run-b run-c c");
}

TEST_F(CallOnce, ATimeoutScopeEndsTheWaitAndTheCall) {
    const auto a = calling('a');
    yield();
    EXPECT_THROW(copse::with_timeout(500ms, [&] { call_once(flag, [] {}); }), copse::timeout_expired);
    a.join();
    EXPECT_TRUE(flag.done());
    once_flag other;
    EXPECT_THROW(copse::with_timeout(1s, [&] { call_once(other, [] { sleep(1h); }); }), copse::timeout_expired);
    EXPECT_FALSE(other.done());
    call_once(other, [] {});
    EXPECT_TRUE(other.done());
}

TEST_F(CallOnce, InsideItselfIsRefused) {
    call_once(flag, [this] {
        EXPECT_THROW(call_once(flag, [this] { log("never"); }), copse::self_deadlock);
        EXPECT_NE(what_is_thrown_by([this] { call_once(flag, [] {}); }).find("call_once"), std::string::npos);
    });
    EXPECT_TRUE(flag.done());
    EXPECT_EQ(log.text(), "");
}

TEST_F(CallOnce, OnceItIsDoneItIsStillAPlaceToBeKilled) {
    call_once(flag, [] {});
    copse::fiber<void> victim;
    victim = spawn([&] {
        victim.request_kill();
        call_once(flag, [] {});
        log("never");
    });
    victim.join();
    EXPECT_EQ(log.text(), "");
}

}  // namespace
