// Servers that serve again.

#include "exceptions.hpp"
#include "io_echo.hpp"

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoStreamServer = io_leak_check;

TEST_F(IoStreamServer, RestartsAtTheSamePlace) {
    io::stream_server server("127.0.0.1:0", echo);
    const io::endpoint where = server.local_endpoint();
    auto serving = copse::spawn([&] { server.serve_forever(); });
    auto old = io::connect(where);
    EXPECT_TRUE(is_served(old));
    server.stop();
    server.restart();
    EXPECT_TRUE(server.is_serving());
    EXPECT_EQ(server.local_endpoint(), where);
    auto fresh = io::connect(where);
    EXPECT_TRUE(is_served(fresh));
    EXPECT_TRUE(is_served(old)) << "what ran, runs on";
    EXPECT_EQ(server.connections(), 2U);
    server.restart();  // without a stop before
    auto third = io::connect(where);
    EXPECT_TRUE(is_served(third));
    EXPECT_FALSE(serving.ready()) << "a restart is no end";
    for (io::socket* s : {&old, &fresh, &third}) s->close();
    EXPECT_TRUE(server.stop_for(10s));
    serving.get();
    EXPECT_EQ(server.stats().accepted, 3U);
    EXPECT_EQ(error_of([&] { server.start(); }), std::errc::bad_file_descriptor) << "only restart undoes a stop";
}

TEST_F(IoStreamServer, RestartOfOneThatNeverServed) {
    io::stream_server server("127.0.0.1:0", echo);
    server.restart();
    auto client = io::connect(server.local_endpoint());
    EXPECT_TRUE(is_served(client));
}

TEST_F(IoStreamServer, ARestartThatFailsMayBeTriedAgain) {
    io::stream_server server("127.0.0.1:0", echo, {.listening = {.reuse_address = false}});
    server.start();
    server.stop();
    auto squatter = io::listen(server.local_endpoint(), {.reuse_address = false});
    EXPECT_EQ(error_of([&] { server.restart(); }), std::errc::address_in_use);
    EXPECT_FALSE(server.is_serving());
    squatter.close();
    server.restart();
    auto client = io::connect(server.local_endpoint());
    EXPECT_TRUE(is_served(client));
}

TEST_F(IoStreamServer, ARestartThatFailsEndsServeForever) {
    io::stream_server server("127.0.0.1:0", echo, {.listening = {.reuse_address = false}});
    auto serving = copse::spawn([&] { server.serve_forever(); });
    copse::yield();
    io::socket squatter;
    auto restarting = copse::spawn([&] { return error_of([&] { server.restart(); }); });
    auto squatting = copse::spawn([&] { squatter = io::listen(server.local_endpoint(), {.reuse_address = false}); });
    squatting.get();
    EXPECT_EQ(restarting.get(), std::errc::address_in_use);
    serving.get();
    EXPECT_FALSE(server.is_serving());
}

TEST_F(IoStreamServer, RestartAfterAnEndOfItsOwn) {
    const error_recorder errors;
    mortal_server m;
    m.server.start();
    copse::yield();
    m.end();
    while (m.server.is_serving()) copse::yield();
    m.server.restart();
    EXPECT_TRUE(m.server.is_serving());
    auto client = io::connect(m.server.local_endpoint());
    EXPECT_TRUE(is_served(client));
}

TEST_F(IoStreamServer, WhatEndedItIsToldIfServeForeverGoesOn) {
    const error_recorder errors;
    mortal_server m;
    io::stream_server& server = m.server;
    auto restarting = copse::spawn([&] {
        while (!server.is_serving()) copse::yield();
        m.end();
        while (server.is_serving()) copse::yield();
        server.restart();
    });
    auto serving = copse::spawn([&] { server.serve_forever(); });
    restarting.get();
    copse::yield();
    EXPECT_FALSE(serving.ready()) << "the restart was faster";
    for (int turn = 0; turn < 500 && errors.count() == 0; ++turn) copse::yield();
    EXPECT_EQ(errors.count(), 1U);
    server.stop();
    serving.get();
}

TEST_F(IoStreamServer, TwoFibersMayRestartIt) {
    io::stream_server server("127.0.0.1:0", echo);
    server.start();
    copse::yield();
    auto first = copse::spawn([&] { server.restart(); });
    auto second = copse::spawn([&] { server.restart(); });
    first.get();
    second.get();
    auto client = io::connect(server.local_endpoint());
    EXPECT_TRUE(is_served(client));
}

TEST_F(IoStreamServer, RestartThatIsKilledLeavesItStopped) {
    io::stream_server server("127.0.0.1:0", echo);
    server.start();
    copse::yield();
    auto restarting = copse::spawn([&] { server.restart(); });
    copse::spawn([&] { restarting.request_kill(); });
    restarting.join();
    EXPECT_FALSE(server.is_serving());
    server.restart();
    EXPECT_TRUE(server.is_serving());
}

}  // namespace
