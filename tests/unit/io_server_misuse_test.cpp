// What servers say to whom they are used wrongly by; nothing has changed then.

#include "exceptions.hpp"
#include "io_echo.hpp"
#include "io_http_server.hpp"

#include <copse/error.hpp>
#include <copse/io/datagram_server.hpp>
#include <copse/io/datagram_socket.hpp>
#include <copse/io/resolver.hpp>
#include <copse/stack.hpp>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

using IoServerMisuse = io_leak_check;

void answer(io::incoming_datagram& d) { d.reply(d.bytes()); }

/// What it says to another thread that restarts or stops it; it serves on.
template <class Server>
void expect_unmoved_by_another_thread(Server& server, const std::string& text) {
    server.start();
    std::thread([&] {
        EXPECT_THROW(server.start(), copse::wrong_thread);
        EXPECT_THROW(server.restart(), copse::wrong_thread);
        EXPECT_EQ(what_is_thrown_by([&] { server.stop_for(1s); }), text);
        EXPECT_EQ(what_is_thrown_by([&] { server.serve_forever(); }), text);
    }).join();
    EXPECT_TRUE(server.is_serving());
    EXPECT_TRUE(server.stop_for(1s));
}

TEST_F(IoServerMisuse, AnotherThreadChangesNothing) {
    io::stream_server streams("127.0.0.1:0", echo, {.name = "echo"});
    expect_unmoved_by_another_thread(streams, "echo: it belongs to another thread");
    io::datagram_server datagrams("127.0.0.1:0", answer);
    expect_unmoved_by_another_thread(datagrams, "datagram server: it belongs to another thread");
    http::server pages("127.0.0.1:0", mirror, {.date = false});
    pages.start();
    auto kept = io::connect(pages.local_endpoint());
    const auto is_served_still = [&] {
        kept.send_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        return recv_text(kept) == answer_of("GET / []");
    };
    EXPECT_TRUE(is_served_still());
    std::thread([&] { EXPECT_THROW(pages.restart(), copse::wrong_thread); }).join();
    EXPECT_TRUE(is_served_still());
    expect_unmoved_by_another_thread(pages, "http: it belongs to another thread");
}

/// The same of a posted function, where nobody can wait.
template <class Server>
void expect_unmoved_in_the_hub(Server& server) {
    server.start();
    bool has_run = false;
    copse::hub::current().post([&] {
        EXPECT_THROW(server.restart(), copse::blocking_in_hub);
        EXPECT_THROW(server.stop_for(1s), copse::blocking_in_hub);
        EXPECT_THROW(server.serve_forever(), copse::blocking_in_hub);
        EXPECT_TRUE(server.is_serving());
        has_run = true;
    });
    while (!has_run) copse::yield();
    EXPECT_TRUE(server.stop_for(1s));
}

TEST_F(IoServerMisuse, WhatCannotWaitChangesNothing) {
    io::stream_server streams("127.0.0.1:0", echo);
    expect_unmoved_in_the_hub(streams);
    io::datagram_server datagrams("127.0.0.1:0", answer);
    expect_unmoved_in_the_hub(datagrams);
    http::server pages("127.0.0.1:0", mirror);
    auto kept = io::connect(pages.local_endpoint());
    kept.send_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    pages.start();
    EXPECT_NE(recv_text(kept), "");
    expect_unmoved_in_the_hub(pages);
}

// What it cannot do itself, and would end by; see crash/io_stop_on_another_thread.cpp.
TEST_F(IoServerMisuse, AnotherThreadHasAServerStopped) {
    io::stream_server server("127.0.0.1:0", echo);
    const copse::hub_handle door = copse::hub::current().handle();
    auto serving = copse::spawn([&] { server.serve_forever(); });
    while (!server.is_serving()) copse::yield();
    std::thread other([&] { door.post([&] { server.stop(); }); });
    serving.get();
    other.join();
    EXPECT_FALSE(server.is_serving());
}

TEST_F(IoServerMisuse, DatagramsDoNotComeByASocketForConnections) {
    EXPECT_THROW(io::datagram_server(io::socketpair().first, answer), std::invalid_argument);
    EXPECT_THROW(io::datagram_server(io::listen("127.0.0.1:0"), answer), std::invalid_argument);
}

TEST_F(IoServerMisuse, ADatagramThatWasMovedFromCannotBeAnswered) {
    std::string said;
    io::datagram_server server("127.0.0.1:0", [&](io::incoming_datagram& d) {
        const io::incoming_datagram taken = std::move(d);
        said = what_is_thrown_by([&] { d.reply("x"); });
        taken.reply("y");
    });
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("?");
    EXPECT_EQ(recv_text(client), "y");
    EXPECT_EQ(said, "incoming_datagram: reply of one that was moved from");
}

TEST_F(IoServerMisuse, TimesBelowZeroAreRefusedByName) {
    EXPECT_EQ(what_is_thrown_by([] { io::resolver({.keep = -1s}); }), "resolver: `keep` is negative");
    EXPECT_EQ(what_is_thrown_by([] { io::stream_server("127.0.0.1:0", echo, {.max_delay = -1s}); }),
              "server: `max_delay` is negative");
    EXPECT_EQ(what_is_thrown_by([] { io::datagram_server("127.0.0.1:0", answer, {.min_delay = -1s}); }),
              "datagram server: `min_delay` is negative");
}

TEST_F(IoServerMisuse, StacksThatCannotBeAreRefusedAtOnce) {
    const std::size_t size = copse::maximum_stack_size + 1;
    const std::string rest =
        ": `stack_size` is " + std::to_string(size) + " bytes; the maximum is " + std::to_string(size - 1);
    EXPECT_EQ(what_is_thrown_by([&] { io::stream_server("127.0.0.1:0", echo, {.stack_size = size}); }),
              "server" + rest);
    EXPECT_EQ(what_is_thrown_by([&] { io::datagram_server("127.0.0.1:0", answer, {.stack_size = size}); }),
              "datagram server" + rest);
    EXPECT_EQ(what_is_thrown_by([&] { http::server("127.0.0.1:0", mirror, {.stack_size = size}); }), "http" + rest);
}

class HttpServerMisuse : public HttpServer {};

TEST_F(HttpServerMisuse, WhatSecuresMustReturnAStream) {
    const error_recorder errors;
    serve(mirror, {.secure = [](io::socket) { return io::any_stream(); }});
    EXPECT_EQ(ask_and_wait(""), "");
    while (errors.count() == 0) copse::yield();
    EXPECT_EQ(errors[0].what, "http::server: server_options::secure has returned a stream that is not open");
    EXPECT_EQ(server_->stats().failed_handshakes, 1U);
}

}  // namespace
