// use_fiber as a completion token: kills, timeouts, and what they meet.

#include <copse/io/asio_token.hpp>
#include <copse/virtual_time.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "io_asio_operations.hpp"
#include "io_leak_check.hpp"

#include <atomic>
#include <future>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

using asio_cancel = io_leak_check;

TEST_F(asio_cancel, PendingKillIsThrownBeforeTheStart) {
    by_hand op;
    auto waiting = copse::spawn([&] {
        {
            const copse::shield kept_back;
            copse::sleep(1ms);
        }
        return op.start();
    });
    copse::yield();
    waiting.kill();
    EXPECT_TRUE(waiting.killed());
    EXPECT_FALSE(op.started());
}

#if BOOST_VERSION >= 107700
TEST_F(asio_cancel, KillCancelsAndWaitsForTheEnd) {
    by_hand op;
    auto waiting = copse::spawn([&] {
        try {
            op.start();
        } catch (...) {
            log("thrown");
            throw;
        }
    });
    copse::yield();
    auto killer = copse::spawn([&] { waiting.kill(); });
    copse::sleep(1ms);
    EXPECT_EQ(op.cancelled, 1);
    EXPECT_FALSE(waiting.ready());  // its buffers may be in use
    log("ends");
    op.end(asio::error::operation_aborted, 0);
    killer.get();
    EXPECT_TRUE(waiting.killed());
    EXPECT_EQ(log.text(), "ends thrown");
}

TEST_F(asio_cancel, WhatEndsWithSuccessIsReturnedAndTheKillComesLater) {
    by_hand op;
    op.on_cancel = [&] { op.end({}, 8); };
    auto waiting = copse::spawn([&] {
        log("got", op.start());
        copse::yield();
        log("never");
    });
    copse::yield();
    waiting.kill();
    EXPECT_TRUE(waiting.killed());
    EXPECT_EQ(log.text(), "got8");
}

TEST_F(asio_cancel, TimeoutCancelsOnceAndIsThrownInPlaceOfTheError) {
    const copse::virtual_time time;
    by_hand op;
    op.on_cancel = [&] { op.end(asio::error::operation_aborted, 0); };
    error_code code;
    const copse::timeout outer(1h);
    {
        const copse::timeout limit(1ms);
        EXPECT_THROW(op.start(io::use_fiber[code]), copse::timeout_expired);
    }
    EXPECT_EQ(op.cancelled, 1);
    copse::yield();  // nothing is left of it

    // Two limits at once ask once.
    const copse::timeout first(1ms);
    const copse::timeout second(1ms);
    op.on_cancel = nullptr;
    auto ending = copse::spawn_after(5ms, [&] { op.end(asio::error::operation_aborted, 0); });
    EXPECT_THROW(op.start(), copse::timeout_expired);
    EXPECT_EQ(op.cancelled, 2);
    EXPECT_THROW(copse::yield(), copse::timeout_expired);
}

TEST_F(asio_cancel, DroppedGreenletLeavesWhenItHasEnded) {
    by_hand op;
    copse::greenlet waiting([&] {
        try {
            op.start();
        } catch (const copse::greenlet_exit&) {
            log("exit");
            throw;
        }
    });
    op.on_cancel = [&] {
        log("cancelled");
        copse::hub::current().post([&] { op.end(asio::error::operation_aborted, 0); });
    };
    auto entered = copse::spawn([&] { waiting.switch_to(); });
    copse::yield();
    copse::yield();
    waiting = {};
    entered.kill();
    while (op.started()) copse::yield();
    EXPECT_EQ(op.cancelled, 1);
    EXPECT_FALSE(op.started());
}
#endif

TEST_F(asio_cancel, CancelledByAFunction) {
    by_hand op;
    auto waiting = copse::spawn([&] {
        op.start(io::use_fiber.cancelled_by([&] {
            log("asked");
            op.end(asio::error::operation_aborted, 0);
        }));
    });
    copse::yield();
    waiting.kill();
    EXPECT_TRUE(waiting.killed());
    EXPECT_EQ(log.text(), "asked");
    EXPECT_EQ(op.cancelled, 0);
}

TEST_F(asio_cancel, ShieldKeepsTheOperationGoing) {
    by_hand op;
    bool asked = false;
    auto waiting = copse::spawn([&] {
        const copse::shield kept_back;
        log("got", op.start(io::use_fiber.cancelled_by([&] { asked = true; })));
    });
    copse::yield();
    waiting.request_kill();
    copse::yield();
    EXPECT_FALSE(asked);
    op.end({}, 1);
    waiting.join();
    EXPECT_EQ(log.text(), "got1");
}

TEST_F(asio_cancel, AbandonedOperationEndsByItself) {
    by_hand op;
    auto waiting = copse::spawn([&] { op.start(io::use_fiber.abandonable()); });
    copse::yield();
    waiting.kill();
    EXPECT_TRUE(waiting.killed());
    EXPECT_EQ(op.cancelled, 0);
    ASSERT_TRUE(op.started());
    op.end({}, 1);
}

TEST_F(asio_cancel, KillReachesAnOperationOfAnotherThread) {
    running other;
    asio::steady_timer timer(other.context, 1h);
    auto waiting = copse::spawn([&] {
#if BOOST_VERSION >= 107700
        timer.async_wait(io::use_fiber);
#else
        timer.async_wait(io::use_fiber.cancelled_by([&] { asio::post(other.context, [&] { timer.cancel(); }); }));
#endif
    });
    copse::yield();
    waiting.kill();
    EXPECT_TRUE(waiting.killed());
}

#if BOOST_VERSION >= 107700
// What comes to an end while it is cancelled has ended when the cancellation has: until then the fiber's objects stay.
TEST_F(asio_cancel, TheEndWaitsForTheCancellationThatItMeets) {
    asio::thread_pool threads(1);
    by_hand op;
    std::atomic<bool> gone_on{false};
    auto waiting = copse::spawn([&] {
        const at_end on_return([&] { gone_on = true; });
        op.start_on(threads.get_executor());
    });
    op.on_cancel = [&, home = copse::hub::current().handle()] {
        std::thread([&] { op.end(asio::error::operation_aborted, 0); }).join();
        for (int i = 0; i < 3; ++i) {  // turns of the hub
            std::promise<void> turn;
            home.post([&] { turn.set_value(); });
            turn.get_future().wait();
        }
        EXPECT_FALSE(gone_on);
    };
    copse::yield();
    waiting.kill();
    EXPECT_TRUE(waiting.killed());
    EXPECT_EQ(op.cancelled, 1);
    threads.join();
}

// Else what is left to be done there, when it meets a cancellation, would be left for ever.
TEST_F(asio_cancel, AContextHasWorkUntilTheEndIsTold) {
    asio::io_context context;
    by_hand op;
    auto waiting = copse::spawn([&] { op.start_on(context.get_executor()); });
    copse::yield();
    context.poll();
    EXPECT_FALSE(context.stopped());
    op.end(error_code(), 0);
    waiting.get();
    context.restart();
    context.poll();
    EXPECT_TRUE(context.stopped());
}

// A composed operation of many parts.
struct hops {
    asio::steady_timer& timer;

    template <class Self>
    void operator()(Self& self, error_code /*code*/ = {}) {
        if (self.get_cancellation_state().cancelled() != asio::cancellation_type::none)
            return self.complete(asio::error::operation_aborted);
        timer.expires_after(0s);
        timer.async_wait(std::move(self));
    }
};

// Timers run out, and the parts of a composed operation follow each other, while two threads carry out the cancellation.
// For ThreadSanitizer; without it nothing may crash.
TEST_F(asio_cancel, KillsMeetTheEndOnManyThreads) {
    asio::thread_pool threads(2);
    for (int round = 0; round < 50; ++round) {
        std::vector<copse::fiber<void>> all;
        for (int i = 0; i < 4; ++i) {
            all.push_back(copse::spawn([&] {
                asio::steady_timer timer(threads);
                asio::async_compose<const io::use_fiber_t, void(error_code)>(hops{timer}, io::use_fiber, timer);
            }));
            all.push_back(copse::spawn([&, i] {
                asio::steady_timer timer(threads, 20us * i);
                timer.async_wait(io::use_fiber);
            }));
        }
        copse::yield();
        copse::yield();
        for (const auto& f : all) {
            f.request_kill();
            copse::yield();
        }
        for (const auto& f : all) f.join();
    }
    threads.join();
}
#endif
