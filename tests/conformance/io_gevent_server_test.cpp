// Servers of connections: what every handler may count on. Rules 135, 136, 138, 139 and 140 of gevent's list.

#include "exceptions.hpp"
#include "io_echo.hpp"

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using GeventServer = io_leak_check;

// rule 135
TEST_F(GeventServer, TheConnectionIsClosedHoweverItsHandlerEnds) {
    const error_recorder errors;
    io::stream_server server("127.0.0.1:0", [&](io::socket& client) {
        const std::string wish = recv_text(client);
        if (wish == "throw") throw std::runtime_error("as wished");
        if (wish == "kill") throw copse::greenlet_exit();
    });
    server.start();
    for (const char* wish : {"return", "throw", "kill"}) {
        auto client = io::connect(server.local_endpoint());
        client.send_all(wish);
        EXPECT_EQ(recv_to_end(client), "") << wish;
    }
    EXPECT_TRUE(server.stop_for(10s));
    ASSERT_EQ(errors.count(), 1U);
    EXPECT_EQ(errors[0].what, "as wished");
}

// rules 135 and 139: each has a fiber, so it may always wait, here for the one who comes after it.
TEST_F(GeventServer, HandlersMayWaitForEachOther) {
    copse::event second;
    int served = 0;
    io::stream_server server("127.0.0.1:0", [&](io::socket& client) {
        if (++served == 1) {
            second.wait();
        } else {
            second.set();
        }
        client.send_all("done");
    });
    server.start();
    auto one = io::connect(server.local_endpoint());
    auto two = io::connect(server.local_endpoint());
    EXPECT_EQ(recv_to_end(one) + recv_to_end(two), "donedone");
    EXPECT_TRUE(server.stop_for(10s));
}

// rule 136: the limit is a place for each, not an order to wait for all.
TEST_F(GeventServer, WhoEndsMakesRoomForTheNext) {
    io::stream_server server("127.0.0.1:0", echo, {.max_connections = 2});
    server.start();
    std::vector<io::socket> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(io::connect(server.local_endpoint()));
        clients.back().send_all("abc");
    }
    EXPECT_EQ(recv_text(clients[0]), "abc");
    EXPECT_EQ(recv_text(clients[1]), "abc");
    EXPECT_EQ(server.connections(), 2U);
    EXPECT_EQ(server.stats().accepted, 2U);
    clients[1].close();
    EXPECT_EQ(recv_text(clients[2]), "abc");
    EXPECT_EQ(server.connections(), 2U);
    clients.clear();
    EXPECT_TRUE(server.stop_for(10s));
}

// rule 138
TEST_F(GeventServer, StopClosesTheListenerAtOnceAndHandlersGoOn) {
    io::stream_server server("127.0.0.1:0", echo);
    server.start();
    auto client = io::connect(server.local_endpoint());
    client.send_all("abc");
    EXPECT_EQ(recv_text(client), "abc");
    server.stop();
    const auto again = io::listen(server.local_endpoint());  // without a switch
    client.send_all("def");
    EXPECT_EQ(recv_text(client), "def");
    client.close();
    EXPECT_TRUE(server.stop_for(10s));
}

// rule 140, changed: three hundred who leave without reading are counted, and nothing is told.
TEST_F(GeventServer, ClientsThatLeaveWithUnreadDataAreEverydayLife) {
    constexpr unsigned many = 300;
    const error_recorder errors;
    io::stream_server server("127.0.0.1:0", [](io::socket& client) {
        client.send_all("unread");
        while (client.recv_pooled()) {}
    });
    server.start();
    for (unsigned i = 0; i < many; ++i) {
        auto client = io::connect(server.local_endpoint());
        std::array<std::byte, 1> one;
        client.recv(one);
    }
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(errors.count(), 0U);
    EXPECT_EQ(server.stats().accepted, many);
    EXPECT_EQ(server.stats().resets, many);
}

}  // namespace
