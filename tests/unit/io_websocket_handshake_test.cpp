// WebSocket: what goes before the first frame, on both sides.

#include "exceptions.hpp"
#include "io_websocket_peers.hpp"

#include <copse/io/http/server.hpp>
#include <copse/io/http/websocket.hpp>
#include <copse/virtual_time.hpp>

#include <boost/version.hpp>

#include <string>
#include <string_view>
#include <utility>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;
using http::websocket;

namespace {

TEST_F(IoWebsocket, TheHandshakeOfTheRfc) {
    websocket_server server(echo);
    raw_client client(server.where());
    EXPECT_TRUE(client.answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << client.answer;
    EXPECT_NE(client.answer.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos);
    EXPECT_NE(client.answer.find("Upgrade: websocket\r\n"), std::string::npos);
    EXPECT_EQ(client.answer.find("Sec-WebSocket-Extensions"), std::string::npos);
    client.send(fin | text, "Hello");
    EXPECT_EQ(client.hear(7), frame(fin | text, "Hello", false));
    client.send(fin | goodbye, close_payload(1000, "bye"));
    EXPECT_EQ(client.hear_to_end(), frame(fin | goodbye, close_payload(1000), false));
}

// HT16.
TEST_F(IoWebsocket, Fault_HT16_ForeignPagesAreRefused) {
    const auto answer_to = [](const std::string& more, http::websocket_options with = {}) {
        websocket_server server(echo, with);
        return raw_client(server.where(), more).answer.substr(9, 3);
    };
    EXPECT_EQ(answer_to(""), "101") << "no browser";
    EXPECT_EQ(answer_to("Origin: http://example.org\r\n"), "101");
    EXPECT_EQ(answer_to("Origin: https://EXAMPLE.org\r\n"), "101");
    EXPECT_EQ(answer_to("Origin: http://example.org:8080\r\n"), "403");
    EXPECT_EQ(answer_to("Origin: http://evil.example\r\n"), "403");
    EXPECT_EQ(answer_to("Origin: http://example.org.evil.example\r\n"), "403");
    EXPECT_EQ(answer_to("Origin: null\r\n"), "403");
    EXPECT_EQ(answer_to("Origin: \r\n"), "403");
    EXPECT_EQ(answer_to("Origin: http://example.org\r\nOrigin: http://evil.example\r\n"), "403");
    const http::websocket_options friends{.allowed_origins{"https://friend.example", "http://localhost:3000"}};
    EXPECT_EQ(answer_to("Origin: https://friend.example\r\n", friends), "101");
    EXPECT_EQ(answer_to("Origin: https://friend.example:443\r\n", friends), "101");
    EXPECT_EQ(answer_to("Origin: http://friend.example\r\n", friends), "403");
    EXPECT_EQ(answer_to("Origin: http://localhost:3000\r\n", friends), "101");
    EXPECT_EQ(answer_to("Origin: http://example.org\r\n", friends), "403") << "a list stands instead of the same host";
    EXPECT_EQ(answer_to("Origin: http://evil.example\r\n", {.allowed_origins{"*"}}), "101");
}

TEST_F(IoWebsocket, RequestsThatAreNoHandshakeAreRefused) {
    const error_recorder trouble;
    websocket_server server(echo);
    const auto answer_to = [&](std::string_view what, std::string_view with) {
        std::string asked = std::string(handshake) + "\r\n";
        asked.replace(asked.find(what), what.size(), with);
        scripted_connection c(io::connect(server.where()), 0);
        c.say(asked);
        return c.read_to("\r\n\r\n");
    };
    EXPECT_EQ(answer_to("GET", "POST").substr(9, 3), "400");
    EXPECT_EQ(answer_to("Upgrade: websocket", "X-Nothing: here").substr(9, 3), "426");
    EXPECT_EQ(answer_to("Version: 13", "Version: 8").substr(9, 3), "426");
    EXPECT_NE(answer_to("Version: 13", "Version: 8").find("Sec-WebSocket-Version: 13\r\n"), std::string::npos);
    EXPECT_EQ(answer_to("Sec-WebSocket-Key", "X-Key").substr(9, 3), "400");
    EXPECT_EQ(answer_to("dGhlIHNhbXBsZSBub25jZQ==", "short").substr(9, 3), "400");
    EXPECT_EQ(answer_to("keep-alive, Upgrade", "keep-alive").substr(9, 3), "400");
    EXPECT_EQ(trouble.count(), 0U) << "everyday life";
}

TEST_F(IoWebsocket, Subprotocols) {
    websocket_server server(
        [](websocket& w) {
            w.send_text(w.subprotocol());
            w.receive();
        },
        {.subprotocols{"b", "c"}});
    auto w = websocket::connect(server.url(), {.subprotocols{"a", "c", "b"}});
    EXPECT_EQ(w.subprotocol(), "c") << "the first of the client's";
    EXPECT_EQ(w.receive()->data, "c");
    EXPECT_EQ(websocket::connect(server.url(), {.subprotocols{"x"}}).subprotocol(), "");
    EXPECT_EQ(websocket::connect(server.url()).subprotocol(), "");
}

TEST_F(IoWebsocket, HeadersGoBothWays) {
    std::string seen;
    http::server server("127.0.0.1:0", [&](http::exchange& x) {
        seen = x.request().headers.get("Authorization");
        auto w = websocket::accept(x, {.headers{{"X-Server", "yes"}}});
        echo(w);
    });
    server.start();
    auto w =
        websocket::connect("ws://" + to_string(server.local_endpoint()), {.headers{{"Authorization", "Bearer x"}}});
    EXPECT_EQ(seen, "Bearer x");
    raw_client raw(server.local_endpoint());
    EXPECT_NE(raw.answer.find("X-Server: yes\r\n"), std::string::npos);
}

TEST_F(IoWebsocket, OverAStreamOfOnesOwn) {
    auto [a, b] = io::socketpair();
    auto w = websocket::accept(std::move(a), asked_for_upgrade(), frame(fin | text, "ahead", true));
    EXPECT_EQ(w.receive()->data, "ahead");
    w.send_text("x");
    raw_client peer(std::move(b));
    EXPECT_NE(peer.answer.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);
    EXPECT_EQ(peer.hear(3), frame(fin | text, "x", false));
}

/// A server that says this instead of a handshake's answer.
std::string refused_by(std::string answer) {
    script server([&](scripted_connection& c) {
        c.read_request();
        c.say(answer);
    });
    return what_is_thrown_by([&] { websocket::connect("ws://" + server.address() + "/a"); });
}

TEST_F(IoWebsocket, Fault_DN09_AddressesMayBeRefused) {
    websocket_server server(echo);
    http::websocket_options guarded;
    guarded.allow_address = &io::endpoint::is_global;
    EXPECT_EQ(error_of([&] { websocket::connect(server.url(), guarded); }), std::errc::permission_denied);
    http::websocket_options by_hand;
    std::string asked;
    by_hand.connect = [&](const http::url& to) {
        asked = to.to_string();
        return io::connect(to.host_and_port());
    };
    auto w = websocket::connect(server.url(), by_hand);
    EXPECT_EQ(asked, server.url());
    w.send_text("x");
    EXPECT_EQ(w.receive()->data, "x");
}

TEST_F(IoWebsocket, AClientWhoseServerWillNot) {
    // The oldest Beast that we build with keeps the answer to itself.
    const bool is_told = BOOST_VERSION > 107400;
    const std::string not_found = refused_by("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    const std::string answer = is_told ? "404 Not Found" : "not 101";
    EXPECT_NE(not_found.find("/a: the answer was " + answer + ": there will be no WebSocket"), std::string::npos)
        << not_found;
    const std::string moved = refused_by("HTTP/1.1 301 Moved\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
    EXPECT_NE(moved.find(is_told ? "301" : "not 101"), std::string::npos) << moved;
    for (const std::string broken : {"", "HTTP/1.1 101 Switch", "nonsense\r\n\r\n",
                                     "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                                     "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: "
                                     "Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"}) {
        EXPECT_NE(refused_by(broken).find("there will be no WebSocket"), std::string::npos)
            << broken << " " << refused_by(broken);
    }
    EXPECT_EQ(error_of([&] { websocket::connect("ws://localhost:1/"); }), std::errc::connection_refused);
}

TEST_F(IoWebsocket, ConnectTimesOut) {
    copse::virtual_time time;
    script silent([](scripted_connection& c) { c.read_to_end(); });
    EXPECT_THROW(websocket::connect("ws://" + silent.address()), io::timed_out);
    EXPECT_EQ(time.elapsed(), 10s);
    EXPECT_THROW(websocket::connect_for("ws://" + silent.address(), 1s), io::timed_out);
    EXPECT_THROW(websocket::connect_until("ws://" + silent.address(), copse::clock::now() + 1s), io::timed_out);
    EXPECT_THROW(websocket::connect_for("wss://" + silent.address(), 1s,
                                        {.secure =
                                             [](io::any_stream s, const std::string&) {
                                                 copse::sleep(1h);
                                                 return s;
                                             }}),
                 io::timed_out);
    EXPECT_EQ(time.elapsed(), 13s);
    auto killed = copse::spawn([&] { websocket::connect("ws://" + silent.address()); });
    copse::sleep(1s);
    killed.kill();
}

TEST_F(IoWebsocket, OverASecuredStream) {
    websocket_server server(echo);
    std::string asked;
    std::string url = server.url();
    url.insert(2, "s");
    auto w = websocket::connect(url, {.secure = [&](io::any_stream s, const std::string& host) {
                                    asked = host;
                                    return s;
                                }});
    w.send_text("a");
    EXPECT_EQ(w.receive()->data, "a");
    EXPECT_EQ(asked, "127.0.0.1");
}

TEST_F(IoWebsocket, OptionsThatContradictEachOtherAreRefused) {
    const auto refusal_of = [](const http::websocket_options& with) {
        return what_is_thrown_by([&] { websocket::connect("ws://127.0.0.1:1/", with); });
    };
    EXPECT_EQ(refusal_of({.idle_timeout = 30s}).find("http::websocket: `idle_timeout` must be longer"), 0U);
    EXPECT_EQ(refusal_of({.close_timeout = -1s}), "http::websocket: `close_timeout` is negative");
    for (const auto& fine : {http::websocket_options{.ping_interval = 0s, .idle_timeout = 1s},
                             http::websocket_options{.ping_interval = 1s, .idle_timeout = 2s},
                             http::websocket_options{.idle_timeout = 0s}}) {
        EXPECT_NE(refusal_of(fine).find("onnection refused"), std::string::npos) << "nobody listens there";
    }
}

TEST_F(IoWebsocket, NothingIsPingedBeforeTheHandshakeIsAnswered) {
    const copse::virtual_time time;
    copse::event over;
    script slow([&](scripted_connection& c) {
        c.read_to("\r\n\r\n");
        copse::sleep(1s);
        c.socket.shutdown(io::shut::write);
        slow.heard.push_back(c.read_to_end());
        over.set();
    });
    EXPECT_EQ(code_of([&] { websocket::connect("ws://" + slow.address(), {.ping_interval = 100ms}); }),
              http::errc::upgrade_refused);
    over.wait();
    EXPECT_EQ(slow.heard.at(0), "") << "it is not a WebSocket yet";
}

}  // namespace
