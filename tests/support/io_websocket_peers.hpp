#pragma once

/// Both sides of WebSocket: a client that sends exactly the bytes that a test wants, a server of ours, frames by hand.

#include "io_http_script.hpp"

#include <copse/io/http/server.hpp>
#include <copse/io/http/websocket.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace copse_test {

/// The first websocket of a process opens descriptors that stay.
struct websocket_warm_up {
    websocket_warm_up() {
        auto [a, b] = copse::io::socketpair();
        copse::io::http::request asked;
        EXPECT_THROW(copse::io::http::websocket::accept(std::move(a), asked), copse::io::http::error);
    }
};

class IoWebsocket : private websocket_warm_up, public io_leak_check {};

enum : unsigned { continuation = 0, text = 1, binary = 2, goodbye = 8, ping = 9, pong = 10 };
inline constexpr unsigned fin = 0x80;

/// A frame as a client sends it (masked with "abcd"), or as a server does.
inline std::string frame(unsigned first, std::string_view payload, bool masked, unsigned long_form = 0) {
    std::string made(1, static_cast<char>(first));
    const unsigned mark = masked ? 0x80 : 0;
    const std::size_t n = payload.size();
    if (long_form == 2 || n > 0xffff) {
        made += static_cast<char>(127 | mark);
        for (int shift = 56; shift >= 0; shift -= 8) made += static_cast<char>(static_cast<std::uint64_t>(n) >> shift);
    } else if (long_form == 1 || n > 125) {
        made += static_cast<char>(126 | mark);
        made += static_cast<char>(n >> 8);
        made += static_cast<char>(n);
    } else {
        made += static_cast<char>(n | mark);
    }
    if (masked) made += "abcd";
    for (std::size_t i = 0; i < n; ++i) made += static_cast<char>(payload[i] ^ (masked ? "abcd"[i % 4] : 0));
    return made;
}

inline std::string close_payload(unsigned code, std::string_view reason = {}) {
    return std::string{static_cast<char>(code >> 8), static_cast<char>(code)} + std::string(reason);
}

inline constexpr std::string_view handshake =
    "GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// The same as a server has read it.
inline copse::io::http::request asked_for_upgrade() {
    copse::io::http::request asked{.target = "/chat"};
    asked.headers = {{"Host", "example.org"},
                     {"Upgrade", "websocket"},
                     {"Connection", "Upgrade"},
                     {"Sec-WebSocket-Version", "13"},
                     {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
    return asked;
}

/// A client of ours' that speaks bytes.
class raw_client {
public:
    /// Of a server that has answered already.
    explicit raw_client(copse::io::socket over) : c_(std::move(over), 0) { answer = c_.read_to("\r\n\r\n"); }
    raw_client(const copse::io::endpoint& server, std::string_view more = {}) : c_(copse::io::connect(server), 0) {
        c_.say(std::string(handshake) + std::string(more) + "\r\n");
        answer = c_.read_to("\r\n\r\n");
    }
    void say(std::string_view bytes) { c_.say(bytes); }
    void send(unsigned first, std::string_view payload) { c_.say(frame(first, payload, true)); }
    std::string hear(std::size_t n) { return c_.read_exactly(n); }
    std::string hear_to_end() { return c_.read_to_end(); }
    copse::io::socket& socket() { return c_.socket; }

    std::string answer;

private:
    scripted_connection c_;
};

/// Serves websockets as part of an HTTP server.
class websocket_server {
public:
    using play = std::function<void(copse::io::http::websocket&)>;
    explicit websocket_server(play p, copse::io::http::websocket_options with = {})
        : server_("127.0.0.1:0", [p = std::move(p), with](copse::io::http::exchange& x) {
              auto w = copse::io::http::websocket::accept(x, with);
              p(w);
          }) {
        server_.start();
    }
    const copse::io::endpoint& where() const { return server_.local_endpoint(); }
    std::string url(std::string_view path = "/") const { return "ws://" + to_string(where()) + std::string(path); }

private:
    copse::io::http::server server_;
};

inline void echo(copse::io::http::websocket& w) {
    while (auto m = w.receive()) m->is_text ? w.send_text(m->data) : w.send_binary(m->data);
}

}  // namespace copse_test
