// Connections of the HTTP server that change their language, and whose errors those are that come afterwards.

#include "exceptions.hpp"
#include "io_http_server.hpp"
#include "io_websocket_peers.hpp"

#include <copse/io/http/websocket.hpp>
#include <copse/io/tls_error.hpp>
#include <copse/virtual_time.hpp>

#include <array>
#include <functional>
#include <string>
#include <system_error>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

const std::string asking = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\n";

void read_to_end(io::any_stream& from) {
    std::array<std::byte, 64> piece;
    while (from.recv(piece) != 0) {}
}

class HttpServerUpgrade : private websocket_warm_up, public HttpServer {
protected:
    /// What the error handler is told of when a handler goes on so after its upgrade, and its client then resets.
    std::string told_of(const std::function<void(io::any_stream&)>& go_on) {
        const error_recorder told;
        serve([&](http::exchange& x) {
            io::any_stream stream = x.upgrade({{"Upgrade", "any"}});
            go_on(stream);
        });
        io::socket c = client();
        c.send_all(asking);
        EXPECT_EQ(recv_text(c).substr(0, 12), "HTTP/1.1 101");
        c.set_option(io::linger(0s));
        c.close();
        while (server_->stats().connections != 0) copse::yield();
        while (told.count() < server_->stats().failures) copse::yield();  // in the hub
        EXPECT_EQ(server_->stats().bad_requests, 0U) << "it was a good one";
        server_.reset();
        return told.count() == 0 ? "" : told[0].what;
    }
};

// RFC 9110, 7.8: a server may pass over any Upgrade. The list of faults asks for 505; but what offers HTTP/2 so, such as
// curl --http2, speaks HTTP/1.1 as well.
TEST_F(HttpServerUpgrade, Fault_HT09_AnOfferOfHttp2IsPassedOver) {
    serve();
    const std::string offer = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                              "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n";
    EXPECT_EQ(ask(offer + offer), answer_of("GET /a []") + answer_of("GET /a []"));
    EXPECT_EQ(server_->stats().bad_requests, 0U);
    EXPECT_EQ(refused_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505) << "this is no offer";
}

TEST_F(HttpServerUpgrade, Fault_HT13_ErrorsOfOthersThanTheClientAreFailures) {
    EXPECT_EQ(told_of([](io::any_stream&) { throw std::runtime_error("broken"); }), "GET /a: broken");
    EXPECT_NE(told_of([](io::any_stream&) { throw http::error(http::errc::bad_response); }), "");
    EXPECT_NE(told_of([](io::any_stream&) { throw http::error(http::errc::too_many_redirects); }), "");
    EXPECT_NE(told_of([](io::any_stream&) {
                  throw std::system_error(std::make_error_code(std::errc::connection_aborted), "GET http://a/");
              }),
              "");
    const std::string upstream = told_of([](io::any_stream&) {
        auto [near, far] = tcp_pair();
        far.set_option(io::linger(0s));
        far.close();
        recv_text(near);
    });
    EXPECT_EQ(upstream.substr(0, 8), "GET /a: ") << "a reset by somebody else";
#if COPSE_TEST_TLS
    EXPECT_NE(told_of([](io::any_stream&) { throw io::tls_error(io::certificate_errc::expired, "upstream"); }), "");
    EXPECT_NE(told_of([](io::any_stream&) { throw io::stream_truncated("upstream"); }), "") << "ours is no TLS";
#endif
    EXPECT_EQ(told_of(read_to_end), "") << "and by the client";
}

TEST_F(HttpServerUpgrade, Fault_HT13_ATimeThatTheHandlerSetsIsItsOwn) {
    copse::virtual_time time;
    error_recorder told;
    serve([&](http::exchange& x) {
        io::any_stream stream = x.upgrade({{"Upgrade", "any"}});
        std::array<std::byte, 1> byte;
        stream.recv_for(byte, 1s);
    });
    io::socket c = client();
    c.send_all(asking);
    EXPECT_NE(recv_to_end(c), "");
    EXPECT_EQ(told.count(), 1U);
    server_.reset();
}

TEST_F(HttpServerUpgrade, WhatAWebSocketsPeerBreaksIsEverydayLife) {
    error_recorder told;
    serve([](http::exchange& x) {
        http::websocket peer = http::websocket::accept(x);
        while (peer.receive()) {}
    });
    for (const char* frames : {"", "\x81\x01x", "\xf1\x80\x01\x02\x03\x04", "\x81\x81\x01\x02\x03\x04\xff"}) {
        io::socket c = client();
        c.send_all(
            "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        EXPECT_EQ(recv_text(c).substr(0, 12), "HTTP/1.1 101");
        c.send_all(std::string(frames));
        c.shutdown(io::shut::write);
        recv_to_end(c);
    }
    EXPECT_TRUE(server_->stop_for(10s));
    EXPECT_EQ(told.count(), 0U);
    EXPECT_EQ(server_->stats().bad_requests, 0U);
}

TEST_F(HttpServer, UpgradeGivesTheStreamAwayWithWhatCameAhead) {
    serve([](http::exchange& x) {
        io::any_stream raw = x.upgrade({{"Upgrade", "echo"}});
        std::array<std::byte, 3> piece;
        while (const std::size_t n = raw.recv(piece)) raw.send_all(std::span(piece).first(n));
        raw.shutdown(io::shut::write);
    });
    io::socket c = client();
    c.send_all("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nahead ");
    EXPECT_EQ(recv_answer(c, 6),
              "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nahead ");
    c.send_all("and after");
    c.shutdown(io::shut::write);
    EXPECT_EQ(recv_to_end(c), "and after");
}

TEST_F(HttpServer, AStreamMayOutliveItsHandler) {
    io::any_stream kept;
    serve([&](http::exchange& x) {
        EXPECT_THROW(x.upgrade({}), std::logic_error);
        kept = x.release();
        EXPECT_THROW(x.respond({}), std::logic_error);
    });
    io::socket c = client();
    c.send_all("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    while (!kept) copse::yield();
    EXPECT_TRUE(server_->stop_for(1s));
    kept.send_all("tunnel");
    kept.close();
    EXPECT_EQ(recv_to_end(c), "tunnel");
}

}  // namespace
