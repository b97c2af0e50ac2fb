// use_fiber as a completion token: what operations hand over, and who ends them.

#include <copse/io/asio_context.hpp>
#include <copse/io/asio_token.hpp>

#include "exceptions.hpp"
#include "io_asio_operations.hpp"
#include "io_leak_check.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using asio::ip::tcp;

using asio_token = io_leak_check;

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
