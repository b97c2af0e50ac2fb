// Servers of TLS, and connecting to them.

#include "exceptions.hpp"
#include "io_tls_pair.hpp"

#include <copse/event.hpp>
#include <copse/virtual_time.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

struct made_before {
    made_before() {
        common_server();
        make_tls_pair();
    }
};

class IoTlsServer : private made_before, public io_leak_check {};

void echo(io::tls_stream client) {
    while (auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
}

std::string address_of(const io::tls_server& s) { return to_string(s.local_endpoint()); }

TEST_F(IoTlsServer, ServesManyAtOnce) {
    io::tls_server server("127.0.0.1:0", common_server_context(), echo);
    EXPECT_FALSE(server.is_serving());
    server.start();
    EXPECT_TRUE(server.is_serving());
    const auto ours = common_client_context();
    std::vector<copse::fiber<bool>> clients;
    for (unsigned i = 0; i < 20; ++i) {
        clients.push_back(copse::spawn([&, i] {
            auto s = io::connect_tls(address_of(server), ours);
            const std::string sent = pattern(1000 + i, i);
            s.send_all(sent);
            s.shutdown(io::shut::write);
            return recv_to_end(s) == sent;
        }));
    }
    for (auto& c : clients) EXPECT_TRUE(c.get());
    EXPECT_TRUE(server.stop_for(10s));
    const auto stats = server.stats();
    EXPECT_EQ(stats.accepted, 20U);
    EXPECT_EQ(stats.handshakes, 20U);
    EXPECT_EQ(stats.failed_handshakes, 0U);
    EXPECT_EQ(stats.connections, 0U);
}

TEST_F(IoTlsServer, HandlersComeInSeveralShapes) {
    int calls = 0;
    const auto visit = [&](auto&& handler) {
        io::tls_server server("[::1]:0", common_server_context(), std::forward<decltype(handler)>(handler));
        server.start();
        auto client = io::connect_tls(address_of(server), common_client_context());
        EXPECT_EQ(recv_to_end(client), "bye") << "and then close_notify, in every shape";
        client.close();
        EXPECT_TRUE(server.stop_for(10s));
        ++calls;
    };
    visit([](io::tls_stream s) { s.send_all("bye"); });
    visit([](io::tls_stream s, const io::endpoint& peer) { s.send_all(peer.empty() ? "?" : "bye"); });
    visit([](io::tls_stream& s) { s.send_all("bye"); });
    visit([](io::tls_stream& s, io::endpoint peer) { s.send_all(peer.empty() ? "?" : "bye"); });
    visit([held = std::make_unique<int>(7)](io::tls_stream s) { s.send_all(*held == 7 ? "bye" : "?"); });
    EXPECT_EQ(calls, 5);
    EXPECT_THROW(io::tls_server("127.0.0.1:0", common_server_context(), std::function<void(io::tls_stream&)>()),
                 copse::null_callable);
    EXPECT_THROW(io::tls_server("127.0.0.1:0", common_client_context(), echo), std::invalid_argument);
}

// Nothing of it is told to anybody, and nobody else waits for it.
TEST_F(IoTlsServer, Fault_TL01_BadHandshakesAreCountedAndHoldUpNobody) {
    copse::virtual_time time;
    error_recorder errors;
    io::tls_server server("127.0.0.1:0", common_server_context(), echo);
    server.start();
    auto silent = io::connect(server.local_endpoint());
    auto noisy = io::connect(server.local_endpoint());
    noisy.send_all("GET / HTTP/1.1\r\n\r\n");
    auto hung_up = io::connect(server.local_endpoint());
    hung_up.close();
    auto reset = io::connect(server.local_endpoint());
    reset.send_all("\x16\x03");
    reset.set_option(io::linger(0s));
    reset.close();
    EXPECT_THROW(io::connect_tls(address_of(server), io::tls_context::client({.trust = {.ca_pem = authority().pem}})),
                 io::tls_error);
    auto good = io::connect_tls(address_of(server), common_client_context());
    good.send_all("abc");
    EXPECT_EQ(recv_text(good), "abc");
    good.close();
    EXPECT_EQ(recv_to_end(noisy), "") << "who does not speak TLS would not read an alert either";
    EXPECT_EQ(time.elapsed(), 0s);
    EXPECT_EQ(recv_to_end(silent), "") << "it was closed";
    EXPECT_EQ(time.elapsed(), 10s);
    noisy.close();
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.stats().handshakes, 1U);
    EXPECT_EQ(server.stats().failed_handshakes, 5U);
    EXPECT_EQ(errors.count(), 0U);
}

TEST_F(IoTlsServer, AClientThatIsCutOffIsNoNews) {
    error_recorder errors;
    io::tls_server server("127.0.0.1:0", common_server_context(), echo);
    server.start();
    auto below = io::connect(server.local_endpoint());
    auto client = io::tls_stream::client(std::ref(below), common_client_context(), "localhost");
    client.send_all("abc");
    EXPECT_EQ(recv_text(client), "abc");
    below.close();
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.stats().truncated, 1U);
    EXPECT_EQ(errors.count(), 0U);
}

// A service that the handler asks is not its client.
TEST_F(IoTlsServer, AStreamOfTheHandlersOwnThatIsCutOffIsAFailure) {
    error_recorder errors;
    io::tls_server server("127.0.0.1:0", common_server_context(), [](io::tls_stream client) {
        auto ends = io::socketpair();
        tls_pair upstream = shake_hands(std::ref(ends.first), std::ref(ends.second));
        ends.second.close();
        client.close();
        recv_text(upstream.client);
    });
    server.start();
    auto client = io::connect_tls(address_of(server), common_client_context());
    EXPECT_EQ(recv_to_end(client), "");
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.stats().truncated, 0U);
    EXPECT_EQ(errors.count(), 1U);
}

TEST_F(IoTlsServer, WhatAHandlerThrowsIsToldAndTheClientCutOff) {
    error_recorder errors;
    io::tls_server server("127.0.0.1:0", common_server_context(), [](io::tls_stream& s) {
        s.send_all("half a mess");
        throw std::runtime_error("no more");
    });
    server.start();
    auto client = io::connect_tls(address_of(server), common_client_context());
    EXPECT_EQ(recv_text(client), "half a mess");
    EXPECT_THROW(recv_text(client), io::stream_truncated);
    EXPECT_TRUE(server.stop_for(10s));
    ASSERT_EQ(errors.count(), 1U);
    EXPECT_EQ(errors[0].what, "no more");
}

TEST_F(IoTlsServer, AStopEndsHandshakesAndLetsHandlersEnd) {
    for (const bool has_begun : {true, false}) {
        copse::virtual_time time;
        io::tls_server server("127.0.0.1:0",
                              common_server_context({.handshake_timeout = std::chrono::nanoseconds::max()}), echo);
        server.start();
        auto served = io::connect_tls(address_of(server), common_client_context());
        served.send_all("a");
        EXPECT_EQ(recv_text(served), "a");
        auto silent = io::connect(server.local_endpoint());
        while (server.connections() < 2) copse::yield();
        silent.set_timeout(1h);
        if (has_begun) {
            copse::yield();
        } else {
            server.stop();
            EXPECT_EQ(recv_to_end(silent), "");
        }
        auto stopping = copse::spawn([&] { return server.stop_for(3s); });
        EXPECT_EQ(recv_to_end(silent), "");
        served.send_all("b");
        EXPECT_EQ(recv_text(served), "b");
        served.close();
        EXPECT_TRUE(stopping.get()) << "a handshake that was ended is no handler that had to be killed";
        EXPECT_EQ(time.elapsed(), 0s);
        EXPECT_EQ(server.stats().handshakes, 1U);
        EXPECT_EQ(server.stats().failed_handshakes, 0U);
    }
}

/// Stops a server whose `choose` sets the flag and waits for the event.
void stop_within(io::tls_server& server, const bool& is_choosing, copse::event& chosen) {
    server.start();
    auto client = copse::spawn(
        [&] { return what_is_thrown_by([&] { io::connect_tls(address_of(server), common_client_context()); }); });
    while (!is_choosing) copse::yield();
    server.stop();
    chosen.set();
    EXPECT_NE(client.get(), "nothing");
    EXPECT_TRUE(server.stop_for(1s));
}

TEST_F(IoTlsServer, AStopWhileAContextIsChosen) {
    copse::event chosen;
    bool is_choosing = false;
    const auto door = common_server_context({.choose = [&](std::string_view) {
        is_choosing = true;
        chosen.wait();
        return std::optional(common_server_context());
    }});
    bool was_handled = false;
    io::tls_server server("127.0.0.1:0", door, [&](io::tls_stream) { was_handled = true; });
    stop_within(server, is_choosing, chosen);
    EXPECT_FALSE(was_handled);
    EXPECT_EQ(server.stats().handshakes + server.stats().failed_handshakes, 0U);
}

// What the client has said last is there, and makes it a good end; but by then the socket is shut.
TEST_F(IoTlsServer, AStopJustAsAHandshakeEnds) {
    bool was_handled = false;
    io::tls_server server("127.0.0.1:0", common_server_context({.session_tickets = false}),
                          [&](io::tls_stream) { was_handled = true; });
    server.start();
    auto client = io::connect_tls(address_of(server), common_client_context());
    EXPECT_EQ(server.stats().handshakes, 0U);
    server.stop();
    EXPECT_TRUE(server.stop_for(1s));
    EXPECT_FALSE(was_handled);
    EXPECT_EQ(server.stats().handshakes + server.stats().failed_handshakes, 0U);
}

TEST_F(IoTlsServer, ARestartThatFailsEndsHandshakes) {
    io::tls_server server("127.0.0.1:0", common_server_context({.handshake_timeout = std::chrono::nanoseconds::max()}),
                          echo, {.listening = {.reuse_address = false}});
    server.start();
    auto silent = io::connect(server.local_endpoint());
    silent.set_timeout(10s);
    while (server.connections() == 0) copse::yield();
    server.stop();  // its fiber has not begun
    EXPECT_EQ(error_of([&] { server.restart(); }), std::errc::address_in_use) << "the client's connection has it";
    EXPECT_EQ(recv_to_end(silent), "");
}

TEST_F(IoTlsServer, WhatAChooserThrowsDuringAStopIsStillToldOf) {
    const error_recorder errors;
    copse::event chosen;
    bool is_choosing = false;
    const auto door = common_server_context({.choose = [&](std::string_view) -> std::optional<io::tls_context> {
        is_choosing = true;
        chosen.wait();
        throw std::system_error(std::make_error_code(std::errc::no_such_file_or_directory), "a.pem");
    }});
    io::tls_server server("127.0.0.1:0", door, echo);
    stop_within(server, is_choosing, chosen);
    ASSERT_EQ(errors.count(), 1U);
    EXPECT_EQ(errors[0].what.find("a.pem"), 0U) << errors[0].what;
}

TEST_F(IoTlsServer, AStopOnAnotherThreadChangesNothing) {
    io::tls_server server("127.0.0.1:0", common_server_context(), echo);
    server.start();
    std::thread([&] { EXPECT_THROW(server.stop_for(1s), copse::wrong_thread); }).join();
    EXPECT_TRUE(server.is_serving());
}

// As its own handler's errors are told from the client's.
TEST_F(IoTlsServer, WhatAChooserFailsByIsNoneOfTheClients) {
    const error_recorder errors;
    const auto late = [] {
        auto [ours, theirs] = io::socketpair();
        std::array<std::byte, 1> room;
        ours.recv_for(room, 1ms);
    };
    const auto half_a_file = [] { io::tls_context::server({.identity = {.certificate_pem = "-----BEGIN CERT"}}); };
    const std::vector<std::function<void()>> ways{late, half_a_file};
    for (const auto& way : ways) {
        const auto door = common_server_context({.choose = [&](std::string_view) -> std::optional<io::tls_context> {
            way();
            return std::nullopt;
        }});
        io::tls_server server("127.0.0.1:0", door, echo);
        server.start();
        EXPECT_NE(what_is_thrown_by([&] { io::connect_tls(address_of(server), common_client_context()); }), "nothing");
        EXPECT_TRUE(server.stop_for(1s));
        EXPECT_EQ(server.stats().failed_handshakes, 1U);
    }
    EXPECT_EQ(errors.count(), ways.size());
}

TEST_F(IoTlsServer, RestartsAtTheSamePlace) {
    io::tls_server server("127.0.0.1:0", common_server_context(), echo);
    server.start();
    server.stop();
    server.restart();
    EXPECT_TRUE(server.is_serving());
    auto client = io::connect_tls(address_of(server), common_client_context(), "localhost");
    client.send_all("abc");
    EXPECT_EQ(recv_text(client), "abc");
}

TEST_F(IoTlsServer, ACertificateIsRenewedWhileItServes) {
    io::tls_server server("127.0.0.1:0", common_server_context(), echo);
    server.start();
    auto before = io::connect_tls(address_of(server), common_client_context());
    server.set_context(
        common_server_context({.identity = issue(common_authority(), {.common_name = "new"}).identity()}));
    EXPECT_THROW(server.set_context(common_client_context()), std::invalid_argument);
    auto after = io::connect_tls(address_of(server), common_client_context());
    EXPECT_EQ(before.peer_certificate()->subject, "CN=localhost");
    EXPECT_EQ(after.peer_certificate()->subject, "CN=new");
    before.send_all("abc");
    EXPECT_EQ(recv_text(before), "abc");
    before.close();
    after.close();
    EXPECT_TRUE(server.stop_for(10s));
}

TEST_F(IoTlsServer, UnixSocketsNeedAName) {
    io::tls_server server("unix:@copse-tls-test", common_server_context(), echo);
    server.start();
    EXPECT_THROW(io::connect_tls(address_of(server), common_client_context()), std::invalid_argument);
    auto client = io::connect_tls(address_of(server), common_client_context(), "localhost");
    client.send_all("abc");
    EXPECT_EQ(recv_text(client), "abc");
    client.close();
    EXPECT_TRUE(server.stop_for(10s));
}

TEST_F(IoTlsServer, ConnectingChecksTheHostThatWasNamed) {
    const auto other = issue(common_authority(), {.alternative_names = "DNS:a.example"});
    io::tls_server server("127.0.0.1:0", common_server_context({.identity = other.identity()}), echo);
    server.start();
    const auto port = std::to_string(server.local_endpoint().port());
    const auto ours = common_client_context();
    const auto code = [&](const auto&... where) {
        try {
            io::connect_tls(where...);
        } catch (const io::tls_error& e) {
            return e.code();
        }
        return std::error_code();
    };
    EXPECT_EQ(code("127.0.0.1:" + port, ours), io::certificate_errc::wrong_address);
    EXPECT_EQ(code("localhost:" + port, ours), io::certificate_errc::wrong_host);
    EXPECT_EQ(code("localhost:" + port, ours, "a.example"), std::error_code());
    EXPECT_THROW(io::connect_tls("localhost", ours), std::invalid_argument);
    EXPECT_THROW(io::connect_tls(":" + port, ours), std::invalid_argument);
    EXPECT_THROW(io::connect_tls("a host:" + port, ours), std::invalid_argument);
    EXPECT_TRUE(server.stop_for(10s));
}

TEST_F(IoTlsServer, ConnectingHasOneTimeForAll) {
    copse::virtual_time time;
    auto listener = io::listen("127.0.0.1:0");  // and never accepts
    const std::string there = to_string(listener.local_endpoint());
    const auto ours = common_client_context();
    EXPECT_THROW(io::connect_tls_for(there, ours, 2s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_THROW(io::connect_tls_until(there, ours, copse::clock::now() + 1s), io::timed_out);
    EXPECT_THROW(io::connect_tls_for(there, ours, "localhost", 1s), io::timed_out);
    EXPECT_THROW(io::connect_tls_until(there, ours, "localhost", copse::clock::now() + 1s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 5s);
    EXPECT_THROW(io::connect_tls(there, ours), io::timed_out);
    EXPECT_EQ(time.elapsed(), 15s);
    auto killed = copse::spawn([&] { io::connect_tls(there, ours); });
    copse::yield();
    killed.kill();
}

}  // namespace
