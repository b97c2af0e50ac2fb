// Sockets and time: limits of a call, of a socket, of none. Rules 124 and 125.

#include "io_socket_fixture.hpp"

#include <copse/virtual_time.hpp>

#include <chrono>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <string>
using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoSocket = socket_fixture;

TEST_F(IoSocket, TimeIsUpForEachVerb) {
    auto [left, right] = io::socketpair();
    auto listener = io::listen("127.0.0.1:0");
    fill(left);
    EXPECT_EQ(error_of([&, &left = left] { left.recv_for(buffer, 1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.recv_until(buffer, copse::clock::now() + 1ms); }),
              std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.recv_exactly_for(buffer, 1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.recv_pooled_for(1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.send_for("x", 1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.send_all_for("x", 1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&, &left = left] { left.send_until("x", std::chrono::steady_clock::now()); }),
              std::errc::timed_out);
    EXPECT_EQ(error_of([&] { listener.accept_for(1ms); }), std::errc::timed_out);
    EXPECT_EQ(error_of([&] { listener.accept_until(copse::clock::now()); }), std::errc::timed_out);
    EXPECT_THROW(left.recv_for(buffer, 0s), io::timed_out);
    EXPECT_THROW(left.recv_for(buffer, -1s), io::timed_out);
    EXPECT_THROW(left.recv_for(buffer, std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())),
                 copse::invalid_duration);
    right.send_all("later");
    EXPECT_EQ(left.recv_for(buffer, 1h), 5U) << "it is as good as before";
}

TEST_F(IoSocket, NoTimeStillBringsWhatIsThere) {
    auto [left, right] = tcp_pair();
    left.send_all("here");
    EXPECT_EQ(right.recv_for(buffer, 0s), 4U) << "the others, and the driver, have one turn";
}

TEST_F(IoSocket, TimeOutTellsWhatWasMoved) {
    auto [left, right] = io::socketpair();
    right.send_all("abc");
    try {
        left.recv_exactly_for(std::span(buffer).first(10), 1ms);
        FAIL();
    } catch (const io::timed_out& e) {
        EXPECT_EQ(e.transferred(), 3U);
        EXPECT_NE(std::string(e.what()).find("recv_exactly on fd "), std::string::npos) << e.what();
        EXPECT_NE(std::string(e.what()).find("after 3 bytes"), std::string::npos) << e.what();
    }
    const std::string much(64 * 1024 * 1024, 'x');
    std::size_t told = 0;
    try {
        left.send_all_for(much, 1ms);
        FAIL();
    } catch (const io::timed_out& e) {
        told = e.transferred();
    }
    left.close();
    EXPECT_EQ(recv_to_end(right).size(), told);
}

// Rule 124: the time is for each operation, but send_all has one for all of it.
TEST_F(IoSocket, StandingTimeOutIsForEachOperation) {
    copse::virtual_time time;
    auto [left, right] = io::socketpair();
    right.set_timeout(50ms);
    auto writer = copse::spawn([&, &left = left] {
        for (int i = 0; i < 4; ++i) {
            copse::sleep(30ms);
            left.send_all("x");
        }
    });
    for (int i = 0; i < 4; ++i) EXPECT_EQ(right.recv(buffer), 1U);
    EXPECT_EQ(time.elapsed(), 120ms);
    EXPECT_THROW(right.recv(buffer), io::timed_out);
    EXPECT_EQ(time.elapsed(), 170ms);
    writer.get();
}

TEST_F(IoSocket, SendAllHasOneTimeForAll) {
    copse::virtual_time time;
    auto [left, right] = io::socketpair();
    left.set_timeout(50ms);
    auto reader = copse::spawn([&, &right = right] {
        for (;;) {
            copse::sleep(30ms);
            static_cast<void>(right.recv(buffer));
        }
    });
    const std::string much(64 * 1024 * 1024, 'x');
    EXPECT_THROW(left.send_all(much), io::timed_out);
    EXPECT_EQ(time.elapsed(), 50ms);
    reader.kill();
}

// Rule 125.
TEST_F(IoSocket, SettingTheTimeOutDoesNotTouchAWait) {
    auto [left, right] = io::socketpair();
    auto reader = copse::spawn([&, &right = right] { return right.recv(buffer); });
    copse::yield();
    right.set_timeout(0ns);
    copse::yield();
    left.send_all("abc");
    EXPECT_EQ(reader.get(), 3U);
}

TEST_F(IoSocket, TimeOutOfZeroNeverWaits) {
    auto [left, right] = tcp_pair();
    auto listener = io::listen("127.0.0.1:0");
    right.set_timeout(0ns);
    listener.set_timeout(-1ns);
    EXPECT_EQ(right.timeout(), 0ns);
    EXPECT_EQ(listener.timeout(), 0ns);
    EXPECT_EQ(error_of([&, &right = right] { right.recv(buffer); }), std::errc::resource_unavailable_try_again);
    EXPECT_EQ(error_of([&, &right = right] { right.recv_exactly(buffer); }), std::errc::resource_unavailable_try_again);
    EXPECT_EQ(error_of([&] { listener.accept(); }), std::errc::resource_unavailable_try_again);
    left.send_all("abc");
    EXPECT_EQ(right.recv(buffer), 3U) << "what is there is taken, whatever was remembered";
    right.set_timeout(std::nullopt);
    EXPECT_EQ(right.timeout(), std::nullopt);
}

TEST_F(IoSocket, VirtualTimeAndSocketsGoTogether) {
    copse::virtual_time time;
    auto [left, right] = tcp_pair();
    auto slow = copse::spawn([&, &left = left] {
        copse::sleep(24h);
        left.send_all("abc");
    });
    EXPECT_EQ(right.recv(buffer), 3U);
    EXPECT_EQ(time.elapsed(), 24h);
    EXPECT_THROW(right.recv_for(buffer, 1h), io::timed_out);
    EXPECT_EQ(time.elapsed(), 25h);
    slow.join();
}

}  // namespace
