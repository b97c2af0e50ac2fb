// Sockets that others use, close or shut down meanwhile. Rules 14, 61, 115, 123, 126, 128, 129, 131 and 132 of gevent's list.

#include "io_socket_fixture.hpp"
#include "worker.hpp"

#include <copse/virtual_time.hpp>

#include <unistd.h>

#include <chrono>
#include <span>
#include <string>
#include <utility>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using GeventSocket = socket_fixture;

// rules 14 and 123, changed: try first once it is known that there is something. Who is the first to receive asks in a turn.
TEST_F(GeventSocket, WhatIsKnownToBeThereIsTakenWithoutASwitch) {
    auto [left, right] = io::socketpair();
    left.send_all("abcdef");
    EXPECT_EQ(right.recv(std::span(buffer).first(3)), 3U);
    auto other = copse::spawn([&] { log("other"); });
    EXPECT_EQ(right.recv(std::span(buffer).first(3)), 3U);
    right.send_all("ghi");
    log("done");
    other.join();
    EXPECT_EQ(log.text(), "done other");
}

// rule 61: both come in one turn, and what was received wins.
TEST_F(GeventSocket, DataWinsOverADeadlineThatIsDueWithIt) {
    copse::virtual_time time;
    auto [left, right] = io::socketpair();
    const auto late = [&, &left = left](auto receive) {
        auto reader = copse::spawn(receive);
        copse::yield();
        left.send_all("abc");
        time.advance(1h);
        return reader.get();
    };
    EXPECT_EQ(late([&, &right = right] { return right.recv_for(buffer, 1s); }), 3U);
    EXPECT_EQ(late([&, &right = right] {
                  const copse::timeout scope(1s);
                  return right.recv(buffer);
              }),
              3U);
}

// rule 126
TEST_F(GeventSocket, AReaderAndAWriterGoTogether) {
    auto [left, right] = io::socketpair();
    const std::size_t before = fill(left);
    auto reader = copse::spawn([&, &left = left] { return recv_text(left); });
    auto writer = copse::spawn([&, &left = left] {
        left.send_all("last");
        left.shutdown(io::shut::write);
    });
    copse::yield();
    right.send_all("abc");
    EXPECT_EQ(reader.get(), "abc");
    EXPECT_FALSE(writer.ready());
    EXPECT_EQ(recv_to_end(right).size(), before + 4);
    writer.get();
}

// rule 128
TEST_F(GeventSocket, WhoeverClosesGoesOnAndTheNumberIsNotUsedBeforeTheWaiterKnows) {
    auto [left, right] = io::socketpair();
    const int number = right.native_handle();
    auto reader = copse::spawn([&, &right = right] {
        const auto error = error_of([&] { right.recv(buffer); });
        log("reader");
        return error;
    });
    copse::yield();
    right.close();
    log("closer");
    EXPECT_EQ(right.native_handle(), -1);
    auto [others_left, others_right] = io::socketpair();
    others_left.send_all("of somebody else");
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor) << "it does not read under number " << number;
    EXPECT_EQ(log.text(), "closer reader");
    EXPECT_EQ(recv_text(others_right), "of somebody else");
}

// rule 129
TEST_F(GeventSocket, CloseWakesWhoConnects) {
    auto listener = io::listen("127.0.0.1:0", {.backlog = 0});
    auto first = io::connect(listener.local_endpoint());  // the queue is full: the next has no answer
    io::socket second(AF_INET);
    auto connecting = copse::spawn([&] { return error_of([&] { second.connect(listener.local_endpoint()); }); });
    copse::yield();
    EXPECT_FALSE(connecting.ready());
    second.close();
    EXPECT_EQ(connecting.get(), std::errc::bad_file_descriptor);
}

// rule 129, changed: it is no EBADF, but what the kernel says of a half that was shut down
TEST_F(GeventSocket, ShutdownWakesTheDirectionItIsOf) {
    for (const char* where : {"127.0.0.1:0", "[::1]:0"}) {
        auto [left, right] = tcp_pair(where);
        fill(left);
        auto reader = copse::spawn([&, &left = left] { return left.recv(buffer); });
        auto writer = copse::spawn([&, &left = left] { return error_of([&] { left.send("x"); }); });
        copse::yield();
        left.shutdown(io::shut::write);
        EXPECT_EQ(writer.get(), std::errc::broken_pipe);
        EXPECT_FALSE(reader.ready());
        left.shutdown(io::shut::read);
        EXPECT_EQ(reader.get(), 0U);
    }
}

// rule 129: epoll does not tell of this one
TEST_F(GeventSocket, ShutdownWakesASenderOfAUnixSocket) {
    auto [left, right] = io::socketpair();
    fill(left);
    auto writer = copse::spawn([&, &left = left] { return error_of([&] { left.send("x"); }); });
    copse::yield();
    left.shutdown(io::shut::write);
    EXPECT_EQ(writer.get(), std::errc::broken_pipe);
}

// rule 129
TEST_F(GeventSocket, ThePeersShutdownIsTheEnd) {
    auto [left, right] = tcp_pair();
    auto reader = copse::spawn([&, &right = right] { return recv_to_end(right); });
    copse::yield();
    left.send_all("abc");
    left.shutdown(io::shut::write);
    EXPECT_EQ(reader.get(), "abc");
    right.send_all("def");
    EXPECT_EQ(recv_text(left), "def") << "the other direction goes on";
}

// rule 131
TEST_F(GeventSocket, ClosingTwiceIsFine) {
    auto [left, right] = io::socketpair();
    left.close();
    auto [others_left, others_right] = io::socketpair();  // may have its number
    left.close();
    others_left.send_all("abc");
    EXPECT_EQ(recv_text(others_right), "abc");
}

// rule 132
TEST_F(GeventSocket, ADuplicateIsIndependent) {
    auto [left, right] = tcp_pair();
    auto twin = io::socket::adopt(::dup(right.native_handle()));
    auto reader = copse::spawn([&] { return recv_text(twin); });
    copse::yield();
    right.close();
    copse::yield();
    EXPECT_FALSE(reader.ready()) << "the connection lives as long as one of them";
    left.send_all("abc");
    EXPECT_EQ(reader.get(), "abc");
    twin.close();
    EXPECT_EQ(recv_to_end(left), "");
}

// rule 115
TEST_F(GeventSocket, AnotherThreadIsRefusedWhileOneWaitsAndNothingChanges) {
    auto [left, right] = io::socketpair();
    auto reader = copse::spawn([&, &right = right] { return recv_text(right); });
    copse::yield();
    in_thread([&, &right = right] { EXPECT_THROW(recv_text(right), copse::wrong_thread); });
    left.send_all("abc");
    EXPECT_EQ(reader.get(), "abc");
}

}  // namespace
