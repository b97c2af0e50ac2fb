// Several threads with a hub each. TP06 (in part), TP08; rule 113.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "hub_test.hpp"

#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <latch>
#include <mutex>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

using copse::sleep;
using copse::spawn;
using copse::workers;
using copse::yield;
using namespace std::chrono_literals;

namespace {

// With the real clock: the workers live by it.
class Workers : copse_test::hub_with_stack, public copse_test::leak_check {
protected:
    void TearDown() override {
        copse::hub::current().run_until_idle();
        EXPECT_EQ(copse::hub::current().stats().fibers, 0u);
        leak_check::TearDown();
    }
};

// Parks until a stop is requested.
void wait_for_stop(const std::stop_token& stop) {
    copse::shared::event stopped;
    const std::stop_callback told(stop, [&] { stopped.set(); });
    stopped.wait();
}

TEST_F(Workers, EachRunsOnAThreadOfItsOwnAsMain) {
    std::mutex mutex;
    std::set<std::thread::id> threads;
    std::set<std::size_t> numbers;
    workers w(3, [&](std::size_t i) {
        EXPECT_TRUE(copse::greenlet::current().is_main());
        EXPECT_EQ(spawn([i] { return yield(), i; }).get(), i);
        const std::lock_guard held(mutex);
        threads.insert(std::this_thread::get_id());
        numbers.insert(i);
    });
    EXPECT_EQ(w.size(), 3u);
    w.join();
    w.join();
    EXPECT_EQ(threads.size(), 3u);
    EXPECT_EQ(threads.count(std::this_thread::get_id()), 0u);
    EXPECT_EQ(numbers, (std::set<std::size_t>{0, 1, 2}));
}

TEST_F(Workers, JoiningParksTheFiberAndNotTheThread) {
    copse::shared::event go;
    workers w(2, [&](std::size_t) { go.wait(); });
    const auto joining = spawn([&] {
        w.join();
        log("joined");
    });
    yield();
    EXPECT_FALSE(w.join_for(0s));
    log("others");
    go.set();
    joining.join();
    EXPECT_EQ(log.text(), "others joined");
    EXPECT_TRUE(w.join_for(0s));
}

TEST_F(Workers, AKilledJoinerLeavesThemRunning) {
    copse::shared::event go;
    workers w(1, [&](std::size_t) { go.wait(); });
    const auto joining = spawn([&] { w.join(); });
    yield();
    joining.kill();
    EXPECT_TRUE(joining.killed());
    EXPECT_FALSE(w.join_for(1ms));
    go.set();
    w.join();
}

TEST_F(Workers, TheEndOfTheObjectRequestsAStopAndJoins) {
    std::atomic<int> ended{0};
    {
        const workers w(3, [&](std::size_t, const std::stop_token& stop) {
            wait_for_stop(stop);
            ++ended;
        });
        EXPECT_EQ(ended, 0);
    }
    EXPECT_EQ(ended, 3);
}

TEST_F(Workers, AStopCanBeRequested) {
    workers w(2, [](std::size_t, const std::stop_token& stop) { wait_for_stop(stop); });
    EXPECT_FALSE(w.stop_requested());
    EXPECT_TRUE(w.request_stop());
    EXPECT_FALSE(w.request_stop());
    EXPECT_TRUE(w.stop_requested());
    w.join();
}

// All that ends with a thread has ended: its fibers, and what its thread-local objects do.
TEST_F(Workers, AJoinWaitsForWhatEndsWithTheThreads) {
    std::atomic<int> ended{0};
    workers w(2, [&](std::size_t) {
        spawn([&] {
            const copse_test::at_end last([&] { ++ended; });
            sleep(1h);
        });
        yield();
    });
    w.join();
    EXPECT_EQ(ended, 2);
}

TEST_F(Workers, WorkCanBePostedToAHub) {
    workers w(2, [](std::size_t, const std::stop_token& stop) { wait_for_stop(stop); });
    copse::shared::async_result<std::thread::id> first;
    copse::shared::async_result<std::thread::id> second;
    w.hub(0).post([&] { first.set(std::this_thread::get_id()); });
    w.hub(1).post([&] { spawn([&] { second.set(std::this_thread::get_id()); }); });
    EXPECT_NE(first.get(), second.get());
    const copse::hub_handle kept = w.hub(0);
    w.request_stop();
    w.join();
    EXPECT_TRUE(kept.expired());
    EXPECT_THROW(w.hub(0).post([] {}), copse::thread_exited);
    EXPECT_THROW(w.hub(2), std::out_of_range);
}

// Nobody can post to it, so a worker whose fibers all wait for each other is dead-locked, and is told.
TEST_F(Workers, ADeadlockInOneIsTold) {
    workers w(1, [](std::size_t) { copse::event().wait(); });
    EXPECT_THROW(w.join(), copse::would_block_forever);
    workers idle(1, [](std::size_t) {
        spawn([] { sleep(1ms); });
        copse::hub::current().run_until_idle();
    });
    idle.join();
}

TEST_F(Workers, AFailureStopsTheOthersAndIsThrownByEveryJoin) {
    std::atomic<int> stopped{0};
    workers w(3, [&](std::size_t i, const std::stop_token& stop) {
        if (i == 1) throw std::runtime_error("one");
        wait_for_stop(stop);
        ++stopped;
    });
    EXPECT_EQ(copse_test::what_is_thrown_by([&] { w.join(); }), "one");
    EXPECT_EQ(stopped, 2);
    EXPECT_EQ(copse_test::what_is_thrown_by([&] { w.join_for(1s); }), "one");
}

TEST_F(Workers, FurtherFailuresGoToTheErrorHandlerOfTheirThread) {
    std::atomic<int> told{0};
    std::latch both(2);
    workers w(2, [&](std::size_t) {
        copse::set_error_handler([&](const std::exception_ptr& e, const copse::greenlet&) {
            EXPECT_EQ(copse_test::what_of(e), "each");
            ++told;
        });
        both.arrive_and_wait();
        throw std::runtime_error("each");
    });
    EXPECT_EQ(copse_test::what_is_thrown_by([&] { w.join(); }), "each");
    EXPECT_EQ(told, 1);
}

TEST_F(Workers, AFailureThatNoJoinHasThrownIsTold) {
    copse_test::error_recorder errors;
    {
        const workers w(1, [](std::size_t) { throw std::runtime_error("untold"); });
    }
    ASSERT_EQ(errors.count(), 1u);
    EXPECT_EQ(errors[0].what, "untold");
    {
        const workers w(1, [](std::size_t) { throw copse::greenlet_exit(); });
    }
    EXPECT_EQ(errors.count(), 1u);
}

TEST_F(Workers, EachHasACopyOfTheFunction) {
    struct counter {
        std::atomic<int>* wrong;
        int calls = 0;
        void operator()(std::size_t) {
            if (++calls != 1) ++*wrong;
        }
    };
    std::atomic<int> wrong{0};
    workers(4, counter{&wrong}).join();
    EXPECT_EQ(wrong, 0);
}

TEST_F(Workers, BadInput) {
    EXPECT_THROW(workers(0, [](std::size_t) {}), std::invalid_argument);
    EXPECT_THROW(workers(1, std::function<void(std::size_t)>()), copse::null_callable);
    std::optional<workers> w;
    std::atomic<bool> refused{false};
    copse::shared::event made;
    w.emplace(1, [&](std::size_t) {
        made.wait();
        try {
            w->join();
        } catch (const copse::self_deadlock&) {
            refused = true;
        }
    });
    EXPECT_THROW(w->join_for(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    made.set();
    w->join();
    EXPECT_TRUE(refused);
}

}  // namespace
