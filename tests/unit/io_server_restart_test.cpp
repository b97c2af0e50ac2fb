// Servers that are stopped, restarted and ended by several fibers at a time: the last word counts. NT24.

#include "at_end.hpp"
#include "exceptions.hpp"
#include "io_leak_check.hpp"

#include <copse/virtual_time.hpp>

#include <memory>
#include <optional>
#include <random>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

class IoServerRestart : public io_leak_check {
protected:
    static void echo(io::socket client) {
        while (auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
    }
    static bool is_served(io::socket& client) {
        client.send_all("abc");
        return recv_text(client) == "abc";
    }
};

TEST_F(IoServerRestart, Fault_NT24_AStopThatWaitsLeavesTheRestartedServerAlone) {
    copse::virtual_time time;
    io::stream_server server("127.0.0.1:0", echo);
    server.start();
    auto old = io::connect(server.local_endpoint());
    EXPECT_TRUE(is_served(old));
    auto patient = copse::spawn([&] { return server.stop_for(3s); });
    copse::yield();
    EXPECT_FALSE(server.is_serving());
    server.restart();
    EXPECT_FALSE(patient.get()) << "one still runs";
    EXPECT_EQ(time.elapsed(), 0s) << "there is nothing to wait for any more";
    auto fresh = io::connect(server.local_endpoint());
    EXPECT_TRUE(is_served(fresh));
    copse::sleep(10s);
    EXPECT_TRUE(is_served(old)) << "nobody was killed";
    EXPECT_TRUE(is_served(fresh));
}

TEST_F(IoServerRestart, Fault_NT24_AStopWithoutEndIsEndedByARestart) {
    io::stream_server server("127.0.0.1:0", echo);
    auto serving = copse::spawn([&] { server.serve_forever(); });
    auto old = io::connect(server.local_endpoint());
    EXPECT_TRUE(is_served(old));
    auto patient = copse::spawn([&] { return server.stop_for(std::chrono::nanoseconds::max()); });
    copse::yield();
    server.restart();
    EXPECT_FALSE(patient.get());
    EXPECT_TRUE(server.is_serving());
    EXPECT_TRUE(is_served(old));
    copse::yield();
    EXPECT_FALSE(serving.ready()) << "its owner would end what serves again";
    server.stop();
    serving.get();
}

TEST_F(IoServerRestart, Fault_NT24_ARestartThatWaitsOutlastsTwoOfAnother) {
    const error_recorder errors;
    io::stream_server server("127.0.0.1:0", echo);
    server.start();
    copse::yield();
    auto twice = copse::spawn([&] {
        server.restart();
        server.restart();
    });
    auto once = copse::spawn([&] { server.restart(); });
    copse::join_all(twice, once);
    copse::yield();
    EXPECT_TRUE(server.is_serving());
    auto client = io::connect(server.local_endpoint());
    EXPECT_TRUE(is_served(client));
    EXPECT_EQ(errors.count(), 0U) << "one fiber takes connections";
}

TEST_F(IoServerRestart, Fault_NT24_AStopThatComesDuringARestartCounts) {
    io::stream_server server("127.0.0.1:0", echo);
    server.start();
    copse::yield();
    auto restarting = copse::spawn([&] { server.restart(); });
    auto stopping = copse::spawn([&] {
        EXPECT_FALSE(restarting.ready());
        server.stop();
    });
    copse::join_all(restarting, stopping);
    EXPECT_FALSE(server.is_serving());
    EXPECT_EQ(error_of([&] { io::connect(server.local_endpoint()); }), std::errc::connection_refused);
    server.restart();
    EXPECT_TRUE(server.is_serving());
}

TEST_F(IoServerRestart, Fault_NT24_DestructionDuringARestartCounts) {
    auto server = std::make_unique<io::stream_server>("127.0.0.1:0", echo);
    const io::endpoint where = server->local_endpoint();
    server->start();
    copse::yield();
    auto restarting = copse::spawn([&] { server->restart(); });
    auto ending = copse::spawn([&] {
        EXPECT_FALSE(restarting.ready());
        server.reset();
    });
    copse::join_all(restarting, ending);
    EXPECT_EQ(error_of([&] { io::connect(where); }), std::errc::connection_refused);
}

TEST_F(IoServerRestart, DestructionEndsAStopThatWaits) {
    copse::virtual_time time;
    auto server = std::make_unique<io::stream_server>("127.0.0.1:0", echo);
    server->start();
    auto client = io::connect(server->local_endpoint());
    EXPECT_TRUE(is_served(client));
    auto patient = copse::spawn([&] { return server->stop_for(1h); });
    copse::yield();
    server.reset();
    EXPECT_FALSE(patient.get());
    EXPECT_EQ(time.elapsed(), 0s);
}

TEST_F(IoServerRestart, HandlersMayAskAServerThatIsBeingDestroyed) {
    io::stream_server* asked = nullptr;
    std::size_t connections = 0;
    std::optional<std::error_condition> refusal;
    {
        io::stream_server server("127.0.0.1:0", [&](io::socket client) {
            const at_end ask([&] {
                connections = asked->connections();
                asked->stop();
                refusal = error_of([&] { asked->restart(); });
            });
            echo(std::move(client));
        });
        asked = &server;
        server.start();
        auto client = io::connect(server.local_endpoint());
        EXPECT_TRUE(is_served(client));
    }
    EXPECT_EQ(connections, 1U);
    EXPECT_EQ(refusal, std::errc::bad_file_descriptor);
}

TEST_F(IoServerRestart, WhoSwallowsItsKillDidNotEndByItself) {
    copse::virtual_time time;
    const error_recorder errors;  // hears of that
    io::stream_server server("127.0.0.1:0", [](io::socket) {
        try {
            copse::sleep(1h);
        } catch (...) {}
    });
    server.start();
    auto client = io::connect(server.local_endpoint());
    while (server.connections() == 0) copse::yield();
    copse::yield();
    EXPECT_FALSE(server.stop_for(1s));
    EXPECT_EQ(server.connections(), 0U);
}

TEST_F(IoServerRestart, Fault_NT24_AStopThatWaitsLeavesTheSocketOfARestartedDatagramServer) {
    copse::event go;
    io::datagram_server server("127.0.0.1:0", [&](io::incoming_datagram& d) {
        if (d.bytes().size() == 1) go.wait();
        d.reply(d.bytes());
    });
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("1");
    while (server.handlers() == 0) copse::yield();
    auto patient = copse::spawn([&] { return server.stop_for(1h); });
    copse::yield();
    server.restart();
    go.set();
    patient.get();
    EXPECT_EQ(recv_text(client), "1");
    client.send("22");
    EXPECT_EQ(recv_text(client), "22");
    EXPECT_TRUE(server.is_serving());
}

// Whatever several fibers want of it at a time, none of them is left behind, and the last word counts.
TEST_F(IoServerRestart, Fault_NT24_AnyOrderOfStopsAndRestartsComesToAnEnd) {
    for (unsigned seed = 0; seed < 40; ++seed) {
        copse::virtual_time time;
        const error_recorder errors;
        std::mt19937 dice(seed);
        io::stream_server server("127.0.0.1:0", echo);
        server.start();
        std::vector<io::socket> clients;
        std::vector<copse::fiber<void>> all;
        for (int step = 0; step < 30; ++step) {
            switch (dice() % 5) {
            case 0: all.push_back(copse::spawn([&] { server.restart(); })); break;
            case 1: all.push_back(copse::spawn([&] { server.stop(); })); break;
            case 2: all.push_back(copse::spawn([&] { server.stop_for(1s); })); break;
            case 3: all.push_back(copse::spawn([&] { server.stop_for(1h); })); break;
            default: error_of([&] { clients.push_back(io::connect(server.local_endpoint())); });  // or it is stopped
            }
            for (unsigned turns = dice() % 4; turns != 0; --turns) copse::yield();
        }
        copse::join_all(all);
        EXPECT_LE(time.elapsed(), 2h) << "seed " << seed;
        EXPECT_EQ(errors.count(), 0U) << "seed " << seed;
        server.restart();
        auto last = io::connect(server.local_endpoint());
        EXPECT_TRUE(is_served(last)) << "seed " << seed;
    }
}

}  // namespace
