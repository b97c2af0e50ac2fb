// Datagrams: sent and received one at a time and many at a time.

#include "io_datagram_fixture.hpp"

#include <copse/virtual_time.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoDatagram = datagram_fixture;

TEST_F(IoDatagram, ThereAndBackOverEveryFamily) {
    for (const std::string& where : {std::string("127.0.0.1:0"), std::string("[::1]:0"), abstract("server")}) {
        auto server = io::bind_datagram(where);
        auto client = io::bind_datagram(where.starts_with("unix:") ? abstract("client") : where);
        auto echo = copse::spawn([&] {
            const io::datagram d = server.recv_from(buffer);
            EXPECT_EQ(d.from, client.local_endpoint());
            return server.send_to(std::span<const std::byte>(buffer).first(d.size), d.from);
        });
        EXPECT_EQ(client.send_to("many small trees", server.local_endpoint()), 16U);
        std::array<std::byte, 100> mine;
        const io::datagram d = client.recv_from(mine);
        EXPECT_EQ(std::string(reinterpret_cast<const char*>(mine.data()), d.size), "many small trees");
        EXPECT_EQ(d.from, server.local_endpoint());
        EXPECT_FALSE(d.truncated);
        EXPECT_EQ(d.full_size, 16U);
        EXPECT_EQ(echo.get(), 16U);
    }
}

TEST_F(IoDatagram, BoundariesAreKept) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto client = io::connect_datagram(server.local_endpoint());
    for (const char* each : {"a", "bc", "", "def"}) client.send(std::string_view(each));
    for (const char* each : {"a", "bc", "", "def"}) EXPECT_EQ(text(server.recv_from(buffer)), each);
    EXPECT_FALSE(server.try_recv_from(buffer).has_value());
}

TEST_F(IoDatagram, ConnectedReceivesFromThereOnly) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto stranger = io::bind_datagram("127.0.0.1:0");
    auto client = io::connect_datagram(to_string(server.local_endpoint()));
    EXPECT_EQ(client.peer_endpoint(), server.local_endpoint());
    client.send("ping");
    const io::datagram asked = server.recv_from(buffer);
    stranger.send_to("spam", asked.from);
    server.send_to("pong", asked.from);
    EXPECT_EQ(text(client.recv_from(buffer)), "pong");
    EXPECT_FALSE(client.try_recv_from(buffer).has_value());
    client.send_to("again", {});
    EXPECT_EQ(text(server.recv_from(buffer)), "again") << "nowhere is the peer";
}

TEST_F(IoDatagram, EmptyOnesAreDatagramsForEveryVerb) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("");
    client.send_all("");
    client.send_to("", server.local_endpoint());
    EXPECT_EQ(client.try_send(""), 0U);
    EXPECT_EQ(client.try_send_to("", {}), 0U);
    for (int i = 0; i < 5; ++i) {
        const auto d = server.try_recv_from(buffer);
        ASSERT_TRUE(d.has_value()) << i;
        EXPECT_EQ(d->size, 0U);
        EXPECT_EQ(d->from, client.local_endpoint());
    }
    EXPECT_FALSE(server.try_recv_from(buffer).has_value());
    client.send("abc");
    EXPECT_EQ(server.recv(std::span<std::byte>()), 0U) << "no room, and yet taken";
    EXPECT_FALSE(server.try_recv_from(buffer).has_value());
}

TEST_F(IoDatagram, PeekLeavesItThere) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("abc");
    EXPECT_EQ(text(server.recv_from(buffer, MSG_PEEK)), "abc");
    EXPECT_EQ(text(server.recv_from(buffer)), "abc");
}

TEST_F(IoDatagram, SocketpairsOfBothKinds) {
    for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
        auto [left, right] = io::socketpair(type);
        left.send("abc");
        left.send("defg");
        const io::datagram d = right.recv_from(std::span(buffer).first(2));
        EXPECT_EQ(text(d), "ab");
        EXPECT_TRUE(d.truncated);
        EXPECT_EQ(d.full_size, 3U);
        EXPECT_EQ(right.recv(buffer), 4U);
    }
    auto [left, right] = io::socketpair(SOCK_SEQPACKET);
    left.close();
    EXPECT_EQ(right.recv_from(buffer).size, 0U) << "that one has an end";
}

// Of a stream MSG_TRUNC would throw bytes away.
TEST_F(IoDatagram, StreamsLoseNothing) {
    auto [left, right] = tcp_pair();
    left.send_all("abcdef");
    const io::datagram d = right.recv_from(std::span(buffer).first(2));
    EXPECT_EQ(text(d), "ab");
    EXPECT_TRUE(d.from.empty());
    EXPECT_FALSE(d.truncated);
    EXPECT_EQ(recv_text(right), "cdef");
    left.close();
    EXPECT_EQ(right.recv_from(buffer).size, 0U);
}

// The queue of errors is another one: that it is empty says nothing of datagrams.
TEST_F(IoDatagram, AskingForErrorsForgetsNoDatagram) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("a");
    client.send("b");
    EXPECT_EQ(text(server.recv_from_for(buffer, 1s)), "a");
    EXPECT_FALSE(server.try_recv_from(buffer, MSG_ERRQUEUE).has_value());
    EXPECT_EQ(text(server.recv_from_for(buffer, 1s)), "b");
}

// ---- many at a time

TEST_F(IoDatagram, ManyAtATime) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto one = io::connect_datagram(server.local_endpoint());
    auto two = io::bind_datagram("127.0.0.1:0");
    const std::vector<std::string> texts = {"a", "", "bcd", std::string(50, 'e')};
    std::vector<io::outgoing_datagram> out;
    for (const std::string& t : texts) out.push_back({as_bytes(t)});
    EXPECT_EQ(one.send_many(out), 4U);
    for (io::outgoing_datagram& o : out) o.to = server.local_endpoint();
    EXPECT_EQ(two.send_many(out), 4U);

    std::array<std::array<std::byte, 40>, 10> room;
    std::vector<io::datagram_slot> slots;
    for (auto& each : room) slots.push_back({each});
    ASSERT_EQ(server.recv_many(slots), 8U);
    for (std::size_t i = 0; i < 8; ++i) {
        const std::string& t = texts[i % 4];
        EXPECT_EQ(slots[i].text(), t.substr(0, 40));
        EXPECT_EQ(slots[i].bytes().size(), std::min<std::size_t>(t.size(), 40));
        EXPECT_EQ(slots[i].received.from, i < 4 ? one.local_endpoint() : two.local_endpoint());
        EXPECT_EQ(slots[i].received.truncated, t.size() > 40);
        EXPECT_EQ(slots[i].received.full_size, t.size());
    }
    EXPECT_THROW(server.recv_many_for(slots, 1ms), io::timed_out);
    EXPECT_THROW(server.recv_many_until(slots, copse::clock::now() + 1ms), io::timed_out);
    EXPECT_EQ(server.recv_many({}), 0U);
    EXPECT_EQ(server.send_many({}), 0U);
}

TEST_F(IoDatagram, ManyParkOnlyIfThereIsNone) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto client = io::connect_datagram(server.local_endpoint());
    std::array<std::array<std::byte, 8>, 4> room;
    std::vector<io::datagram_slot> slots;
    for (auto& each : room) slots.push_back({each});
    auto reader = copse::spawn([&] { return server.recv_many(slots); });
    copse::yield();
    EXPECT_EQ(copse::hub::current().stats().watching, 1U);
    client.send("one");
    EXPECT_EQ(reader.get(), 1U);
    EXPECT_EQ(slots[0].text(), "one");
    auto killed = copse::spawn([&] { server.recv_many(slots); });
    copse::yield();
    killed.kill();
    client.send("two");
    EXPECT_EQ(server.recv_many(slots), 1U) << "the killed one took nothing";
}

TEST_F(IoDatagram, MoreThanOneCallCanTakeAreSharedOut) {
    auto [left, right] = io::socketpair(SOCK_DGRAM);
    const std::string x = "x";
    const std::vector<io::outgoing_datagram> out(100, {as_bytes(x)});
    EXPECT_EQ(left.send_many(out), 64U);
    EXPECT_EQ(left.send_many(std::span(out).subspan(64)), 36U);
    std::vector<std::array<std::byte, 1>> room(100);
    std::vector<io::datagram_slot> slots;
    for (auto& each : room) slots.push_back({each});
    EXPECT_EQ(right.recv_many(slots), 64U);
    EXPECT_EQ(right.recv_many(slots), 36U);
}

TEST_F(IoDatagram, ManyToAFullReceiver) {
    auto server = io::bind_datagram(abstract("many"));
    auto client = io::bind_datagram(io::endpoint::unnamed());
    const std::string x = "x";
    const std::vector<io::outgoing_datagram> out(64, {as_bytes(x), server.local_endpoint()});
    std::size_t room = 0;
    while (client.try_send_to("x", server.local_endpoint())) ++room;
    ASSERT_GT(room, 0U);
    copse::virtual_time time;
    EXPECT_THROW(client.send_many_for(out, 20ms), io::timed_out);
    EXPECT_EQ(time.elapsed(), 20ms);
    server.recv(buffer);
    EXPECT_EQ(client.send_many(out), 1U) << "partly";
    EXPECT_THROW(client.send_many_until(out, copse::clock::now() + 20ms), io::timed_out);
}

TEST_F(IoDatagram, AnErrorOfManyIsToldOfTheFirst) {
    auto server = io::bind_datagram("127.0.0.1:0");
    const std::string x = "x";
    const std::string long_one(70'000, 'x');
    const std::vector<io::outgoing_datagram> out = {{as_bytes(x), server.local_endpoint()},
                                                    {as_bytes(long_one), server.local_endpoint()}};
    auto client = io::bind_datagram("127.0.0.1:0");
    EXPECT_EQ(client.send_many(out), 1U);
    const std::string text = text_of([&] { client.send_many(std::span(out).subspan(1)); });
    EXPECT_NE(text.find("send_many on fd " + std::to_string(client.native_handle()) + " to " +
                        to_string(server.local_endpoint()) + ": Message too long"),
              std::string::npos)
        << text;
}

// ---- where

TEST_F(IoDatagram, UnnamedGetsAnAbstractName) {
    auto one = io::bind_datagram(io::endpoint::unnamed());
    auto two = io::bind_datagram(io::endpoint::unnamed());
    EXPECT_TRUE(one.local_endpoint().address().starts_with('@')) << one.local_endpoint();
    EXPECT_NE(one.local_endpoint(), two.local_endpoint());
    one.send_to("abc", two.local_endpoint());
    EXPECT_EQ(two.recv_from(buffer).from, one.local_endpoint());
}

TEST_F(IoDatagram, ConnectedUnixOnesCanBeAnswered) {
    auto server = io::bind_datagram(abstract("answers"));
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("ping");
    const io::datagram d = server.recv_from(buffer);
    server.send_to("pong", d.from);
    EXPECT_EQ(text(client.recv_from(buffer)), "pong");
}

TEST_F(IoDatagram, DualStackTakesBothFamilies) {
    auto server = io::bind_datagram("[::]:0");
    const auto port = server.local_endpoint().port();
    auto four = io::connect_datagram(io::endpoint::loopback(port));
    auto six = io::connect_datagram(io::endpoint::loopback(port, AF_INET6));
    four.send("4");
    six.send("6");
    const io::datagram first = server.recv_from(buffer);
    EXPECT_EQ(first.from.address(), "::ffff:127.0.0.1");
    EXPECT_EQ(server.recv_from(buffer).from.address(), "::1");
    server.send_to("back", first.from);
    EXPECT_EQ(text(four.recv_from(buffer)), "back");

    auto only = io::bind_datagram("[::]:0", {.v6_only = true});
    auto lost = io::connect_datagram(io::endpoint::loopback(only.local_endpoint().port()));
    lost.send("4");
    EXPECT_FALSE(only.try_recv_from(buffer).has_value());
}

TEST_F(IoDatagram, TextThatIsNoEndpointIsRefused) {
    EXPECT_THROW(io::bind_datagram("127.0.0.1"), std::invalid_argument);
    EXPECT_THROW(io::connect_datagram(""), std::invalid_argument);
}

}  // namespace
