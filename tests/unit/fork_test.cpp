// Fork (decision 8): the child keeps the fiber that forked, and what that can reach by hand.

#include "hub_test.hpp"
#include "sanitizer.hpp"

#include <copse/fibers.hpp>
#include <copse/shared.hpp>

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <thread>

using namespace std::chrono_literals;

namespace {

class Fork : public copse_test::hub_test {
protected:
    void SetUp() override {
        // ThreadSanitizer takes fibers for threads, and sees nothing any more in the child of a process with several.
        if (copse_test::thread_sanitized) GTEST_SKIP() << "ThreadSanitizer cannot follow";
    }
};

/// Forks right here. The child does `body` and is gone; it succeeds if nothing in it failed or was thrown.
void in_child(const std::function<void()>& body) {
    std::fflush(stdout);
    const pid_t forked = ::fork();
    if (forked == 0) {
        try {
            body();
        } catch (const std::exception& e) {
            ADD_FAILURE() << "the child threw: " << e.what();
        }
        std::fflush(stdout);
        ::_exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(forked, &status, 0), forked);
    EXPECT_EQ(status, 0);
}

/// The same from a fiber, after all that is ready now has run.
void in_child_of_fiber(const std::function<void()>& body) {
    copse::spawn([&] { in_child(body); }).get();
}

}  // namespace

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

TEST_F(Fork, Fault_FK02_FromAThreadWithoutAHub) {
    std::thread([] {
        in_child([] {
            auto f = copse::spawn([] {
                copse::sleep(1us);
                return 3;
            });
            EXPECT_EQ(f.get(), 3);
        });
    }).join();
}

// A hundred forks while another thread posts, which takes every lock that a post takes.
TEST_F(Fork, Fault_FK02_WhileAnotherThreadHoldsOurLocks) {
    std::atomic<bool> stop{false};
    std::atomic<int> posted{0};
    std::thread poster([&, home = copse::hub::current().handle()] {
        while (!stop) {
            if (++posted < 100) home.post([] {});
        }
    });
    for (int i = 0; i < 100; ++i) {
        in_child([] {
            copse::hub::current().post([] {});
            copse::sleep(1s);
            copse::local<int> value;
            *value = 1;
        });
        copse::yield();
        posted = 0;
    }
    stop = true;
    poster.join();
    copse::hub::current().run_until_idle();
}

TEST_F(Fork, Fault_DN10_ThreadPoolWorksInTheChild) {
    copse::thread_pool pool({.threads = 1});
    EXPECT_EQ(pool.apply([] { return 1; }), 1);  // its thread is there, and idle
    std::atomic<bool> go{false};
    auto waiting = copse::spawn([&] {
        pool.apply([&go] {
            while (!go) std::this_thread::yield();
        });
    });
    copse::yield();
    auto in_line = copse::spawn([&] { return pool.apply([] { return 2; }); });
    copse::yield();
    in_child_of_fiber([&] {
        EXPECT_EQ(pool.queued(), 0U);
        EXPECT_EQ(pool.apply([] { return 3; }), 3);
        EXPECT_EQ(copse::blocking([] { return 4; }), 4);
        copse::thread_pool().apply([] {});  // and may end
    });
    go = true;
    waiting.join();
    EXPECT_EQ(in_line.get(), 2);
}

TEST_F(Fork, Fault_FK02_FromAThreadOfAPoolEndsTheChildWithTheFunction) {
    const pid_t child = copse::blocking([] { return ::fork(); });
    ASSERT_GT(child, 0) << "the child has nobody to return it to";
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    if (!copse_test::address_sanitized) {  // which finds that the memory of the other threads leaks
        EXPECT_EQ(status, 0);
    }
}

TEST_F(Fork, WorkersAreTheParents) {
    copse::shared::event end;
    copse::workers two(2, [&](std::size_t) { end.wait(); });
    in_child([&] {
        EXPECT_THROW(two.join(), copse::left_in_parent);
        EXPECT_TRUE(two.hub(0).expired());
        copse::workers mine(1, [&](std::size_t) { log("mine"); });
        mine.join();
        EXPECT_EQ(log.text(), "mine");
    });
    end.set();
    two.join();
}

TEST_F(Fork, WorkersMayEndInTheChild) {
    copse::shared::event end;
    auto two = std::make_unique<copse::workers>(2, [&](std::size_t) { end.wait(); });
    in_child([&] { two.reset(); });
    end.set();
    two->join();
}

TEST_F(Fork, SharedObjectsHandNothingToWhoIsNotThere) {
    copse::shared::semaphore permits(0);
    copse::shared::queue<int> items(1);
    auto wants_permit = copse::spawn([&] { permits.acquire(); });
    auto wants_item = copse::spawn([&] { return items.get(); });
    copse::yield();
    in_child_of_fiber([&] {
        permits.release();
        EXPECT_TRUE(permits.try_acquire());
        items.put(7);
        EXPECT_EQ(items.try_get(), 7);
        copse::event never;
        EXPECT_THROW(never.wait(), copse::would_block_forever) << "those who waited for other threads are gone";
    });
    permits.release();
    items.put(8);
    wants_permit.join();
    EXPECT_EQ(wants_item.get(), 8);
}

// The other thread takes the mutex of the object all the time.
TEST_F(Fork, SharedObjectsThatAreInUseMeanwhile) {
    copse::shared::semaphore permits(0);
    auto waiting = copse::spawn([&] { permits.acquire(); });
    copse::yield();
    std::atomic<bool> stop{false};
    std::thread other([&] {
        while (!stop) permits.try_acquire();
    });
    for (int i = 0; i < 100; ++i) {
        in_child([&] {
            permits.release();
            EXPECT_TRUE(permits.try_acquire());
        });
    }
    stop = true;
    other.join();
    permits.release();
    waiting.join();
}

// AddressSanitizer leaves a lock that another thread holds at a fork locked in the child: ours have begun and sleep by then.
void let_threads_sleep() { copse::sleep(1ms); }

TEST_F(Fork, WatchdogWatchesTheChild) {
    std::atomic<int> reports{0};
    const copse::watchdog guard({.limit = 20ms, .report = [&](const copse::stall_report&) { ++reports; }});
    const auto watches = [&] {
        while (reports == 0) std::this_thread::yield();
    };
    watches();
    let_threads_sleep();
    reports = 0;
    in_child([&] { watches(); });
}

TEST_F(Fork, WatchdogAndDumpMayEndInTheChild) {
    std::atomic<int> reports{0};
    std::atomic<bool> dumped{false};
    auto guard = std::make_unique<copse::watchdog>(
        copse::watchdog_options{.limit = 20ms, .report = [&](const copse::stall_report&) { ++reports; }});
    auto dumps = std::make_unique<copse::dump_on_signal>(
        copse::dump_on_signal_options{.report = [&](std::string_view) { dumped = true; }});
    while (reports == 0) std::this_thread::yield();
    ::raise(SIGQUIT);
    while (!dumped) copse::yield();
    let_threads_sleep();
    in_child([&] {
        guard.reset();
        dumps.reset();
    });
}

TEST_F(Fork, DumpOnSignalAnswersInTheChild) {
    std::string text;
    const copse::dump_on_signal dumps({.report = [&](std::string_view said) { text = said; }});
    auto parked = copse::spawn({.name = "left"}, [] { copse::sleep(1ms); });
    copse::yield();
    in_child([&] {
        const copse::hub_handle awake = copse::hub::current().handle();
        ::raise(SIGQUIT);
        auto mine = copse::spawn({.name = "mine"}, [&] {
            while (text.empty()) copse::yield();
        });
        mine.join();
        EXPECT_NE(text.find("\"mine\""), std::string::npos) << text;
        EXPECT_EQ(text.find("\"left\""), std::string::npos) << text;
    });
    parked.join();
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

TEST_F(Fork, HandlesOfOtherThreadsHubsHaveExpired) {
    copse::shared::event end;
    copse::workers other(1, [&](std::size_t) { end.wait(); });
    const copse::hub_handle there = other.hub(0);
    std::atomic<bool> stop{false};
    std::thread poster([&] {  // holds the hub's door most of the time
        while (!stop) there.expired();
    });
    for (int i = 0; i < 50; ++i) {
        in_child([&] {
            EXPECT_TRUE(there.expired());
            EXPECT_THROW(there.post([] {}), copse::thread_exited);
        });
    }
    stop = true;
    poster.join();
    end.set();
    other.join();
}

TEST_F(Fork, AStopScopeStillHearsOfOtherThreads) {
    std::stop_source source;
    copse::spawn([&] {
        const copse::stop_scope until(source.get_token());
        in_child([&] {
            copse::event never;
            std::thread stopper([&] { source.request_stop(); });
            EXPECT_THROW(never.wait(), copse::stop_requested);
            stopper.join();
        });
    }).get();
}

TEST_F(Fork, SharedLockOfWhoIsNotThereSaysSo) {
    copse::shared::timed_mutex lock;
    auto holder = copse::spawn([&] {
        const std::lock_guard in(lock);
        copse::sleep(1ms);
    });
    copse::yield();
    in_child([&] {
        EXPECT_THROW(lock.lock(), copse::left_in_parent);
        EXPECT_FALSE(lock.try_lock());
    });
    holder.join();
}

TEST_F(Fork, SharedObjectsThatOtherThreadsWaitForMayEndInTheChild) {
    auto items = std::make_unique<copse::shared::queue<int>>(1);
    std::atomic<bool> waits{false};
    std::thread other([&] {
        waits = true;
        EXPECT_EQ(items->get(), 1);
    });
    while (!waits) std::this_thread::yield();
    copse::sleep(1ms);
    in_child([&] { items.reset(); });
    items->put(1);
    other.join();
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
