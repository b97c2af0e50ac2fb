// use_fiber as a completion token, and an io_context that the hub runs.

#include <copse/io/asio_context.hpp>
#include <copse/io/asio_token.hpp>
#include <copse/shared.hpp>
#include <copse/virtual_time.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "io_leak_check.hpp"
#include "sanitizer.hpp"

#include <boost/asio.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

using asio_token = io_leak_check;
using asio_loop = io_leak_check;

/// Starts an operation of this signature, which is `start(handler)`.
template <class Signature, class Start>
auto operation(Start start, const io::use_fiber_t& token = io::use_fiber) {
    return asio::async_initiate<const io::use_fiber_t, Signature>(std::move(start), token);
}

/// One that has ended when it is started.
template <class Signature, class... Values>
auto at_once(const io::use_fiber_t& token, Values... values) {
    return operation<Signature>([&](auto handler) { std::move(handler)(std::move(values)...); }, token);
}

const error_code refused = asio::error::connection_refused;

/// An operation that the test ends, and that may be cancelled.
struct by_hand {
    /// `result` is what `end` hands over.
    int start(const io::use_fiber_t& token = io::use_fiber) {
        return operation<void(error_code, int)>([this](auto handler) { take(std::move(handler)); }, token);
    }
#if BOOST_VERSION >= 107700
    /// Cancelled on `threads`.
    int start_on(asio::any_io_executor threads) {
        return asio::async_initiate<const io::use_fiber_t, void(error_code, int)>(initiation{*this, threads},
                                                                                  io::use_fiber);
    }
#endif
    void end(error_code code, int value) { std::exchange(end_, nullptr)(code, value); }
    void drop() { end_ = nullptr; }
    bool started() const { return end_ != nullptr; }

    int cancelled = 0;
    std::function<void()> on_cancel;

private:
    struct initiation {
        by_hand& of;
        asio::any_io_executor runs_on;

        asio::any_io_executor get_executor() const noexcept { return runs_on; }
        template <class Handler>
        void operator()(Handler handler) const {
            of.take(std::move(handler));
        }
    };

    template <class Handler>
    void take(Handler handler) {
#if BOOST_VERSION >= 107700
        if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected()) {
            slot.assign([this](asio::cancellation_type) {
                ++cancelled;
                if (on_cancel) on_cancel();
            });
        }
#endif
        auto kept = std::make_shared<Handler>(std::move(handler));
        end_ = [kept](error_code code, int value) { std::move (*kept)(code, value); };
    }

    std::function<void(error_code, int)> end_;
};

/// A thread that runs an io_context.
class running {
public:
    running() : thread_([this] { context.run(); }) {}
    running(const running&) = delete;
    running& operator=(const running&) = delete;
    ~running() {
        guard_.reset();
        thread_.join();
    }

    asio::io_context context;

private:
    asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(context);
    std::thread thread_;
};

}  // namespace

// Signatures

TEST_F(asio_token, ReturnsWhatComesAfterTheError) {
    static_assert(std::is_void_v<decltype(at_once<void()>(io::use_fiber))>);
    static_assert(std::is_void_v<decltype(at_once<void(error_code)>(io::use_fiber, error_code()))>);
    at_once<void()>(io::use_fiber);
    at_once<void(error_code)>(io::use_fiber, error_code());
    EXPECT_EQ(at_once<void(int)>(io::use_fiber, 1), 1);
    EXPECT_EQ(at_once<void(error_code, std::string)>(io::use_fiber, error_code(), std::string("two")), "two");
    EXPECT_EQ((at_once<void(int, std::string)>(io::use_fiber, 1, std::string("two"))),
              std::tuple(1, std::string("two")));
    EXPECT_EQ((at_once<void(error_code, int, char)>(io::use_fiber, error_code(), 1, 'b')), std::tuple(1, 'b'));
    EXPECT_EQ((at_once<void(std::exception_ptr, int)>(io::use_fiber, nullptr, 5)), 5);
    const int seven = 7;
    static_assert(std::is_same_v<decltype(at_once<void(const int&)>(io::use_fiber, 7)), int>);
    EXPECT_EQ((at_once<void(error_code, const int&)>(io::use_fiber, error_code(), seven)), 7);
}

TEST_F(asio_token, MovesWhatCanOnlyBeMoved) {
    auto one = at_once<void(error_code, std::unique_ptr<int>)>(io::use_fiber, error_code(), std::make_unique<int>(3));
    EXPECT_EQ(*one, 3);
    auto [number, two] =
        at_once<void(error_code, int, std::unique_ptr<int>)>(io::use_fiber, error_code(), 1, std::make_unique<int>(4));
    EXPECT_EQ(number + *two, 5);
}

TEST_F(asio_token, ThrowsTheError) {
    try {
        at_once<void(error_code, int)>(io::use_fiber, refused, 0);
        FAIL() << "nothing was thrown";
    } catch (const boost::system::system_error& e) {
        EXPECT_EQ(e.code(), refused);
    }
    EXPECT_EQ(what_is_thrown_by([] {
                  at_once<void(std::exception_ptr)>(io::use_fiber,
                                                    std::make_exception_ptr(std::runtime_error("inner")));
              }),
              "inner");
}

TEST_F(asio_token, TellsTheErrorIfAsked) {
    error_code code = refused;
    EXPECT_EQ((at_once<void(error_code, int)>(io::use_fiber[code], error_code(), 2)), 2);
    EXPECT_FALSE(code);
    EXPECT_EQ((at_once<void(error_code, int)>(io::use_fiber[code], refused, 9)), 9);
    EXPECT_EQ(code, refused);
    at_once<void()>(io::use_fiber[code]);
    EXPECT_FALSE(code);
}

TEST_F(asio_token, ThrowsWhatStartingItThrows) {
    EXPECT_EQ(what_is_thrown_by([] { operation<void()>([](auto) { throw std::runtime_error("no"); }); }), "no");
}

TEST_F(asio_token, ThrowsWhatCopyingTheResultThrows) {
    struct fragile_copy {
        fragile_copy() = default;
        fragile_copy(const fragile_copy&) { throw std::runtime_error("copy"); }
    };
    EXPECT_EQ(what_is_thrown_by([] {
                  const fragile_copy value;
                  operation<void(const fragile_copy&)>([&](auto handler) { std::move(handler)(value); });
              }),
              "copy");
}

TEST_F(asio_token, IsRefusedInTheHub) {
    bool started = false;
    const error_recorder errors;
    copse::hub::current().post([&] { operation<void()>([&](auto handler) { started = true, std::move(handler)(); }); });
    copse::hub::current().run_until_idle();
    EXPECT_FALSE(started);
    ASSERT_EQ(errors.count(), 1U);
}

// Who ends it

TEST_F(asio_token, ParksUntilItHasEnded) {
    by_hand op;
    auto waiting = copse::spawn([&] {
        log("start");
        log("got", op.start());
    });
    copse::yield();
    log("ends");
    op.end({}, 5);
    log("ended");
    waiting.get();
    EXPECT_EQ(log.text(), "start ends ended got5");
}

TEST_F(asio_token, EndsOnAnotherThread) {
    asio::thread_pool threads(1);
    const auto here = std::this_thread::get_id();
    std::thread::id there;
    const int value = operation<void(error_code, int)>([&](auto handler) {
        asio::post(threads, [&there, kept = std::move(handler)]() mutable {
            there = std::this_thread::get_id();
            std::move(kept)(error_code(), 6);
        });
    });
    EXPECT_EQ(value, 6);
    EXPECT_NE(there, here);
    EXPECT_EQ(std::this_thread::get_id(), here);
    asio::post(threads, io::use_fiber);
    threads.join();
}

TEST_F(asio_token, ManyFibersOnThreadsOfOthers) {
    asio::thread_pool threads(2);
    constexpr int fibers = 20;
    constexpr int rounds = 20;
    int done = 0;
    copse::group all;
    for (int i = 0; i < fibers; ++i) {
        all.spawn([&] {
            for (int round = 0; round < rounds; ++round, ++done) asio::post(threads, io::use_fiber);
        });
    }
    all.join();
    EXPECT_EQ(done, fibers * rounds);
    threads.join();
}

TEST_F(asio_token, DroppedOperationsAreTold) {
    by_hand op;
    auto waiting = copse::spawn([&] { return op.start(); });
    copse::yield();
    op.drop();
    EXPECT_THROW(waiting.get(), io::operation_dropped);

    std::optional<io::asio_context> context(std::in_place);
    std::optional<asio::steady_timer> timer(std::in_place, *context, 1h);
    auto asleep = copse::spawn([&] { timer->async_wait(io::use_fiber); });
    auto posted = copse::spawn([&] { asio::post(*context, io::use_fiber); });
    copse::yield();
    timer.reset();    // cancels
    context.reset();  // before its turn has come
    EXPECT_THROW(asleep.get(), io::operation_dropped);
    EXPECT_THROW(posted.get(), io::operation_dropped);
}

// Kills and timeouts

TEST_F(asio_token, PendingKillIsThrownBeforeTheStart) {
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
TEST_F(asio_token, KillCancelsAndWaitsForTheEnd) {
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

TEST_F(asio_token, WhatEndsWithSuccessIsReturnedAndTheKillComesLater) {
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

TEST_F(asio_token, TimeoutCancelsOnceAndIsThrownInPlaceOfTheError) {
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

TEST_F(asio_token, DroppedGreenletLeavesWhenItHasEnded) {
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
    copse::sleep(1ms);
    EXPECT_EQ(op.cancelled, 1);
    EXPECT_FALSE(op.started());
}
#endif

TEST_F(asio_token, CancelledByAFunction) {
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

TEST_F(asio_token, ShieldKeepsTheOperationGoing) {
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

TEST_F(asio_token, AbandonedOperationEndsByItself) {
    by_hand op;
    auto waiting = copse::spawn([&] { op.start(io::use_fiber.abandonable()); });
    copse::yield();
    waiting.kill();
    EXPECT_TRUE(waiting.killed());
    EXPECT_EQ(op.cancelled, 0);
    ASSERT_TRUE(op.started());
    op.end({}, 1);
}

TEST_F(asio_token, KillReachesAnOperationOfAnotherThread) {
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
TEST_F(asio_token, TheEndWaitsForTheCancellationThatItMeets) {
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
TEST_F(asio_token, AContextHasWorkUntilTheEndIsTold) {
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
TEST_F(asio_token, KillsMeetTheEndOnManyThreads) {
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

// The hub runs the context

TEST_F(asio_loop, TimersOfAsioAndFibersShareAThread) {
    io::asio_context context;
    const auto begin = std::chrono::steady_clock::now();
    asio::steady_timer timer(context, 5ms);
    timer.async_wait(io::use_fiber);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 5ms);

    timer.expires_after(1h);
    auto other = copse::spawn([&] {
        copse::sleep(1ms);
        log("sleep");
        timer.cancel();
    });
    error_code code;
    timer.async_wait(io::use_fiber[code]);
    EXPECT_EQ(code, asio::error::operation_aborted);
    EXPECT_EQ(log.text(), "sleep");
    other.join();
}

TEST_F(asio_loop, PostsOfTheOwnThreadAreNoticed) {
    io::asio_context context;
    copse::yield();
    for (int i = 0; i < 3; ++i) {
        copse::event done;
        asio::post(context, [&] {
            log("a", i);
            asio::post(context, [&] {
                log("b", i);
                done.set();
            });
        });
        done.wait();
    }
    EXPECT_EQ(log.text(), "a0 b0 a1 b1 a2 b2");
}

TEST_F(asio_loop, PostsOfOtherThreadsWakeTheHub) {
    io::asio_context context;
    const auto kept = asio::make_work_guard(static_cast<asio::io_context&>(context));
    constexpr int posts = 200;
    int come = 0;
    copse::event all;
    std::thread poster([&] {
        for (int i = 0; i < posts; ++i) {
            asio::post(context, [&] {
                if (++come == posts) all.set();
            });
            if (i % 16 == 0) std::this_thread::yield();
        }
    });
    all.wait();
    poster.join();
    EXPECT_EQ(come, posts);
}

TEST_F(asio_loop, AChainOfPostsLetsOthersRun) {
    io::asio_context context;
    int links = 0;
    bool stop = false;
    std::function<void()> chain = [&] {
        ++links;
        if (!stop) asio::post(context, chain);
    };
    asio::post(context, chain);
    while (links <= 200) copse::yield();  // more than one turn's
    stop = true;
    copse::hub::current().run_until_idle();
}

TEST_F(asio_loop, SocketsOfBothKindsTalk) {
    io::asio_context context;
    auto listener = io::listen("127.0.0.1:0");
    auto server = copse::spawn([&] {
        io::socket client = listener.accept();
        while (const auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
    });
    tcp::socket client(context);
    const std::string port = copse::io::to_string(listener.local_endpoint()).substr(std::string("127.0.0.1:").size());
    client.async_connect({asio::ip::make_address("127.0.0.1"), static_cast<unsigned short>(std::stoi(port))},
                         io::use_fiber);
    const std::string sent = pattern(300'000);
    auto writer = copse::spawn([&] {
        EXPECT_EQ(asio::async_write(client, asio::buffer(sent), io::use_fiber), sent.size());
        client.shutdown(tcp::socket::shutdown_send);
    });
    std::string got(sent.size(), '\0');
    EXPECT_EQ(asio::async_read(client, asio::buffer(got), io::use_fiber), sent.size());
    EXPECT_EQ(got, sent);
    error_code code;
    std::array<char, 1> more{};
    EXPECT_EQ(client.async_read_some(asio::buffer(more), io::use_fiber[code]), 0U);
    EXPECT_EQ(code, asio::error::eof);
    copse::join_all(writer, server);
}

TEST_F(asio_loop, AcceptsResolvesAndIsReset) {
    io::asio_context context;
    tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0));
    auto client = copse::spawn([&] {
        auto one = io::connect("127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()));
        one.set_option(io::linger(0s));
        one.close();
    });
    tcp::socket accepted = acceptor.async_accept(io::use_fiber);
    client.join();
    std::array<char, 1> one{};
    error_code code;
    accepted.async_read_some(asio::buffer(one), io::use_fiber[code]);
    EXPECT_EQ(code, asio::error::connection_reset);

    tcp::resolver resolver(context);  // on a thread of Asio's
    const auto found = resolver.async_resolve("127.0.0.1", "80", tcp::resolver::numeric_host, io::use_fiber);
    ASSERT_FALSE(found.empty());
    EXPECT_EQ(found.begin()->endpoint().port(), 80);
}

#if BOOST_VERSION >= 107700
TEST_F(asio_loop, KillTakesAReadBackAndTheSocketGoesOn) {
    io::asio_context context;
    tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0));
    auto peer = io::connect("127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()));
    tcp::socket socket = acceptor.async_accept(io::use_fiber);
    auto reader = copse::spawn([&] {
        std::array<char, 8> buffer{};
        socket.async_read_some(asio::buffer(buffer), io::use_fiber);
        log("never");
    });
    copse::yield();
    reader.kill();
    EXPECT_TRUE(reader.killed());
    peer.send_all("later");
    std::array<char, 8> buffer{};
    EXPECT_EQ(socket.async_read_some(asio::buffer(buffer), io::use_fiber), 5U);
    EXPECT_EQ(log.text(), "");

    const copse::timeout limit(2ms);
    EXPECT_THROW(socket.async_read_some(asio::buffer(buffer), io::use_fiber), copse::timeout_expired);
}
#endif

TEST_F(asio_loop, ClosedByAnotherFiber) {
    io::asio_context context;
    tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0));
    auto closer = copse::spawn([&] { acceptor.close(); });
    error_code code;
    acceptor.async_accept(io::use_fiber[code]);
    EXPECT_EQ(code, asio::error::operation_aborted);
    closer.join();
}

TEST_F(asio_loop, WhatHandlersThrowGoesToTheErrorHandler) {
    io::asio_context context;
    const error_recorder errors;
    asio::post(context, [] { throw std::runtime_error("from a handler"); });
    asio::post(context, [&] { asio::post(context, io::use_fiber); });  // handlers run in the hub
    asio::post(context, io::use_fiber);
    ASSERT_EQ(errors.count(), 2U);
    EXPECT_EQ(what_of(errors[0].exception), "from a handler");
    EXPECT_THROW(std::rethrow_exception(errors[1].exception), copse::blocking_in_hub);
}

TEST_F(asio_loop, DeadlockIsToldUnlessSomethingIsOutstanding) {
    io::asio_context context;
    copse::event never;
    EXPECT_THROW(never.wait(), copse::would_block_forever);

    asio::steady_timer timer(context, 5ms);
    timer.async_wait([&](error_code) { log("timer"); });
    EXPECT_THROW(never.wait(), copse::would_block_forever);
    EXPECT_EQ(log.text(), "timer");

    std::optional guard(asio::make_work_guard(static_cast<asio::io_context&>(context)));
    EXPECT_FALSE(never.wait_for(1ms));
    std::thread last([&] { asio::post(context, [&] { guard.reset(); }); });
    EXPECT_THROW(never.wait(), copse::would_block_forever);
    last.join();
}

TEST_F(asio_loop, CancelledTimerThatRunsOutLaterDisturbsNobody) {
    io::asio_context context;
    asio::steady_timer timer(context, 5ms);
    timer.async_wait([](error_code) {});
    timer.cancel();
    copse::sleep(1ms);
    const auto turns = copse::hub::current().stats().turns;
    copse::sleep(20ms);  // its timerfd becomes readable, with no work left
    EXPECT_LT(copse::hub::current().stats().turns - turns, 50U) << "it was looked at again and again";
}

TEST_F(asio_loop, TwoContextsInOneThread) {
    io::asio_context one;
    io::asio_context two;
    asio::steady_timer late(one, 1h);
    asio::steady_timer early(two, 1ms);
    auto waiting = copse::spawn([&] {
        error_code code;
        late.async_wait(io::use_fiber[code]);
        log("one");
    });
    early.async_wait(io::use_fiber);
    log("two");
    late.cancel();
    waiting.join();
    EXPECT_EQ(log.text(), "two one");
}

TEST_F(asio_loop, ExecutorsAndDefaultsOfAsioWork) {
    io::asio_context context;
    asio::thread_pool threads(1);
    std::thread::id ran_on;
    auto strand = asio::make_strand(static_cast<asio::io_context&>(context));
    asio::post(strand, io::use_fiber);
#if BOOST_VERSION >= 107700
    asio::post(asio::bind_executor(strand, io::use_fiber));
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            ran_on = std::this_thread::get_id();
            co_return;
        },
        io::use_fiber);
    EXPECT_EQ(ran_on, std::this_thread::get_id());
#endif
    using timer = io::use_fiber_t::as_default_on_t<asio::steady_timer>;
    timer pause(context, 1ms);
    pause.async_wait();
    threads.join();
}

TEST_F(asio_loop, EndsInTheChildOfAFork) {
    if (copse_test::thread_sanitized) GTEST_SKIP() << "ThreadSanitizer takes the child's greenlets for the parent's";
    io::asio_context context;
    asio::steady_timer timer(context, 10ms);
    timer.async_wait([&](error_code) { log("timer"); });
    const pid_t child = ::fork();
    if (child == 0) {
        copse::sleep(20ms);
        io::asio_context another;
        asio::post(another, io::use_fiber);
        ::_exit(log.text().empty() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    copse::hub::current().run_until_idle();
    EXPECT_EQ(log.text(), "timer");
}

TEST_F(asio_loop, FibersOfAnotherThreadWaitForIt) {
    io::asio_context context;
    copse::shared::event done;
    std::thread other([&] {
        // A hub of its own, which knows nothing of the context: it waits for ours.
        copse::event never;
        EXPECT_THROW(never.wait(), copse::would_block_forever);
        asio::post(context, io::use_fiber);
        done.set();
    });
    done.wait();
    other.join();
}

namespace {

/// Epoll and what wakes it.
std::vector<int> descriptors_of_the_hub() {
    std::vector<int> found;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const auto kind = std::filesystem::read_symlink(each.path(), gone).string();
        if (kind.starts_with("anon_inode:[event")) found.push_back(std::stoi(each.path().filename()));
    }
    return found;
}

}  // namespace

TEST_F(asio_loop, GoesOnWhenTheHubsEpollIsClosedByOthers) {
    const std::vector<int> ours = descriptors_of_the_hub();
    ASSERT_EQ(ours.size(), 2U);
    io::asio_context context;
    asio::post(context, io::use_fiber);
    const error_recorder errors;
    for (const int fd : ours) ::close(fd);
    asio::steady_timer timer(context, 1ms);
    timer.async_wait(io::use_fiber);
    EXPECT_EQ(errors.count(), 1U);
}

TEST_F(asio_loop, WorksInVirtualTime) {
    const copse::virtual_time time;
    io::asio_context context;
    bool slept = false;
    auto sleeper = copse::spawn([&] {
        copse::sleep(1h);
        slept = true;
    });
    asio::post(context, io::use_fiber);
    EXPECT_FALSE(slept) << "time went by before what had been posted";
    sleeper.join();

    {
        const copse::virtual_time later_than_the_context;
        asio::post(context, io::use_fiber);
    }
    asio::post(context, io::use_fiber);
}
