// Sockets that end, or change hands, while fibers use them: kills, closing, threads. Rules 128 to 132.

#include "io_socket_fixture.hpp"
#include "worker.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoSocket = socket_fixture;

// ---- kills

// Rule 132.
TEST_F(IoSocket, KilledAndTimedOutReadersLeaveItUsable) {
    auto [left, right] = tcp_pair();
    auto reader = copse::spawn([&, &right = right] { right.recv(buffer); });
    copse::yield();
    reader.kill();
    EXPECT_TRUE(reader.killed());
    {
        const copse::timeout scope(1ms);
        EXPECT_THROW(right.recv(buffer), copse::timeout_expired);
    }
    left.send_all("abc");
    EXPECT_EQ(right.recv(buffer), 3U);
}

TEST_F(IoSocket, CallThatSucceedsAtOnceIsAKillPoint) {
    auto [left, right] = io::socketpair();
    left.send_all("abcdef");
    copse::fiber<void> self;
    self = copse::spawn([&, &right = right] {
        right.recv_exactly(std::span(buffer).first(3));  // that there is more is remembered from now on
        self.request_kill();
        right.recv_exactly(std::span(buffer).first(3));
    });
    self.join();
    EXPECT_TRUE(self.killed());
    EXPECT_EQ(right.recv(buffer), 3U) << "nothing was taken";
}

TEST_F(IoSocket, SatisfiedWaitCompletesBeforeAKill) {
    auto [left, right] = tcp_pair();
    std::size_t got = 0;
    auto reader = copse::spawn([&, &right = right] { got = right.recv(buffer); });
    copse::yield();
    left.send_all("abc");
    while (copse::hub::current().stats().watching != 0) copse::yield();  // made ready, has not run yet
    reader.request_kill();
    reader.join();
    EXPECT_EQ(got, 3U) << "what was acquired is not lost";
}

// ---- closing

// Rule 128.
TEST_F(IoSocket, CloseWakesBothDirections) {
    auto [left, right] = io::socketpair();
    fill(left);
    auto reader = copse::spawn([&, &left = left] { return text_of([&] { left.recv(buffer); }); });
    auto writer = copse::spawn([&, &left = left] { return error_of([&] { left.send("x"); }); });
    copse::yield();
    const std::string fd = std::to_string(left.native_handle());
    left.close();
    EXPECT_FALSE(left.is_open());
    EXPECT_EQ(left.native_handle(), -1);
    EXPECT_EQ(reader.get(), "recv on fd " + fd + ", closed by another fiber: Bad file descriptor");
    EXPECT_EQ(writer.get(), std::errc::bad_file_descriptor);
}

// Rule 129.
TEST_F(IoSocket, CloseWakesAcceptAndReleaseWakesReaders) {
    auto listener = io::listen("127.0.0.1:0");
    auto acceptor = copse::spawn([&] { return error_of([&] { listener.accept(); }); });
    auto [left, right] = io::socketpair();
    auto reader = copse::spawn([&, &left = left] { return error_of([&] { left.recv(buffer); }); });
    copse::yield();
    listener.close();
    const int fd = left.release();
    EXPECT_EQ(acceptor.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(::close(fd), 0);
}

TEST_F(IoSocket, CloseBetweenEventAndResumeIsNotice) {
    auto [left, right] = io::socketpair();
    auto reader = copse::spawn([&, &right = right] { return error_of([&] { right.recv(buffer); }); });
    copse::yield();
    left.send_all("abc");
    while (copse::hub::current().stats().watching != 0) copse::yield();
    right.close();
    auto [other_left, other_right] = io::socketpair();  // has the number now
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
}

// Rule 131.
TEST_F(IoSocket, ClosedOneSaysSo) {
    io::socket none;
    EXPECT_FALSE(none.is_open());
    none.close();
    none.close();
    EXPECT_EQ(none.release(), -1);
    auto [left, right] = io::socketpair();
    left.close();
    for (io::socket* s : {&none, &left}) {
        EXPECT_EQ(text_of([&] { s->recv(buffer); }), "recv on a closed socket: Bad file descriptor");
        for (const auto& call : std::initializer_list<std::function<void()>>{
                 [&] { s->recv_exactly(buffer); }, [&] { s->recv_pooled(); }, [&] { s->try_recv(buffer); },
                 [&] { s->send("x"); }, [&] { s->send_all("x"); }, [&] { s->try_send("x"); }, [&] { s->accept(); },
                 [&] { s->try_accept(); }, [&] { s->connect(io::endpoint::loopback(1)); },
                 [&] { s->bind("127.0.0.1:0"); }, [&] { s->listen(); }, [&] { s->shutdown(io::shut::both); },
                 [&] { s->set_option(io::no_delay(true)); }, [&] { static_cast<void>(s->get_option<io::no_delay>()); },
                 [&] { static_cast<void>(s->local_endpoint()); }, [&] { static_cast<void>(s->peer_endpoint()); }}) {
            EXPECT_EQ(error_of(call), std::errc::bad_file_descriptor);
        }
    }
}

TEST_F(IoSocket, SocketEndedWhileAFiberIsInIt) {
    auto pair = std::make_unique<std::pair<io::socket, io::socket>>(io::socketpair());
    auto reader = copse::spawn([&, &mine = pair->first] { return error_of([&] { mine.recv(buffer); }); });
    copse::yield();
    pair.reset();
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
}

TEST_F(IoSocket, MovedWhileAFiberIsInIt) {
    auto pair = std::make_unique<std::pair<io::socket, io::socket>>(io::socketpair());
    auto reader = copse::spawn([&, &mine = pair->first] { return mine.recv(buffer); });
    copse::yield();
    io::socket moved = std::move(pair->first);
    io::socket peer = std::move(pair->second);
    pair.reset();
    peer.send_all("abc");
    EXPECT_EQ(reader.get(), 3U);
}

// ---- threads

TEST_F(IoSocket, AnotherThreadIsRefused) {
    auto [left, right] = io::socketpair();
    left.send_all("abc");
    in_thread([&, &right = right] {
        EXPECT_THROW(right.recv(buffer), copse::wrong_thread);
        auto pair = io::socketpair();  // now the thread has a reactor
        EXPECT_THROW(right.recv(buffer), copse::wrong_thread);
        EXPECT_THROW(right.send("x"), copse::wrong_thread);
        EXPECT_THROW(right.release(), copse::wrong_thread);
    });
    EXPECT_EQ(right.recv(buffer), 3U);
}

TEST_F(IoSocket, NumberTravelsToAnotherThread) {
    auto [left, right] = tcp_pair();
    left.send_all("abc");
    const int fd = right.release();
    EXPECT_FALSE(right.is_open());
    in_thread([fd] {
        io::socket mine = io::socket::adopt(fd);
        EXPECT_EQ(recv_text(mine), "abc");
        mine.send_all("def");
    });
    EXPECT_EQ(recv_text(left), "def");
}

TEST_F(IoSocket, ClosedFromAnotherThreadIsClosed) {
    auto [left, right] = io::socketpair();
    in_thread([&, &right = right] { right.close(); });
    EXPECT_EQ(left.recv(buffer), 0U);
}

TEST_F(IoSocket, OutlivesItsThread) {
    io::socket survivor;
    auto [left, right] = io::socketpair();
    in_thread([&] {
        auto pair = io::socketpair();
        survivor = std::move(pair.first);
    });
    EXPECT_THROW(survivor.recv(buffer), copse::wrong_thread);
    survivor.close();
}

TEST_F(IoSocket, AdoptRefusesWhatIsNoSocket) {
    EXPECT_EQ(error_of([] { io::socket::adopt(-1); }), std::errc::bad_file_descriptor);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    EXPECT_EQ(error_of([&] { io::socket::adopt(ends[0]); }), std::errc::not_a_socket);
    EXPECT_EQ(::close(ends[0]), 0);
    EXPECT_EQ(::close(ends[1]), 0);
}

TEST_F(IoSocket, AdoptedBlockingSocketParks) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    auto left = io::socket::adopt(ends[0]);
    auto right = io::socket::adopt(ends[1]);
    auto reader = copse::spawn([&] { return recv_text(right); });
    copse::yield();
    left.send_all("abc");
    EXPECT_EQ(reader.get(), "abc");
}

}  // namespace
