// That the locks meet the standard's named requirements, and work with what the standard library locks by.

#include <copse/fibers.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <concepts>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>
#include <type_traits>

using copse::mutex;
using copse::recursive_mutex;
using copse::shared_mutex;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

template <class M>
concept basic_lockable = requires(M m) {
    { m.lock() } -> std::same_as<void>;
    { m.unlock() } -> std::same_as<void>;
};

template <class M>
concept lockable = basic_lockable<M> && requires(M m) {
    { m.try_lock() } -> std::same_as<bool>;
};

template <class M>
concept timed_lockable = lockable<M> && requires(M m) {
    { m.try_lock_for(1ms) } -> std::same_as<bool>;
    { m.try_lock_for(std::chrono::duration<double>(1)) } -> std::same_as<bool>;
    { m.try_lock_until(std::chrono::steady_clock::now()) } -> std::same_as<bool>;
    { m.try_lock_until(std::chrono::system_clock::now()) } -> std::same_as<bool>;
    { m.try_lock_until(copse::clock::now()) } -> std::same_as<bool>;
};

template <class M>
concept shared_lockable = requires(M m) {
    { m.lock_shared() } -> std::same_as<void>;
    { m.try_lock_shared() } -> std::same_as<bool>;
    { m.unlock_shared() } -> std::same_as<void>;
};

template <class M>
concept shared_timed_lockable = shared_lockable<M> && requires(M m) {
    { m.try_lock_shared_for(1ms) } -> std::same_as<bool>;
    { m.try_lock_shared_until(std::chrono::steady_clock::now()) } -> std::same_as<bool>;
    { m.try_lock_shared_until(std::chrono::system_clock::now()) } -> std::same_as<bool>;
};

// [thread.mutex.requirements.mutex]
template <class M>
concept mutex_type = timed_lockable<M> && std::is_default_constructible_v<M> && std::is_destructible_v<M> &&
                     !std::is_copy_constructible_v<M> &&
                     !std::is_move_constructible_v<M> && !std::is_copy_assignable_v<M>;

static_assert(mutex_type<copse::mutex> && mutex_type<copse::timed_mutex>);
static_assert(mutex_type<copse::recursive_mutex> && mutex_type<copse::recursive_timed_mutex>);
static_assert(mutex_type<copse::shared_mutex> && mutex_type<copse::shared_timed_mutex>);
static_assert(shared_timed_lockable<copse::shared_mutex>);
static_assert(!shared_lockable<copse::mutex>);
static_assert(timed_lockable<std::unique_lock<copse::shared_mutex>>);
static_assert(lockable<std::shared_lock<copse::shared_mutex>>);

template <class Condition, class Lock>
concept waits_with = requires(Condition c, Lock lock) {
    c.wait(lock);
    c.wait(lock, [] { return true; });
    { c.wait_for(lock, 1ms) } -> std::same_as<std::cv_status>;
    {
        c.wait_for(lock, 1ms, [] { return true; })
        } -> std::same_as<bool>;
    { c.wait_until(lock, std::chrono::steady_clock::now()) } -> std::same_as<std::cv_status>;
    {
        c.wait_until(lock, std::chrono::system_clock::now(), [] { return true; })
        } -> std::same_as<bool>;
};

static_assert(waits_with<copse::condition_variable, std::unique_lock<mutex>>);
static_assert(!waits_with<copse::condition_variable, std::unique_lock<recursive_mutex>>);
static_assert(!waits_with<copse::condition_variable, mutex>);
static_assert(waits_with<copse::condition_variable_any, std::unique_lock<mutex>>);
static_assert(waits_with<copse::condition_variable_any, std::unique_lock<recursive_mutex>>);
static_assert(waits_with<copse::condition_variable_any, std::shared_lock<shared_mutex>>);
static_assert(waits_with<copse::condition_variable_any, mutex>);
static_assert(!waits_with<copse::condition_variable_any, int>);

template <class M>
class Lockable : public copse_test::hub_test {};

using locks = testing::Types<mutex, recursive_mutex, shared_mutex>;
TYPED_TEST_SUITE(Lockable, locks);

TYPED_TEST(Lockable, UniqueLockInAllItsForms) {
    TypeParam m;
    std::unique_lock lock(m, std::defer_lock);
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
    EXPECT_TRUE(lock.try_lock_for(1s));
    lock.unlock();
    EXPECT_TRUE(lock.try_lock_until(std::chrono::system_clock::now() + 1s));
    EXPECT_TRUE(m.locked());
    const auto other = spawn([&m] {
        std::unique_lock timed(m, 1s);
        EXPECT_FALSE(timed.owns_lock());
        const std::unique_lock waiting(m);
        EXPECT_TRUE(waiting.owns_lock());
    });
    sleep(2s);
    lock.unlock();
    other.get();
    EXPECT_FALSE(m.locked());
}

TYPED_TEST(Lockable, ScopedLockOverSeveralTakesThemAllOrNone) {
    TypeParam a;
    TypeParam b;
    mutex c;
    int inside = 0;
    const auto forwards = [&] {
        for (int i = 0; i < 3; ++i) {
            const std::scoped_lock all(a, b, c);
            EXPECT_EQ(++inside, 1);
            sleep(1s);
            --inside;
        }
    };
    const auto backwards = [&] {
        for (int i = 0; i < 3; ++i) {
            const std::scoped_lock all(c, b, a);
            EXPECT_EQ(++inside, 1);
            sleep(1s);
            --inside;
        }
    };
    const auto f = spawn(forwards);
    const auto g = spawn(backwards);
    EXPECT_EQ(join_all({.timeout = 1h}, f, g), 2u);
    EXPECT_EQ(this->time.elapsed(), 6s);
    EXPECT_FALSE(a.locked() || b.locked() || c.locked());
}

using many_locks = testing::Types<copse::mutex, copse::recursive_mutex>;

template <class Lock>
class LockOfMany : public copse_test::hub_test {};
TYPED_TEST_SUITE(LockOfMany, many_locks);

// Hand-over alone would let them circle for ever: each gives way to one that has not run yet, and finds the other lock given too.
TYPED_TEST(LockOfMany, StdLockOfManyFibersInDifferentOrdersComesToAnEnd) {
    for (const int fibers : {3, 4, 5, 10}) {
        TypeParam a;
        TypeParam b;
        TypeParam c;
        int done = 0;
        std::vector<copse::fiber<void>> all;
        for (int i = 0; i < fibers; ++i) {
            all.push_back(spawn([&, i] {
                for (int round = 0; round < 5; ++round) {
                    std::unique_lock first(a, std::defer_lock);
                    std::unique_lock second(b, std::defer_lock);
                    std::unique_lock third(c, std::defer_lock);
                    switch (i % 3) {
                    case 0: std::lock(first, second, third); break;
                    case 1: std::lock(second, third, first); break;
                    default: std::lock(third, first, second); break;
                    }
                    yield();
                    ++done;
                }
            }));
        }
        for (int turn = 0; turn < 100'000 && done < 5 * fibers; ++turn) yield();
        EXPECT_EQ(done, 5 * fibers);
        if (done < 5 * fibers) copse::kill_all(all);
    }
}

TYPED_TEST(Lockable, StdLockAndStdTryLock) {
    TypeParam a;
    TypeParam b;
    std::lock(a, b);
    EXPECT_TRUE(a.locked() && b.locked());
    const auto other = spawn([&] {
        EXPECT_EQ(std::try_lock(a, b), 0);
        mutex free;
        EXPECT_EQ(std::try_lock(free, b), 1);
        EXPECT_FALSE(free.locked());
    });
    other.get();
    a.unlock();
    b.unlock();
    EXPECT_EQ(std::try_lock(a, b), -1);
    a.unlock();
    b.unlock();
}

// std::lock lets go of what it has when it is ended while it waits for the next.
TYPED_TEST(Lockable, AKillInTheMiddleOfStdLockLeavesAllFree) {
    TypeParam a;
    TypeParam b;
    b.lock();
    const auto victim = spawn([&] { const std::scoped_lock both(a, b); });
    yield();
    victim.kill();
    EXPECT_TRUE(victim.killed());
    EXPECT_FALSE(a.locked());
    EXPECT_THROW(copse::with_timeout(1s, [&] { copse::spawn([&] { const std::scoped_lock both(a, b); }).get(); }),
                 copse::timeout_expired);
    b.unlock();
    yield();
    EXPECT_FALSE(a.locked() || b.locked());
}

class SharedLockable : public copse_test::hub_test {};

TEST_F(SharedLockable, SharedLockInAllItsForms) {
    shared_mutex m;
    {
        std::shared_lock lock(m);
        std::shared_lock deferred(m, std::defer_lock);
        EXPECT_TRUE(deferred.try_lock());
        deferred.unlock();
        EXPECT_TRUE(deferred.try_lock_for(1s));
        EXPECT_EQ(m.readers(), 2u);
        const auto writer = spawn([&] { EXPECT_FALSE(std::unique_lock(m, 1s).owns_lock()); });
        writer.get();
    }
    EXPECT_EQ(m.readers(), 0u);
    shared_mutex n;
    std::shared_lock first(m, std::defer_lock);
    std::shared_lock second(n, std::defer_lock);
    std::lock(first, second);
    EXPECT_TRUE(first.owns_lock() && second.owns_lock());
}

}  // namespace
