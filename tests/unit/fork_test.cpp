// Fork (decision 8): the child keeps the fiber that forked, and what that can reach by hand.

#include "fork_test.hpp"

#include <copse/fibers.hpp>

#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <thread>

using namespace std::chrono_literals;
using copse_test::in_child;
using copse_test::in_child_of_fiber;

using Fork = copse_test::fork_test;

TEST_F(Fork, OnlyTheForkerGoesOn) {
    auto asleep = copse::spawn([&] {
        copse::sleep(1ms);
        log("asleep");
    });
    auto busy = copse::spawn([&] {
        copse::yield();
        log("busy");
    });
    auto forker = copse::spawn([&] {
        in_child([&] {
            auto unstarted = copse::spawn([&] { log("spawned"); });
            copse::sleep(1h);
            EXPECT_EQ(log.text(), "spawned");
            EXPECT_EQ(copse::hub::current().stats().fibers, 1U);
            EXPECT_EQ(copse::hub::current().stats().timers, 0U);
        });
    });
    auto unstarted = copse::spawn([&] { log("unstarted"); });
    auto later = copse::spawn_after(1ms, [&] { log("later"); });
    copse::join_all(asleep, busy, forker, unstarted, later);
    EXPECT_EQ(log.text(), "unstarted busy later asleep");
}

TEST_F(Fork, MainGoesOn) {
    auto asleep = copse::spawn([&] {
        copse::sleep(1ms);
        log("asleep");
    });
    copse::yield();
    in_child([&] {
        copse::sleep(1h);
        EXPECT_EQ(log.text(), "");
        EXPECT_EQ(copse::hub::current().stats().fibers, 0U);
        copse::hub::current().run_until_idle();
    });
    asleep.join();
    EXPECT_EQ(log.text(), "asleep");
}

TEST_F(Fork, Fault_FK01_ChildOfAChild) {
    auto asleep = copse::spawn([&] {
        copse::sleep(1ms);
        log("asleep");
    });
    in_child_of_fiber([&] {
        auto mine = copse::spawn([&] {
            copse::sleep(1ms);
            log("mine");
        });
        copse::yield();
        in_child([&] {
            copse::sleep(1h);
            EXPECT_EQ(log.text(), "");
        });
        mine.join();
        EXPECT_EQ(log.text(), "mine");
    });
    asleep.join();
}

TEST_F(Fork, JoiningWhoIsNotThereThrows) {
    copse::event never;
    auto parked = copse::spawn([&] {
        never.wait();
        return 7;
    });
    in_child_of_fiber([&] {
        EXPECT_THROW(parked.join(), copse::left_in_parent);
        EXPECT_THROW(parked.get(), copse::left_in_parent);
        EXPECT_THROW(copse::join_all(parked), copse::left_in_parent);
        EXPECT_TRUE(parked.ready());
        EXPECT_FALSE(parked.successful());
        EXPECT_FALSE(parked.killed());
        EXPECT_NE(parked.exception(), nullptr);
        parked.kill();
        never.set();
    });
    never.set();
    EXPECT_EQ(parked.get(), 7);
}

TEST_F(Fork, LinksAreCalledInTheParentOnly) {
    copse::event end;
    auto parked = copse::spawn([&] { end.wait(); });
    parked.link([&](const auto& /*of*/) { log("linked"); });
    in_child_of_fiber([&] {
        end.set();
        copse::sleep(1ms);
        EXPECT_EQ(log.text(), "");
    });
    end.set();
    parked.join();
    copse::sleep(1ms);
    EXPECT_EQ(log.text(), "linked");
}

TEST_F(Fork, GroupOfWhoIsNotThereIsEmpty) {
    copse::event end;
    copse::group all;
    for (int i = 0; i < 3; ++i) all.spawn([&] { end.wait(); });
    in_child_of_fiber([&] {
        EXPECT_TRUE(all.empty());
        all.join();
    });
    end.set();
    all.join();
}

TEST_F(Fork, LockOfWhoIsNotThereStaysLocked) {
    copse::timed_mutex lock;
    copse::shared_mutex written;
    copse::recursive_mutex twice;
    copse::event end;
    auto holder = copse::spawn([&] {
        const std::scoped_lock both(lock, written, twice);
        end.wait();
    });
    copse::yield();
    in_child_of_fiber([&] {
        EXPECT_THROW(lock.lock(), copse::left_in_parent);
        EXPECT_THROW(lock.try_lock_for(1s), copse::left_in_parent);
        EXPECT_FALSE(lock.try_lock());
        EXPECT_THROW(written.lock(), copse::left_in_parent);
        EXPECT_THROW(written.lock_shared(), copse::left_in_parent);
        EXPECT_THROW(twice.lock(), copse::left_in_parent);
    });
    end.set();
    holder.join();
}

TEST_F(Fork, NothingIsHandedToWhoIsNotThere) {
    copse::semaphore permits(0);
    copse::queue<int> items(1);
    copse::queue<int> full(1);
    copse::shared_timed_mutex lock;
    full.put(1);
    lock.lock();
    auto wants_permit = copse::spawn([&] { permits.acquire(); });
    auto wants_item = copse::spawn([&] { return items.get(); });
    auto offers = copse::spawn([&] { full.put(2); });
    auto writer = copse::spawn([&] { const std::lock_guard in(lock); });
    auto reader = copse::spawn([&] { const std::shared_lock in(lock); });
    copse::yield();
    in_child([&] {
        permits.release();
        EXPECT_TRUE(permits.try_acquire());
        items.put(5);
        EXPECT_EQ(items.try_get(), 5);
        EXPECT_EQ(full.try_get(), 1);
        EXPECT_EQ(full.try_get(), std::nullopt);
        lock.unlock();
        EXPECT_TRUE(lock.try_lock());
        lock.unlock();
    });
    permits.release();
    items.put(5);
    EXPECT_EQ(full.get(), 1);
    lock.unlock();
    EXPECT_EQ(wants_item.get(), 5);
    copse::join_all(wants_permit, offers, writer, reader);
    EXPECT_EQ(full.try_get(), 2);
}

TEST_F(Fork, ObjectsThatWereWaitedForMayEnd) {
    auto lock = std::make_unique<copse::mutex>();
    auto result = std::make_unique<copse::async_result<int>>();
    lock->lock();
    auto waiter = copse::spawn([&] {
        const std::lock_guard in(*lock);
        (void)result->get();
    });
    auto reader = copse::spawn([&] { (void)result->get(); });
    copse::yield();
    lock->unlock();  // handed over; the waiter has not run
    result->set(1);
    in_child([&] {
        lock.reset();
        result.reset();
    });
    copse::join_all(waiter, reader);
}

TEST_F(Fork, DeadlockIsToldToTheForker) {
    copse::event never;
    auto parked = copse::spawn([&] { never.wait(); });
    in_child_of_fiber([&] {
        copse::event other;
        EXPECT_THROW(other.wait(), copse::would_block_forever);
        EXPECT_NO_THROW(copse::hub::current().run_until_idle()) << "it is what main was";
    });
    never.set();
    parked.join();
}

TEST_F(Fork, WhatIsReachedByHandStays) {
    copse::generator<int> counting([](auto yield) {
        for (int i = 0;; ++i) yield(i);
    });
    EXPECT_EQ(counting.next(), 0);
    auto forker = copse::spawn([&] {
        copse::generator<int> mine([](auto yield) {
            for (int i = 10;; ++i) yield(i);
        });
        EXPECT_EQ(mine.next(), 10);
        copse::greenlet inner([&] {
            in_child([&] {
                EXPECT_EQ(mine.next(), 11);
                copse::sleep(1s);
            });
        });
        inner.switch_to();
        EXPECT_EQ(mine.next(), 11);
    });
    forker.get();
    in_child([&] { EXPECT_EQ(counting.next(), 1); });
    EXPECT_EQ(counting.next(), 1);
}

TEST_F(Fork, TimeoutsOfTheForkerGoOn) {
    copse::spawn([&] {
        copse::timeout limit(5s);
        in_child([&] {
            EXPECT_THROW(copse::sleep(10s), copse::timeout_expired);
            EXPECT_EQ(time.elapsed(), 5s);
        });
    }).get();
}

TEST_F(Fork, HandlesOfTheHubFromBeforeReachTheParentOnly) {
    const copse::hub_handle before = copse::hub::current().handle();
    copse::hub::current().post([&] { log("posted"); });
    in_child([&] {
        EXPECT_TRUE(before.expired());
        EXPECT_THROW(before.post([] {}), copse::thread_exited);
        copse::sleep(1s);
        EXPECT_EQ(log.text(), "");
        const copse::hub_handle mine = copse::hub::current().handle();
        std::thread([&] { mine.post([&] { log("mine"); }); }).join();
        copse::sleep(1s);
        EXPECT_EQ(log.text(), "mine");
    });
    copse::sleep(1s);
    EXPECT_EQ(log.text(), "posted");
}

TEST_F(Fork, SiblingsThatAreNotThereHaveNotFailed) {
    copse::with_nursery([&](copse::nursery& children) {
        children.spawn([] { copse::sleep(1ms); });
        children.spawn([&] {
            in_child([&] {
                copse::sleep(1s);
                log("child");
                EXPECT_EQ(log.text(), "child");
            });
        });
    });
    copse::with_nursery([&](copse::nursery& children) {
        children.spawn([] { copse::sleep(1ms); });
        copse::yield();
        in_child([&] { copse::sleep(1s); });
    });
}

// A fiber has finished, and its result's destructor waits, or forks.
TEST_F(Fork, WhoEndsItsResultIsLeftLikeTheOthers) {
    struct slow {
        explicit slow(copse_test::event_log& to) : log(&to) {}
        slow(slow&& other) noexcept : log(std::exchange(other.log, nullptr)) {}
        ~slow() {
            if (log == nullptr) return;
            const copse::shield safe;
            copse::sleep(1ms);
            (*log)("ended");
        }
        copse_test::event_log* log;
    };
    copse::spawn([&] { return slow(log); });  // nobody has a handle on it
    copse::yield();
    in_child([&] {
        copse::sleep(1h);
        EXPECT_EQ(log.text(), "");
    });
    copse::sleep(2ms);
    EXPECT_EQ(log.text(), "ended");
}

TEST_F(Fork, InTheDestructorOfAResult) {
    struct forks {
        forks() = default;
        forks(forks&& other) noexcept : whole(std::exchange(other.whole, false)) {}
        ~forks() {
            if (!whole) return;
            in_child([] { copse::sleep(1ms); });
        }
        bool whole = true;
    };
    copse::spawn([] { return forks(); });
    copse::sleep(2ms);
}

TEST_F(Fork, ThePostedFunctionThatSwitchedAwayIsNotTheChilds) {
    copse::greenlet parked;
    copse::event go;
    copse::hub::current().post([&] {
        parked = copse::greenlet([&] { go.wait(); });
        parked.switch_to();
    });
    copse::yield();
    copse::yield();
    in_child_of_fiber([&] {
        copse::hub::current().post([&] { log("posted"); });
        copse::sleep(1s);
        EXPECT_EQ(log.text(), "posted");
    });
    go.set();
    copse::sleep(1ms);
}
