// How many a server serves: at once, of one address, with the descriptors that there are. Rules 136 and 137, FD09.

#include "exceptions.hpp"
#include "io_echo.hpp"
#include "io_foreign_peers.hpp"

#include <copse/virtual_time.hpp>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>
using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoStreamServer = io_leak_check;

io::socket connect_from(const char* here, const io::endpoint& there) {
    io::socket s(AF_INET);
    s.bind(here);
    s.connect(there);
    return s;
}

// Rule 136.
TEST_F(IoStreamServer, LimitMakesClientsWaitTheirTurn) {
    copse::virtual_time time;
    std::size_t most = 0;
    io::stream_server server("127.0.0.1:0",
                             [&](io::socket s) {
                                 most = std::max(most, server.connections());
                                 copse::sleep(50ms);
                                 s.send_all("done");
                             },
                             {.max_connections = 1});
    server.start();
    std::vector<copse::fiber<std::chrono::nanoseconds>> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(copse::spawn([&]() -> std::chrono::nanoseconds {
            auto s = io::connect(server.local_endpoint());
            recv_to_end(s);
            return time.elapsed();
        }));
    }
    EXPECT_EQ(clients[0].get(), 50ms);
    EXPECT_EQ(clients[1].get(), 100ms);
    EXPECT_EQ(clients[2].get(), 150ms);
    EXPECT_EQ(most, 1U);
    EXPECT_TRUE(server.stop_for(1s));
}

TEST_F(IoStreamServer, StopsWhileFull) {
    io::stream_server server("127.0.0.1:0", echo, {.max_connections = 1});
    auto serving = copse::spawn([&] { server.serve_forever(); });
    auto first = io::connect(server.local_endpoint());
    auto waiting = io::connect(server.local_endpoint());
    while (server.connections() == 0) copse::yield();
    server.stop();
    serving.get();
    EXPECT_EQ(error_of([&] { recv_to_end(waiting); }), std::errc::connection_reset);
    first.close();
    EXPECT_TRUE(server.stop_for(10s));
}

/// No descriptor can be opened while one lives.
class no_descriptor_free {
public:
    no_descriptor_free() {
        getrlimit(RLIMIT_NOFILE, &before_);
        const int lowest_free = ::dup(0);
        ::close(lowest_free);
        const rlimit tight{static_cast<rlim_t>(lowest_free), before_.rlim_max};
        setrlimit(RLIMIT_NOFILE, &tight);
    }
    no_descriptor_free(const no_descriptor_free&) = delete;
    no_descriptor_free& operator=(const no_descriptor_free&) = delete;
    ~no_descriptor_free() { setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

// FD09 and rule 137.
TEST_F(IoStreamServer, Fault_FD09_ClientsAreResetWhenNoDescriptorIsFree) {
    copse::virtual_time time;
    const error_recorder errors;
    io::stream_server server("127.0.0.1:0", echo);
    std::vector<io::socket> clients;
    for (int i = 0; i < 5; ++i) {
        clients.emplace_back(AF_INET);
        clients.back().connect(server.local_endpoint());
    }
    {
        const no_descriptor_free now;
        server.start();
        for (auto& c : clients) EXPECT_EQ(error_of([&] { recv_to_end(c); }), std::errc::connection_reset);
        EXPECT_EQ(server.stats().refused, 5U);
        EXPECT_EQ(server.stats().accepted, 0U);
        copse::sleep(10s);
        EXPECT_LE(server.stats().pauses, 2U) << "no busy loop, and none at all while nobody comes";
    }
    clients.clear();
    auto client = io::connect(server.local_endpoint());
    client.send_all("abc");
    EXPECT_EQ(recv_text(client), "abc") << "it goes on when there are descriptors";
    client.close();
    EXPECT_TRUE(server.stop_for(10s));
    ASSERT_EQ(errors.count(), 1U);
    EXPECT_NE(errors[0].what.find("Too many open files"), std::string::npos) << errors[0].what;
}

// ---- limits by address

TEST_F(IoStreamServer, ConnectionsOfOneAddressAreLimited) {
    const foreign_peers abroad;
    io::stream_server server("127.0.0.1:0", echo, {.max_per_address = 2});
    server.start();
    const io::endpoint& there = server.local_endpoint();
    auto first = connect_from("127.0.0.1:0", there);
    auto second = connect_from("127.0.0.1:0", there);
    EXPECT_TRUE(is_served(first) && is_served(second));
    for (int i = 0; i < 3; ++i) {
        auto third = connect_from("127.0.0.1:0", there);
        EXPECT_EQ(recv_to_end(third), "") << "closed at once";
    }
    auto neighbour = connect_from("127.0.0.2:0", there);
    EXPECT_TRUE(is_served(neighbour));
    EXPECT_EQ(server.stats().over_limit, 3U);
    EXPECT_EQ(server.stats().accepted, 3U);
    first.close();
    while (server.connections() == 3) copse::yield();
    auto next = connect_from("127.0.0.1:0", there);
    EXPECT_TRUE(is_served(next)) << "its place is free again";
    for (io::socket* s : {&second, &neighbour, &next}) s->close();
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.stats().over_limit, 3U);
}

TEST_F(IoStreamServer, ThisMachineIsNotLimited) {
    for (const char* where : {"127.0.0.1:0", "[::1]:0"}) {
        io::stream_server server(where, echo, {.max_per_address = 1});
        server.start();
        auto first = io::connect(server.local_endpoint());
        auto second = io::connect(server.local_endpoint());
        EXPECT_TRUE(is_served(first) && is_served(second)) << where;
        EXPECT_EQ(server.stats().over_limit, 0U);
    }
}

TEST_F(IoStreamServer, HasLimitsOfItsOwn) {
    const foreign_peers abroad;
    const io::stream_server_options given;
    EXPECT_EQ(given.max_connections, 10'000U);
    EXPECT_EQ(given.max_per_address, 256U);
    io::stream_server server("127.0.0.1:0", [](io::socket& s) { recv_text(s); });
    server.start();
    std::vector<io::socket> clients;
    for (int i = 0; i < 257; ++i) clients.push_back(io::connect(server.local_endpoint()));
    while (server.stats().accepted + server.stats().over_limit != clients.size()) copse::yield();
    EXPECT_EQ(server.stats().accepted, 256U);
    EXPECT_EQ(server.stats().over_limit, 1U);
    clients.clear();
    EXPECT_TRUE(server.stop_for(10s));
}

TEST_F(IoStreamServer, AnAddressIsTheSameWhicheverWayItIsWritten) {
    const foreign_peers abroad;
    for (const char* where : {"127.0.0.1", "::1"}) {
        io::stream_server server("[::]:0", echo, {.max_per_address = 1});
        server.start();
        const std::string there =
            (std::string(where) == "::1" ? "[::1]:" : "127.0.0.1:") + std::to_string(server.local_endpoint().port());
        auto first = io::connect(there);
        EXPECT_TRUE(is_served(first));
        auto second = io::connect(there);
        EXPECT_FALSE(is_served(second));
        EXPECT_EQ(server.stats().over_limit, 1U);
    }
}

TEST_F(IoStreamServer, HandlersThatNeverBeganGiveTheirPlaceBack) {
    const foreign_peers abroad;
    io::stream_server server("127.0.0.1:0", echo, {.max_per_address = 1});
    auto early = io::connect(server.local_endpoint());
    server.start();
    while (server.connections() == 0) copse::yield();
    EXPECT_FALSE(server.stop_for(0s));
    EXPECT_EQ(recv_to_end(early), "");
    server.restart();
    auto late = io::connect(server.local_endpoint());
    EXPECT_TRUE(is_served(late));
}

TEST_F(IoStreamServer, UnixSocketsServeManyFromNowhere) {
    const std::string path = "/tmp/copse-server-" + std::to_string(::getpid()) + ".sock";
    for (const std::string& where : {"unix:" + path, "unix:@copse-server-" + std::to_string(::getpid())}) {
        io::stream_server server(where,
                                 [](io::socket& client, const io::endpoint& peer) {
                                     EXPECT_EQ(peer.family(), AF_UNIX);
                                     echo(std::move(client));
                                 },
                                 {.max_per_address = 1});
        server.start();
        std::vector<io::socket> clients;
        for (int i = 0; i < 5; ++i) {
            clients.push_back(io::connect(server.local_endpoint()));
            EXPECT_TRUE(is_served(clients.back())) << "they have no address that could be counted";
        }
        EXPECT_EQ(server.connections(), 5U);
        server.restart();  // its name in the file system is still there
        clients.push_back(io::connect(server.local_endpoint()));
        EXPECT_TRUE(is_served(clients.back()));
        EXPECT_TRUE(is_served(clients.front()));
        clients.clear();
        EXPECT_TRUE(server.stop_for(10s));
    }
    EXPECT_EQ(::unlink(path.c_str()), 0);
}

}  // namespace
