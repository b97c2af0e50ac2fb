// Spawning, results, joining, and what is refused. gevent rules 14, 18, 33, 35, 40, 41, 113.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"
#include "stack_pool.hpp"
#include "worker.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::spawn_after;
using copse::yield;
using copse_test::error_recorder;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class FiberSpawn : public copse_test::hub_test {};
class FiberResult : public copse_test::hub_test {};
class FiberJoin : public copse_test::hub_test {};
class FiberMisuse : public copse_test::hub_test {};

int twice(int x) { return 2 * x; }

struct adder {
    int base;
    int add(int x) const { return base + x; }
    int operator()(int x) { return base += x; }
};

TEST_F(FiberSpawn, TakesEveryKindOfCallable) {
    std::function<int()> held = [] { return 4; };
    adder object{10};
    int once = 0;
    EXPECT_EQ(spawn(twice, 21).get(), 42);
    EXPECT_EQ(spawn(&twice, 4).get(), 8);
    EXPECT_EQ(spawn(held).get(), 4);
    EXPECT_EQ(spawn(object, 5).get(), 15);
    EXPECT_EQ(object.base, 10);  // a copy was called
    EXPECT_EQ(spawn(std::ref(object), 5).get(), 15);
    EXPECT_EQ(object.base, 15);
    EXPECT_EQ(spawn(&adder::add, adder{1}, 2).get(), 3);
    EXPECT_EQ(spawn(&adder::add, &object, 2).get(), 17);
    EXPECT_EQ(spawn(&adder::base, &object).get(), 15);
    EXPECT_EQ(spawn([&once]() mutable { return ++once; }).get(), 1);
    EXPECT_EQ(spawn([](auto a, auto b) { return a + b; }, 1, 2).get(), 3);
    EXPECT_EQ(spawn([](int a, int b, int c, int d) { return a + b + c + d; }, 1, 2, 3, 4).get(), 10);
    EXPECT_EQ(spawn({.name = "n"}, twice, 3).get(), 6);
    EXPECT_EQ(spawn_after(1s, twice, 3).get(), 6);
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(FiberSpawn, ANullCallableIsRefused) {
    EXPECT_THROW(spawn(std::function<void()>()), copse::null_callable);
    EXPECT_THROW(spawn(static_cast<int (*)(int)>(nullptr), 1), copse::null_callable);
    EXPECT_THROW(spawn_after(1s, std::function<void()>()), copse::null_callable);
}

TEST_F(FiberSpawn, MovesWhatCanOnlyBeMovedAndCopiesTheRest) {
    auto number = std::make_unique<int>(5);
    const std::string text = "text";
    auto result =
        spawn([](std::unique_ptr<int> n, std::string t) { return t + std::to_string(*n); }, std::move(number), text);
    EXPECT_EQ(result.get(), "text5");
    EXPECT_EQ(text, "text");
    EXPECT_EQ(spawn([kept = std::make_unique<int>(6)] { return *kept; }).get(), 6);
}

TEST_F(FiberSpawn, ArgumentsEndWhenTheFiberHasFinishedNotWhenItsHandlesGo) {
    const auto token = std::make_shared<int>(1);
    const auto f = spawn([](const std::shared_ptr<int>&) {}, token);
    EXPECT_EQ(token.use_count(), 2);
    f.join();
    EXPECT_EQ(token.use_count(), 1);
}

struct throws_on_copy {
    throws_on_copy() = default;
    throws_on_copy(const throws_on_copy& /*other*/) { throw std::runtime_error("copy"); }
};

TEST_F(FiberSpawn, AnArgumentThatThrowsWhenCopiedLeavesNothing) {
    const throws_on_copy argument;
    const auto before = copse::debug::live_greenlets();
    EXPECT_EQ(what_is_thrown_by([&] { spawn([](const throws_on_copy&) {}, argument); }), "copy");
    EXPECT_EQ(copse::debug::live_greenlets(), before);
    EXPECT_EQ(hub::current().stats().fibers, 0u);
    EXPECT_EQ(hub::current().stats().ready, 0u);
}

// ST09
TEST_F(FiberSpawn, Fault_ST09_AStackSizeOutOfRangeIsRefusedAndLeavesNothing) {
    const auto token = std::make_shared<int>(1);
    const auto before = copse::debug::live_greenlets();
    for (const std::size_t size : {copse::maximum_stack_size + 1, std::numeric_limits<std::size_t>::max()}) {
        EXPECT_THROW(spawn({.name = "huge", .stack_size = size}, [token] {}), std::invalid_argument);
    }
    EXPECT_EQ(copse::debug::live_greenlets(), before);
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_EQ(hub::current().stats().fibers, 0u);
    EXPECT_EQ(hub::current().stats().ready, 0u);
    for (const std::size_t size : {1ul, 4095ul, 16384ul, 100'000ul}) {
        EXPECT_EQ(spawn({.stack_size = size}, [] { return 1; }).get(), 1);
    }
}

void* refuse_memory(void* /*where*/, std::size_t /*size*/, int /*access*/, int /*flags*/, int /*file*/, long /*at*/) {
    errno = ENOMEM;
    return MAP_FAILED;
}

// ST05: no stack at the first run: the fiber fails, the hub goes on
TEST_F(FiberSpawn, Fault_ST05_WithoutAStackTheFiberFailsAndTheOthersGoOn) {
    const auto token = std::make_shared<int>(1);
    const auto other = spawn([] { return sleep(1s), 2; });
    yield();
    const auto f = spawn({.name = "large", .stack_size = 192 * 1024 * 1024}, [token] { return 1; });
    const auto calls = copse::detail::stack_calls;
    copse::detail::stack_calls.mmap = &refuse_memory;
    f.join();
    copse::detail::stack_calls = calls;
    EXPECT_THROW(f.get(), std::system_error);
    EXPECT_FALSE(f.killed());
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_EQ(other.get(), 2);
}

TEST_F(FiberSpawn, NamesAndIdentity) {
    const auto f = spawn({.name = "reader"},
                         [] { return copse::this_fiber::name() + "/" + std::to_string(copse::this_fiber::id()); });
    EXPECT_EQ(f.name(), "reader");
    EXPECT_EQ(f.get(), "reader/" + std::to_string(f.id()));
    f.set_name("was reader");
    EXPECT_EQ(f.name(), "was reader");
    const auto same = f;
    const auto other = spawn([] { return std::string(); });
    EXPECT_TRUE(f == same);
    EXPECT_FALSE(copse::any_fiber(f) == copse::any_fiber(other));
    EXPECT_EQ(f.underlying().id(), f.id());
}

TEST_F(FiberSpawn, DroppingTheHandleDoesNotStopTheFiber) {
    spawn([this] {
        sleep(1s);
        log("ran");
    });
    sleep(2s);
    EXPECT_EQ(log.text(), "ran");
}

TEST_F(FiberSpawn, JoinAllTakesRangesWhoseHandlesAreTemporary) {
    std::vector<copse::fiber<int>> all;
    for (int i = 3; i > 0; --i) {
        all.push_back(spawn([this, i] {
            sleep(std::chrono::hours(i));
            log(i);
            return i;
        }));
    }
    copse::generator<copse::any_fiber> passing([&all](auto yield) {
        for (const auto& f : all) yield(copse::any_fiber(f));
    });
    EXPECT_EQ(join_all(passing), 3u);
    EXPECT_EQ(log.text(), "1 2 3");
}

// Design §2: a fiber that finishes runs the next unstarted one on its own stack.
TEST_F(FiberSpawn, OneThatStartsOnAUsedStackMayYieldAlone) {
    const auto first = spawn([] {});
    const auto second = spawn([this] {
        for (int i = 0; i < 3; ++i) yield();
        sleep(1s);
        log("second");
    });
    join_all(first, second);
    EXPECT_EQ(log.text(), "second");
}

TEST_F(FiberSpawn, ManyThatNeverParkShareOneStack) {
    const std::size_t before = copse::debug::live_stacks();
    std::size_t most = 0;
    for (int i = 0; i < 1000; ++i) spawn([&] { most = std::max(most, copse::debug::live_stacks()); });
    yield();
    EXPECT_LE(most, before + 1);
}

TEST_F(FiberSpawn, OneThatIsNotStartedWaitsForItsStart) {
    const auto f = spawn({.name = "held", .start = false}, [this] { log("ran"); });
    sleep(1h);
    EXPECT_EQ(log.text(), "");
    EXPECT_FALSE(f.join_for(1h));
    f.start();
    f.start();
    EXPECT_EQ(log.text(), "");
    f.join();
    f.start();
    EXPECT_EQ(log.text(), "ran");
    const auto killed = spawn({.start = false}, [this] { log("never"); });
    killed.kill();
    killed.start();
    yield();
    EXPECT_TRUE(killed.killed());
    EXPECT_EQ(log.text(), "ran");
}

TEST_F(FiberSpawn, StartBringsADelayedOneForward) {
    const auto f = spawn_after(1h, [this] { log("ran"); });
    f.start();
    f.join();
    EXPECT_EQ(time.elapsed(), 0h);
    EXPECT_EQ(hub::current().stats().timers, 0u);
}

TEST_F(FiberSpawn, AtAPointInTime) {
    const auto start = copse::clock::now();
    const auto f = copse::spawn_at(
        start + 2h, [this](int n) { log("ran", n); }, 1);
    const auto past = copse::spawn_at(start - 2h, [this] { log("past"); });
    const auto never = copse::spawn_at(copse::clock::time_point::max(), [] {});
    copse::join_all(f, past);
    EXPECT_EQ(log.text(), "past ran1");
    EXPECT_EQ(time.elapsed(), 2h);
    never.kill();
}

// rule 18
TEST_F(FiberSpawn, AKillBeforeADelayedStartLeavesNoTimer) {
    const auto f = spawn_after(1h, [this] { log("ran"); });
    f.kill();
    EXPECT_TRUE(f.ready());
    EXPECT_TRUE(f.killed());
    EXPECT_EQ(hub::current().stats().timers, 0u);
    sleep(2h);
    EXPECT_EQ(log.text(), "");
}

TEST_F(FiberResult, VoidReferenceAndMoveOnly) {
    int target = 1;
    spawn([] {}).get();
    const auto by_reference = spawn([&]() -> int& { return target; });
    by_reference.get() = 9;
    EXPECT_EQ(target, 9);
    EXPECT_EQ(&by_reference.get(), &target);
    const auto unique = spawn([] { return std::make_unique<int>(3); });
    EXPECT_EQ(*unique.get(), 3);
    EXPECT_THROW(unique.get(), copse::value_taken);
    EXPECT_THROW(unique.get_for(1s), copse::value_taken);
    EXPECT_TRUE(unique.successful());
}

// rule 41
TEST_F(FiberResult, GetTwiceGivesACopyEachTime) {
    const auto f = spawn([] { return std::vector<int>{1, 2, 3}; });
    std::vector<int> first = f.get();
    first.clear();
    EXPECT_EQ(f.get(), (std::vector<int>{1, 2, 3}));
}

TEST_F(FiberResult, TimedFormsSayWhenItWasTooEarly) {
    int target = 1;
    const auto value = spawn([] { return sleep(1s), 5; });
    const auto nothing = spawn([] { sleep(1s); });
    const auto reference = spawn([&]() -> int& { return sleep(1s), target; });
    EXPECT_EQ(value.get_for(300ms), std::nullopt);
    EXPECT_FALSE(nothing.get_for(300ms));
    EXPECT_EQ(reference.get_for(300ms), nullptr);
    EXPECT_EQ(time.elapsed(), 900ms);
    EXPECT_EQ(value.get_for(1s), 5);
    EXPECT_TRUE(nothing.get_for(0s));
    EXPECT_EQ(reference.get_until(copse::clock::now()), &target);
    EXPECT_EQ(time.elapsed(), 1s);
}

// rule 41: the same object each time
TEST_F(FiberResult, GetThrowsTheSameObjectEachTime) {
    const auto f = spawn([]() -> int { throw std::runtime_error("failed"); });
    const auto address = [&]() -> const void* {
        try {
            f.get();
        } catch (const std::runtime_error& e) {
            return &e;
        }
        return nullptr;
    };
    EXPECT_NE(address(), nullptr);
    EXPECT_EQ(address(), address());
    EXPECT_EQ(what_is_thrown_by([&] { f.get_for(1s); }), "failed");
}

TEST_F(FiberResult, OfAKilledFiberIsFiberKilledNotItsExit) {
    const auto f = spawn([] { return sleep(1s), 1; });
    yield();
    f.kill();
    EXPECT_THROW(f.get(), copse::fiber_killed);
    EXPECT_THROW(f.get_for(0s), copse::fiber_killed);
    EXPECT_TRUE(f.ready());
    EXPECT_TRUE(f.killed());
    EXPECT_FALSE(f.successful());
    EXPECT_EQ(f.exception(), nullptr);
}

// rule 14
TEST_F(FiberJoin, OfAFinishedFiberDoesNotSwitch) {
    const auto f = spawn([] { return 1; });
    f.join();
    spawn([this] { log("other"); });
    f.join();
    f.get();
    f.kill();
    EXPECT_TRUE(f.join_for(0s));
    EXPECT_EQ(log.text(), "");
    yield();
}

// rule 40, decision 7
TEST_F(FiberJoin, OfNoLengthStillGivesTheOthersOneTurn) {
    const auto quick = spawn([this] { log("ran"); });
    EXPECT_TRUE(quick.join_for(0s));
    const auto slow = spawn([this] {
        log("slow");
        sleep(1s);
    });
    EXPECT_FALSE(slow.join_for(0s));
    EXPECT_FALSE(slow.join_for(-5s));
    EXPECT_EQ(log.text(), "ran slow");
    EXPECT_EQ(time.elapsed(), 0ns);
    EXPECT_FALSE(slow.join_until(copse::clock::now() + 1ms));
    EXPECT_TRUE(slow.join_for(1s));
    EXPECT_EQ(time.elapsed(), 1s);
}

// rules 33, 35
TEST_F(FiberJoin, JoinersGoOnInTheOrderInWhichTheyCame) {
    const auto f = spawn([] { sleep(1ms); });
    for (int i = 0; i < 100; ++i) {
        spawn([&, i] {
            f.join();
            log(i);
        });
    }
    sleep(2ms);
    std::string expected = "0";
    for (int i = 1; i < 100; ++i) expected += " " + std::to_string(i);
    EXPECT_EQ(log.text(), expected);
}

// main needs no set-up and blocks like any fiber
TEST_F(FiberJoin, MainBlocksLikeAnyFiber) {
    const auto f = spawn([this] {
        log("child");
        sleep(1s);
        log("child-end");
    });
    spawn([this] { log("sibling"); });
    log("main");
    f.join();
    log("main-end");
    EXPECT_EQ(log.text(), "main child sibling child-end main-end");
}

TEST_F(FiberMisuse, AnEmptyHandleIsRefused) {
    const copse::fiber<int> none;
    EXPECT_TRUE(none.empty());
    EXPECT_FALSE(none);
    EXPECT_TRUE(none == copse::fiber<int>());
    EXPECT_THROW(none.join(), copse::empty_handle);
    EXPECT_THROW(none.join_for(1s), copse::empty_handle);
    EXPECT_THROW(none.get(), copse::empty_handle);
    EXPECT_THROW(none.kill(), copse::empty_handle);
    EXPECT_THROW(none.request_kill(), copse::empty_handle);
    EXPECT_THROW(none.ready(), copse::empty_handle);
    EXPECT_THROW(none.successful(), copse::empty_handle);
    EXPECT_THROW(none.killed(), copse::empty_handle);
    EXPECT_THROW(none.exception(), copse::empty_handle);
    EXPECT_THROW(none.name(), copse::empty_handle);
    EXPECT_THROW(none.id(), copse::empty_handle);
    EXPECT_THROW(join_all(none), copse::empty_handle);
    EXPECT_THROW(join_all(std::vector{none}), copse::empty_handle);
}

// rule 113 changed
TEST_F(FiberMisuse, AnotherThreadIsRefusedAndNothingChanges) {
    const auto f = spawn([] { return 1; });
    copse_test::in_thread([&] {
        EXPECT_THROW(f.join(), copse::wrong_thread);
        EXPECT_THROW(f.get(), copse::wrong_thread);
        EXPECT_THROW(f.kill(), copse::wrong_thread);
        EXPECT_THROW(f.request_kill(), copse::wrong_thread);
        EXPECT_THROW(f.ready(), copse::wrong_thread);
        EXPECT_THROW(f.exception(), copse::wrong_thread);
        EXPECT_THROW(join_all(f), copse::wrong_thread);
        const copse::any_fiber copy = f;  // counting handles is safe
        EXPECT_TRUE(copy == f);
    });
    EXPECT_EQ(f.get(), 1);
}

TEST_F(FiberMisuse, AFiberOfAnEndedThreadIsRefused) {
    copse::fiber<int> f;
    copse_test::in_thread([&] {
        f = spawn([] { return 1; });
        f.join();
    });
    EXPECT_THROW(f.get(), copse::thread_exited);
    EXPECT_THROW(f.kill(), copse::thread_exited);
}

}  // namespace
