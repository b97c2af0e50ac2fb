// Sockets: what each verb does, what it throws, what it leaves behind. Rules 124 to 133, together with
// io_socket_time_test.cpp and io_socket_end_test.cpp.

#include "io_socket_fixture.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

static_assert(std::is_nothrow_move_constructible_v<io::socket> && std::is_nothrow_move_assignable_v<io::socket>);
static_assert(!std::is_copy_constructible_v<io::socket>);
static_assert(std::is_nothrow_move_constructible_v<io::pooled_buffer> &&
              !std::is_copy_constructible_v<io::pooled_buffer>);

namespace {

using IoSocket = socket_fixture;

TEST_F(IoSocket, PairTalksBothWays) {
    auto [left, right] = io::socketpair();
    left.send_all("many small");
    EXPECT_EQ(recv_text(right), "many small");
    right.send_all(" trees");
    EXPECT_EQ(recv_text(left), " trees");
    left.close();
    EXPECT_EQ(right.recv(buffer), 0U);
    EXPECT_EQ(right.recv(buffer), 0U) << "the end stays the end";
}

TEST_F(IoSocket, TcpEchoOverBothFamilies) {
    for (const char* where : {"127.0.0.1:0", "[::1]:0", "unix:@copse-io-socket-test"}) {
        auto listener = io::listen(where);
        auto server = copse::spawn([&] {
            auto [connection, peer] = listener.accept();
            while (const std::size_t n = connection.recv(buffer))
                connection.send_all(std::span<const std::byte>(buffer).first(n));
        });
        auto client = io::connect(listener.local_endpoint());
        EXPECT_EQ(client.peer_endpoint(), listener.local_endpoint());
        client.send_all("many small trees");
        client.shutdown(io::shut::write);
        EXPECT_EQ(recv_to_end(client), "many small trees");
        server.get();
    }
}

TEST_F(IoSocket, AcceptTellsWhereTheConnectionComesFrom) {
    auto listener = io::listen("127.0.0.1:0");
    auto client = io::connect(listener.local_endpoint());
    auto [server, peer] = listener.accept();
    EXPECT_EQ(peer, client.local_endpoint());
    EXPECT_EQ(server.peer_endpoint(), peer);
    EXPECT_EQ(server.local_endpoint(), listener.local_endpoint());
}

TEST_F(IoSocket, TextsNameHosts) {
    auto listener = io::listen("localhost:0");
    auto client = io::connect("localhost:" + std::to_string(listener.local_endpoint().port()));
    EXPECT_TRUE(client.peer_endpoint().is_loopback());
    EXPECT_THROW(io::connect("127.0.0.1"), std::invalid_argument);
    EXPECT_THROW(io::connect("no such host:1"), std::invalid_argument);
    EXPECT_THROW(io::connect("256.0.0.1:1"), std::invalid_argument);
}

TEST_F(IoSocket, LocalhostIsTriedOnBothFamilies) {
    auto listener = io::listen("[::1]:0", {.v6_only = true});
    auto client = io::connect("localhost:" + std::to_string(listener.local_endpoint().port()));
    EXPECT_EQ(client.peer_endpoint(), listener.local_endpoint());
}

TEST_F(IoSocket, UnknownNameIsAnErrorOfItsOwnCategory) {
    try {
        io::connect("no-such-host.invalid:1");
        FAIL();
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().category(), io::name_category()) << e.what();
        EXPECT_NE(std::string(e.what()).find("no-such-host.invalid"), std::string::npos) << e.what();
    }
}

TEST_F(IoSocket, RecvExactlyFills) {
    auto [left, right] = tcp_pair();
    auto writer = copse::spawn([&, &left = left] {
        for (const char* part : {"many", " small", " trees"}) {
            left.send_all(part);
            copse::yield();
        }
        left.close();
    });
    std::array<std::byte, 10> ten;
    EXPECT_EQ(right.recv_exactly(ten), 10U);
    std::array<std::byte, 6> six;
    EXPECT_EQ(right.recv_exactly(six), 6U);
    EXPECT_EQ(right.recv_exactly(six), 0U) << "a clean end";
    writer.get();
}

TEST_F(IoSocket, RecvExactlyTellsOfAnEndInTheMiddle) {
    auto [left, right] = tcp_pair();
    left.send_all("abc");
    left.close();
    try {
        right.recv_exactly(std::span(buffer).first(8));
        FAIL();
    } catch (const io::transfer_error& e) {
        EXPECT_EQ(e.transferred(), 3U);
        EXPECT_EQ(e.code(), std::errc::connection_aborted);
        EXPECT_NE(std::string(e.what()).find("ended after 3 of 8 bytes"), std::string::npos) << e.what();
    }
}

TEST_F(IoSocket, EmptyBuffersAreNothing) {
    auto [left, right] = io::socketpair();
    EXPECT_EQ(left.send(""), 0U);
    left.send_all("");
    EXPECT_EQ(right.recv({}), 0U);
    EXPECT_EQ(right.recv_exactly({}), 0U);
    EXPECT_EQ(right.try_recv({}), 0U);
    EXPECT_EQ(left.try_send(""), 0U);
    EXPECT_FALSE(right.try_recv(buffer));
}

TEST_F(IoSocket, PooledReceiveHoldsABufferOnlyWhileItHasBytes) {
    auto [left, right] = tcp_pair();
    const std::byte* first = nullptr;
    for (int round = 0; round < 3; ++round) {
        left.send_all("abc");
        const io::pooled_buffer chunk = right.recv_pooled();
        EXPECT_EQ(chunk.text(), "abc");
        if (first == nullptr) first = chunk.data();
        EXPECT_EQ(chunk.data(), first) << "last in, first out";
    }
    left.close();
    const io::pooled_buffer end = right.recv_pooled();
    EXPECT_FALSE(end);
    EXPECT_EQ(end.data(), nullptr);
}

TEST_F(IoSocket, ParkedPooledReceivesShareOneBuffer) {
    auto [left, right] = tcp_pair();
    auto [left2, right2] = tcp_pair();
    const std::byte* used[2]{};
    auto a = copse::spawn([&, &mine = right] { used[0] = mine.recv_pooled().data(); });
    auto b = copse::spawn([&, &mine = right2] { used[1] = mine.recv_pooled().data(); });
    copse::yield();
    left.send_all("x");
    left2.send_all("x");
    copse::join_all(a, b);
    EXPECT_EQ(used[0], used[1]);
}

TEST_F(IoSocket, LargeTransferIsWhole) {
    for (const bool tcp : {true, false}) {
        auto [left, right] = tcp ? tcp_pair() : io::socketpair();
        const std::string sent = pattern(8 * 1024 * 1024);
        auto writer = copse::spawn([&, &left = left] {
            left.send_all(sent);
            left.shutdown(io::shut::write);
        });
        EXPECT_TRUE(recv_to_end(right) == sent);
        writer.get();
    }
}

TEST_F(IoSocket, ManyFlowsBothWaysAtOnce) {
    auto [left, right] = tcp_pair();
    const std::string one = pattern(2 * 1024 * 1024, 1);
    const std::string other = pattern(3 * 1024 * 1024, 2);
    auto writers =
        std::array{copse::spawn([&, &left = left] { left.send_all(one), left.shutdown(io::shut::write); }),
                   copse::spawn([&, &right = right] { right.send_all(other), right.shutdown(io::shut::write); })};
    auto reader = copse::spawn([&, &left = left] { return recv_to_end(left) == other; });
    EXPECT_TRUE(recv_to_end(right) == one);
    EXPECT_TRUE(reader.get());
    copse::join_all(writers);
}

TEST_F(IoSocket, TryFormsSayNo) {
    auto [left, right] = tcp_pair();
    auto listener = io::listen("127.0.0.1:0");
    EXPECT_FALSE(listener.try_accept());
    auto client = io::connect(listener.local_endpoint());
    EXPECT_TRUE(listener.try_accept());
    EXPECT_FALSE(right.try_recv(buffer));
    left.send_all("abc");
    EXPECT_EQ(right.try_recv(buffer), 3U);
    fill(left);
    EXPECT_FALSE(left.try_send("x"));
}

TEST_F(IoSocket, TryFormsMayBeUsedInTheHub) {
    auto [left, right] = io::socketpair();
    left.send_all("abc");
    std::optional<std::size_t> got;
    std::string refused;
    copse::event done;
    copse::hub::current().post([&, &right = right] {
        got = right.try_recv(buffer);
        try {
            right.recv(buffer);
        } catch (const copse::blocking_in_hub& e) {
            refused = e.what();
        }
        done.set();
    });
    done.wait();
    EXPECT_EQ(got, 3U);
    EXPECT_FALSE(refused.empty());
}

// ---- one fiber a direction

// Rule 126.
TEST_F(IoSocket, SecondReaderIsRefusedAndTheFirstUnaffected) {
    auto [left, right] = io::socketpair();
    auto first = copse::spawn([&, &right = right] { return recv_text(right); });
    copse::yield();
    EXPECT_THROW(right.recv(buffer), copse::concurrent_use);
    EXPECT_THROW(right.recv_for(buffer, 1ms), copse::concurrent_use);
    EXPECT_NE(text_of([&, &right = right] { right.recv(buffer); }).find("in recv"), std::string::npos);
    right.send_all("a writer may come too");
    EXPECT_EQ(recv_text(left), "a writer may come too");
    left.send_all("abc");
    EXPECT_EQ(first.get(), "abc");
}

TEST_F(IoSocket, SecondAcceptorAndWriterAreRefused) {
    auto listener = io::listen("127.0.0.1:0");
    auto acceptor = copse::spawn([&] { listener.accept(); });
    auto [left, right] = io::socketpair();
    fill(left);
    auto writer = copse::spawn([&, &left = left] { left.send_all("x"); });
    copse::yield();
    EXPECT_THROW(listener.accept(), copse::concurrent_use);
    EXPECT_THROW(left.send("y"), copse::concurrent_use);
    acceptor.kill();
    writer.kill();
}

// ---- options, errors

TEST_F(IoSocket, OptionsAreTyped) {
    auto [left, right] = tcp_pair();
    EXPECT_TRUE(left.get_option<io::no_delay>().on) << "from the start";
    EXPECT_TRUE(right.get_option<io::no_delay>().on) << "accepted ones inherit it";
    left.set_option(io::no_delay(false));
    EXPECT_FALSE(left.get_option<io::no_delay>().on);
    left.set_option(io::keep_alive(true));
    EXPECT_TRUE(left.get_option<io::keep_alive>().on);
    left.set_option(io::receive_buffer(8192));
    EXPECT_GE(left.get_option<io::receive_buffer>().bytes, 8192);
    left.set_option(io::linger(3s));
    EXPECT_TRUE(left.get_option<io::linger>().on);
    EXPECT_EQ(left.get_option<io::linger>().length, 3s);
    left.set_option(io::linger());
    auto [u, v] = io::socketpair();
    EXPECT_EQ(error_of([&, &s = u] { s.set_option(io::no_delay(true)); }), std::errc::operation_not_supported);
}

TEST_F(IoSocket, ListenersOfOnePortShareIt) {
    auto first = io::listen("127.0.0.1:0", {.reuse_port = true});
    auto second = io::listen(first.local_endpoint(), {.reuse_port = true});
    EXPECT_EQ(error_of([&] { io::listen(first.local_endpoint()); }), std::errc::address_in_use);
    const std::string text = text_of([&] { io::listen(first.local_endpoint()); });
    EXPECT_NE(text.find(to_string(first.local_endpoint())), std::string::npos) << text;
}

TEST_F(IoSocket, DualStackUnlessV6Only) {
    auto both = io::listen("[::]:0");
    auto port = both.local_endpoint().port();
    io::connect(io::endpoint::loopback(port)).close();
    both.accept();
    auto six = io::listen("[::]:0", {.v6_only = true});
    EXPECT_EQ(error_of([&] { io::connect(io::endpoint::loopback(six.local_endpoint().port())); }),
              std::errc::connection_refused);
}

TEST_F(IoSocket, ErrorsNameOperationDescriptorAndPeer) {
    auto [left, right] = tcp_pair();
    const std::string peer = to_string(left.local_endpoint());
    left.set_option(io::linger(0s));
    left.close();
    EXPECT_EQ(text_of([&, &s = right] { s.recv(buffer); }),
              "recv on fd " + std::to_string(right.native_handle()) + " from " + peer + ": Connection reset by peer");
}

TEST_F(IoSocket, SendPartOfMuch) {
    auto [left, right] = io::socketpair();
    const std::string much(64 * 1024 * 1024, 'x');
    const std::size_t sent = left.send(much);
    EXPECT_GT(sent, 0U);
    EXPECT_LT(sent, much.size());
}

TEST_F(IoSocket, PeekLeavesWhatItSaw) {
    auto [left, right] = tcp_pair();
    left.send_all("abc");
    EXPECT_EQ(right.recv(buffer, MSG_PEEK), 3U);
    EXPECT_EQ(right.recv(buffer, MSG_PEEK), 3U);
    EXPECT_EQ(right.recv(buffer), 3U);
}

// ---- readiness that is remembered

// The end of the stream comes together with the last bytes, in one event: a short receive must not make it forgotten.
TEST_F(IoSocket, EndThatCameWithTheLastBytesIsSeen) {
    auto [left, right] = tcp_pair();
    auto reader = copse::spawn([&, &right = right] { return recv_to_end(right); });
    copse::yield();
    left.send_all("abc");
    left.close();
    EXPECT_EQ(reader.get(), "abc");
}

TEST_F(IoSocket, BytesBehindUrgentOnesAreSeen) {
    auto [left, right] = tcp_pair();
    auto reader = copse::spawn([&, &right = right] { return recv_to_end(right); });
    copse::yield();
    left.send_all("abc");
    left.send("!", MSG_OOB);
    left.send_all("def");
    while (copse::hub::current().stats().watching != 0) copse::yield();
    left.shutdown(io::shut::write);
    EXPECT_EQ(reader.get(), "abcdef");
}

TEST_F(IoSocket, ShutdownOfReadingWakesTheReader) {
    for (const bool tcp : {true, false}) {
        auto [left, right] = tcp ? tcp_pair() : io::socketpair();
        auto reader = copse::spawn([&, &mine = right] { return mine.recv(buffer); });
        copse::yield();
        right.shutdown(io::shut::read);
        EXPECT_EQ(reader.get(), 0U);
    }
}

// SC06, P3: nothing makes the hub wait, and yet the others have their turns.
TEST_F(IoSocket, Fault_SC06_AlwaysReadySocketLetsOthersRun) {
    auto [left, right] = io::socketpair();
    left.send_all(std::string(4096, 'x'));
    int turns = 0;
    bool done = false;
    auto other = copse::spawn([&] {
        while (!done) {
            ++turns;
            copse::yield();
        }
    });
    int most_between = 0;
    for (int i = 0, between = 0, seen = 0; i < 4096; ++i) {
        right.recv_exactly(std::span(buffer).first(1));
        between = turns == seen ? between + 1 : 0;
        seen = turns;
        most_between = std::max(most_between, between);
    }
    EXPECT_LE(most_between, 128);
    EXPECT_GE(turns, 4096 / 129 - 1);
    done = true;
    other.join();
}

// A connected socket becomes readable for other reasons, a datagram socket too: waiting there would be in vain.
TEST_F(IoSocket, AcceptOnWhatDoesNotListenIsRefused) {
    auto [left, right] = tcp_pair();
    EXPECT_THROW(left.accept(), std::system_error);
    io::socket datagrams(AF_INET, SOCK_DGRAM);
    EXPECT_THROW(datagrams.accept_for(1h), std::system_error);
    auto [a, b] = io::socketpair();
    io::stream_server server(std::move(a), [](io::socket) {});
    EXPECT_THROW(server.serve_forever(), std::system_error);
}

TEST_F(IoSocket, DeadlockIsNotSeenWhereADescriptorIsWaitedFor) {
    auto [left, right] = io::socketpair();
    const int fd = left.native_handle();
    auto later = std::thread([fd] {
        const char byte = 'x';
        ASSERT_EQ(::write(fd, &byte, 1), 1);
    });
    EXPECT_EQ(right.recv(buffer), 1U);
    later.join();
}

}  // namespace
