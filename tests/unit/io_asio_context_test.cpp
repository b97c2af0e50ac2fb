// An io_context that the hub runs.

#include <copse/io/asio_context.hpp>
#include <copse/io/asio_token.hpp>
#include <copse/shared.hpp>
#include <copse/virtual_time.hpp>

#include "exceptions.hpp"
#include "fork_at_rest.hpp"
#include "io_asio_operations.hpp"
#include "io_leak_check.hpp"
#include "sanitizer.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using asio::ip::tcp;

using asio_loop = io_leak_check;

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

TEST_F(asio_loop, AcceptsForAnotherContextAndTellsThePeer) {
    static_assert(!std::is_default_constructible_v<tcp::socket>);
    io::asio_context context;
    io::asio_context another;
    tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0));
    auto client =
        copse::spawn([&] { return io::connect("127.0.0.1:" + std::to_string(acceptor.local_endpoint().port())); });
    tcp::endpoint peer;
    tcp::socket accepted = acceptor.async_accept(another, peer, io::use_fiber);
    const io::socket connected = client.get();
    EXPECT_EQ(&accepted.get_executor().context(), &another);
    EXPECT_EQ(peer, accepted.remote_endpoint());
    EXPECT_EQ("127.0.0.1:" + std::to_string(peer.port()), io::to_string(connected.local_endpoint()));

    auto [moved, number] =
        at_once<void(error_code, tcp::socket, int)>(io::use_fiber, error_code(), std::move(accepted), 3);
    EXPECT_TRUE(moved.is_open());
    EXPECT_EQ(number, 3);
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
    const pid_t child = fork_at_rest();
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
