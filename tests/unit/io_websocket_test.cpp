// WebSocket, both sides, against peers that send exactly the bytes the test wants; and against each other.

#include "at_end.hpp"
#include "event_log.hpp"
#include "exceptions.hpp"
#include "io_http_script.hpp"

#include <copse/io/http/server.hpp>
#include <copse/io/http/websocket.hpp>
#include <copse/virtual_time.hpp>

#include <boost/version.hpp>

#include <optional>
#include <stdexcept>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;
using http::websocket;

namespace {

/// The first websocket of a process opens descriptors that stay.
struct websocket_warm_up {
    websocket_warm_up() {
        auto [a, b] = io::socketpair();
        http::request asked;
        EXPECT_THROW(websocket::accept(std::move(a), asked), http::error);
    }
};

class IoWebsocket : private websocket_warm_up, public io_leak_check {};

std::error_code code_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const std::system_error& e) {
        return e.code();
    }
    return {};
}

enum : unsigned { continuation = 0, text = 1, binary = 2, goodbye = 8, ping = 9, pong = 10 };
constexpr unsigned fin = 0x80;

/// A frame as a client sends it (masked with "abcd"), or as a server does.
std::string frame(unsigned first, std::string_view payload, bool masked, unsigned long_form = 0) {
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

std::string close_payload(unsigned code, std::string_view reason = {}) {
    return std::string{static_cast<char>(code >> 8), static_cast<char>(code)} + std::string(reason);
}

constexpr std::string_view handshake =
    "GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// A client of ours' that speaks bytes.
class raw_client {
public:
    raw_client(const io::endpoint& server, std::string_view more = {}) : c_(io::connect(server), 0) {
        c_.say(std::string(handshake) + std::string(more) + "\r\n");
        answer = c_.read_to("\r\n\r\n");
    }
    void say(std::string_view bytes) { c_.say(bytes); }
    void send(unsigned first, std::string_view payload) { c_.say(frame(first, payload, true)); }
    std::string hear(std::size_t n) { return c_.read_exactly(n); }
    std::string hear_to_end() { return c_.read_to_end(); }
    io::socket& socket() { return c_.socket; }

    std::string answer;

private:
    scripted_connection c_;
};

/// Serves websockets as part of an HTTP server.
class websocket_server {
public:
    using play = std::function<void(websocket&)>;
    explicit websocket_server(play p, http::websocket_options with = {})
        : server_("127.0.0.1:0", [p = std::move(p), with](http::exchange& x) {
              auto w = websocket::accept(x, with);
              p(w);
          }) {
        server_.start();
    }
    const io::endpoint& where() const { return server_.local_endpoint(); }
    std::string url(std::string_view path = "/") const { return "ws://" + to_string(where()) + std::string(path); }

private:
    http::server server_;
};

void echo(websocket& w) {
    while (auto m = w.receive()) m->is_text ? w.send_text(m->data) : w.send_binary(m->data);
}

/// What `receive` of a server of ours does with these bytes: the code that it throws; and what the client is told.
struct verdict {
    std::error_code code;
    std::vector<std::string> messages;
    std::string told;  // the last frames
};

verdict judge(const std::string& bytes, http::websocket_options with = {}) {
    verdict v;
    websocket_server server(
        [&](websocket& w) {
            v.code = code_of([&] {
                while (auto m = w.receive()) v.messages.push_back(m->data);
            });
        },
        with);
    raw_client client(server.where(), with.compression ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    client.say(bytes);
    client.socket().shutdown(io::shut::write);
    v.told = client.hear_to_end();
    return v;
}

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

TEST_F(IoWebsocket, MessagesBothWays) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url("/a?b"));
    EXPECT_TRUE(w.is_open());
    w.send_text("many small trees");
    auto m = w.receive();
    ASSERT_TRUE(m);
    EXPECT_TRUE(m->is_text);
    EXPECT_EQ(m->data, "many small trees");
    for (const std::size_t size : {0U, 1U, 125U, 126U, 4096U, 65535U, 65536U, 1U << 20}) {
        const std::string sent = pattern(size);
        w.send_binary(sent);
        m = w.receive();
        ASSERT_TRUE(m);
        EXPECT_FALSE(m->is_text);
        EXPECT_EQ(m->data, sent) << size;
    }
    EXPECT_EQ(w.close_code(), 1006) << "nobody has said goodbye";
    EXPECT_TRUE(w.close(1001, "going"));
    EXPECT_EQ(w.close_code(), 1001) << "the peer repeats it";
    EXPECT_FALSE(w.is_open());
    EXPECT_EQ(w.receive(), std::nullopt);
    EXPECT_EQ(error_of([&] { w.send_text("late"); }), std::errc::broken_pipe);
    EXPECT_TRUE(w.close()) << "again: nothing";
}

TEST_F(IoWebsocket, AMessageLeavesInOneWrite) {
    websocket_server server(echo);
    raw_client client(server.where());
    client.send(fin | text, std::string(10'000, 'x'));
    EXPECT_EQ(recv_text(client.socket()).size(), 10'004U);
}

TEST_F(IoWebsocket, TheServerSaysGoodbye) {
    websocket_server server([](websocket& w) {
        w.send_text("last");
        EXPECT_TRUE(w.close(4000, "enough"));
    });
    auto w = websocket::connect(server.url());
    EXPECT_EQ(w.receive()->data, "last");
    EXPECT_EQ(w.receive(), std::nullopt);
    EXPECT_EQ(w.close_code(), 4000);
    EXPECT_EQ(w.close_reason(), "enough");
    EXPECT_FALSE(w.is_open());
}

TEST_F(IoWebsocket, FragmentsBecomeAMessage) {
    const verdict v = judge(frame(text, "many ", true) + frame(fin | ping, "?", true) +
                            frame(continuation, "small ", true) + frame(continuation, "", true) +
                            frame(fin | continuation, "trees", true) + frame(fin | goodbye, "", true));
    EXPECT_EQ(v.messages, std::vector<std::string>{"many small trees"});
    EXPECT_FALSE(v.code);
    EXPECT_EQ(v.told, frame(fin | pong, "?", false) + frame(fin | goodbye, close_payload(1000), false));
}

TEST_F(IoWebsocket, BytesOneByOne) {
    websocket_server server(echo);
    raw_client client(server.where());
    const std::string bytes = frame(text, "ma", true) + frame(fin | ping, "12", true) +
                              frame(fin | continuation, std::string(200, 'x'), true) +
                              frame(fin | goodbye, close_payload(1000), true);
    for (const char& c : bytes) {
        client.say(std::string_view(&c, 1));
        copse::yield();
    }
    EXPECT_EQ(client.hear_to_end(), frame(fin | pong, "12", false) +
                                        frame(fin | text, "ma" + std::string(200, 'x'), false) +
                                        frame(fin | goodbye, close_payload(1000), false));
}

// HT15. The list of faults.md, and what Autobahn tests about frames, UTF-8, fragments and closing.
TEST_F(IoWebsocket, Fault_HT15_FramesThatAreNone) {
    const std::string none;
    for (const auto& [what, bytes] : std::vector<std::pair<std::string, std::string>>{
             {"unmasked", frame(fin | text, "a", false)},
             {"RSV1", frame(fin | 0x40 | text, "a", true)},
             {"RSV2", frame(fin | 0x20 | text, "a", true)},
             {"RSV3", frame(fin | 0x10 | text, "a", true)},
             {"opcode 3", frame(fin | 3, "a", true)},
             {"opcode 7", frame(fin | 7, "", true)},
             {"opcode 11", frame(fin | 11, "a", true)},
             {"opcode 15", frame(fin | 15, "a", true)},
             {"fragmented ping", frame(ping, "a", true)},
             {"fragmented close", frame(goodbye, "", true)},
             {"long ping", frame(fin | ping, std::string(126, 'x'), true)},
             {"long close", frame(fin | goodbye, close_payload(1000, std::string(124, 'x')), true)},
             {"126 for less", frame(fin | text, std::string(125, 'x'), true, 1)},
             {"127 for less", frame(fin | text, std::string(1000, 'x'), true, 2)},
             {"continuation of nothing", frame(fin | continuation, "a", true)},
             {"text within a message", frame(text, "a", true) + frame(fin | text, "b", true)},
             {"close of one byte", frame(fin | goodbye, "x", true)},
             {"close 999", frame(fin | goodbye, close_payload(999), true)},
             {"close 1004", frame(fin | goodbye, close_payload(1004), true)},
             {"close 1005", frame(fin | goodbye, close_payload(1005), true)},
             {"close 1006", frame(fin | goodbye, close_payload(1006), true)},
             {"close 1015", frame(fin | goodbye, close_payload(1015), true)},
             {"close 1016", frame(fin | goodbye, close_payload(1016), true)},
             {"close 2999", frame(fin | goodbye, close_payload(2999), true)},
             {"close 5000", frame(fin | goodbye, close_payload(5000), true)},
             {"close 65535", frame(fin | goodbye, close_payload(65535), true)},
             {"a reason that is not UTF-8", frame(fin | goodbye, close_payload(1000, "\xff"), true)}}) {
        const verdict v = judge(bytes);
        EXPECT_EQ(v.code, http::errc::bad_frame) << what;
        EXPECT_EQ(v.messages, std::vector<std::string>()) << what;
        EXPECT_EQ(v.told, frame(fin | goodbye, close_payload(1002), false)) << what;
    }
}

TEST_F(IoWebsocket, Fault_HT15_TextMustBeUtf8) {
    for (const auto& [what, bytes] : std::vector<std::pair<std::string, std::string>>{
             {"one frame", frame(fin | text, "a\xff", true)},
             {"overlong", frame(fin | text, "\xc0\xaf", true)},
             {"surrogate", frame(fin | text, "\xed\xa0\x80", true)},
             {"too high", frame(fin | text, "\xf4\x90\x80\x80", true)},
             {"unfinished", frame(fin | text, "\xe2\x82", true)},
             {"split", frame(text, "\xe2\x82", true) + frame(fin | continuation, "x", true)},
             {"at once, not at the end", frame(text, "\xff", true)}}) {
        const verdict v = judge(bytes);
        EXPECT_EQ(v.code, http::errc::bad_payload) << what;
        EXPECT_EQ(v.told, frame(fin | goodbye, close_payload(1007), false)) << what;
    }
    EXPECT_EQ(
        judge(frame(text, "\xe2\x82", true) + frame(fin | continuation, "\xac", true) + frame(fin | goodbye, "", true))
            .messages,
        std::vector<std::string>{"\xe2\x82\xac"});
    EXPECT_EQ(judge(frame(fin | binary, "\xff", true) + frame(fin | goodbye, "", true)).messages,
              std::vector<std::string>{"\xff"});
}

TEST_F(IoWebsocket, Fault_HT15_CodesThatMayBeSent) {
    for (const unsigned code : {1000U, 1001U, 1002U, 1003U, 1007U, 1011U, 1013U, 3000U, 3999U, 4000U, 4999U}) {
        const verdict v = judge(frame(fin | goodbye, close_payload(code), true));
        EXPECT_FALSE(v.code) << code;
        EXPECT_EQ(v.told, frame(fin | goodbye, close_payload(code), false)) << code;
    }
}

TEST_F(IoWebsocket, Fault_HT15_NothingCountsAfterClose) {
    const verdict v = judge(frame(fin | goodbye, close_payload(1000), true) + frame(fin | text, "late", true));
    EXPECT_EQ(v.messages, std::vector<std::string>());
    EXPECT_FALSE(v.code);
}

TEST_F(IoWebsocket, Fault_HT15_MessagesAreLimited) {
    const http::websocket_options small{.max_message = 1000};
    const auto too_big = frame(fin | goodbye, close_payload(1009), false);
    verdict v = judge(frame(fin | binary, std::string(1001, 'x'), true), small);
    EXPECT_EQ(v.code, http::errc::body_too_large);
    EXPECT_EQ(v.told, too_big);
    v = judge(frame(binary, std::string(600, 'x'), true) + frame(fin | continuation, std::string(401, 'x'), true),
              small);
    EXPECT_EQ(v.code, http::errc::body_too_large);
    EXPECT_EQ(v.told, too_big);
    // It is the length that is believed: nothing is stored for it.
    v = judge(std::string("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"
                          "abcd",
                          14),
              small);
    EXPECT_EQ(v.code, http::errc::body_too_large);
    v = judge(std::string("\x82\xff\x80\0\0\0\0\0\0\1"
                          "abcd",
                          14),
              small);
    EXPECT_EQ(v.code, http::errc::body_too_large) << "the high bit of a length";
    v = judge(frame(fin | binary, std::string(1000, 'x'), true) + frame(fin | goodbye, "", true), small);
    EXPECT_FALSE(v.code);
    EXPECT_EQ(v.messages.at(0).size(), 1000U);
    v = judge(frame(fin | binary, "x", true) + frame(fin | goodbye, "", true),
              {.max_message = static_cast<std::size_t>(-1)});
    EXPECT_EQ(v.messages.at(0), "x");
}

TEST_F(IoWebsocket, Fault_HT15_ACompressionBombIsStopped) {
    websocket_server server(
        [](websocket& w) {
            EXPECT_TRUE(w.is_compressed());
            EXPECT_EQ(code_of([&] { w.receive(); }), http::errc::body_too_large);
        },
        {.max_message = 100'000, .compression = true});
    auto w = websocket::connect(server.url(), {.compression = true});
    ASSERT_TRUE(w.is_compressed());
    w.send_binary(std::string(8'000'000, 'x'));
    EXPECT_EQ(w.receive(), std::nullopt);
    EXPECT_EQ(w.close_code(), 1009);
}

TEST_F(IoWebsocket, Fault_HT15_GarbageInACompressedMessage) {
    const verdict v = judge(frame(fin | 0x40 | text, std::string(100, '\xff'), true), {.compression = true});
    EXPECT_TRUE(v.code == http::errc::bad_payload || v.code == http::errc::bad_frame) << v.code.message();
    EXPECT_EQ(v.told.substr(0, 2), "\x88\x02");
}

TEST_F(IoWebsocket, CompressedMessages) {
    websocket_server server(echo, {.compression = true});
    auto w = websocket::connect(server.url(), {.compression = true});
    ASSERT_TRUE(w.is_compressed());
    for (const std::size_t size : {0U, 1U, 100U, 10'000U, 200'000U}) {
        w.send_binary(std::string(size, 'x'));
        EXPECT_EQ(w.receive()->data, std::string(size, 'x'));
        w.send_binary(pattern(size));
        EXPECT_EQ(w.receive()->data, pattern(size));
    }
    EXPECT_TRUE(w.close());
    auto plain = websocket::connect(server.url());
    EXPECT_FALSE(plain.is_compressed()) << "both must want it";
    plain.send_text("a");
    EXPECT_EQ(plain.receive()->data, "a");
}

TEST_F(IoWebsocket, Fault_HT15_PingsAreAnsweredInBoundedMemory) {
    websocket_server server(echo);
    raw_client client(server.where());
    std::string pings;
    for (int i = 0; i < 20'000; ++i) pings += frame(fin | ping, "0123456789", true);
    auto flood = copse::spawn([&] { client.say(pings); });
    copse::sleep(20ms);  // nobody reads the pongs: the flood comes to a halt by itself
    std::string pongs;
    for (int i = 0; i < 20'000; ++i) pongs += frame(fin | pong, "0123456789", false);
    EXPECT_EQ(client.hear(pongs.size()), pongs);
    flood.join();
    client.send(fin | text, "still there");
    EXPECT_EQ(client.hear(13), frame(fin | text, "still there", false));
}

TEST_F(IoWebsocket, PingsOfOnesOwn) {
    websocket_server server([](websocket& w) {
        w.ping("alive?");
        EXPECT_EQ(w.receive()->data, "after the pong");
    });
    raw_client client(server.where());
    EXPECT_EQ(client.hear(8), frame(fin | ping, "alive?", false));
    client.send(fin | pong, "alive?");
    client.send(fin | pong, "nobody asked");
    client.send(fin | text, "after the pong");
    EXPECT_EQ(client.hear_to_end(), "") << "the end of a handler is no goodbye";
}

TEST_F(IoWebsocket, AStreamThatJustEndsIsNoGoodbye) {
    for (const std::string& bytes :
         {std::string(), frame(fin | text, "a", true).substr(0, 3), frame(text, "a", true)}) {
        const verdict v = judge(bytes);
        EXPECT_EQ(v.code, http::errc::message_incomplete) << bytes.size();
    }
    websocket_server server([](websocket& w) {
        EXPECT_EQ(error_of([&] { w.receive(); }), std::errc::connection_reset);
        EXPECT_EQ(w.close_code(), 1006);
        EXPECT_EQ(error_of([&] { w.receive(); }), std::errc::bad_file_descriptor);
    });
    raw_client client(server.where());
    client.socket().set_option(io::linger(0s));
    client.socket().close();
    copse::sleep(1ms);
}

TEST_F(IoWebsocket, BadCallsAreRefused) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url());
    EXPECT_THROW(w.send_text("\xff"), std::invalid_argument);
    EXPECT_THROW(w.ping(std::string(126, 'x')), std::invalid_argument);
    for (const int code : {0, 999, 1004, 1005, 1006, 1015, 2999, 5000}) {
        EXPECT_THROW(w.close(static_cast<std::uint16_t>(code)), std::invalid_argument);
    }
    EXPECT_THROW(w.close(1000, std::string(124, 'x')), std::invalid_argument);
    EXPECT_THROW(w.close(1000, "\xff"), std::invalid_argument);
    EXPECT_THROW(websocket::connect("http://localhost/"), http::bad_url);
    EXPECT_THROW(websocket::connect("ws://localhost/\r\nX: y"), http::bad_url);
    for (const std::string_view own : {"Host", "connection", "Upgrade", "Sec-WebSocket-Key"}) {
        EXPECT_THROW(websocket::connect(server.url(), {.headers{{own, "x"}}}), std::invalid_argument) << own;
    }
    EXPECT_THROW(websocket::connect(server.url(), {.subprotocols{"a b"}}), std::invalid_argument);
    w.send_text("fine");
    EXPECT_EQ(w.receive()->data, "fine");
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
    http::request asked{.target = "/chat"};
    asked.headers = {{"Host", "h"},
                     {"Upgrade", "websocket"},
                     {"Connection", "Upgrade"},
                     {"Sec-WebSocket-Version", "13"},
                     {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
    auto w = websocket::accept(std::move(a), asked, frame(fin | text, "ahead", true));
    EXPECT_EQ(w.receive()->data, "ahead");
    w.send_text("x");
    scripted_connection peer(std::move(b), 0);
    EXPECT_NE(peer.read_to("\r\n\r\n").find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);
    EXPECT_EQ(peer.read_exactly(3), frame(fin | text, "x", false));
}

/// A server that says this instead of a handshake's answer.
std::string refused_by(std::string answer) {
    script server([&](scripted_connection& c) {
        c.read_request();
        c.say(answer);
    });
    return text_of([&] { websocket::connect("ws://" + server.address() + "/a"); });
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

TEST_F(IoWebsocket, ManySendersOneReceiver) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url());
    copse::group senders;
    for (int f = 0; f < 10; ++f) {
        senders.spawn([&, f] {
            for (int i = 0; i < 20; ++i) {
                w.send_text(std::to_string(f) +
                            std::string(static_cast<std::size_t>(i) * 500, static_cast<char>('a' + f)));
                if (i % 3 == 0) copse::yield();
            }
        });
    }
    std::vector<std::size_t> next(10);
    for (int i = 0; i < 200; ++i) {
        const auto m = w.receive();
        ASSERT_TRUE(m);
        const auto f = static_cast<std::size_t>(m->data[0] - '0');
        EXPECT_EQ(m->data, std::to_string(f) + std::string(next[f]++ * 500, static_cast<char>('a' + f)))
            << "whole, and in order";
    }
    senders.join();
    EXPECT_TRUE(w.close());
}

// The receiver answers pings while a sender is parked within a message.
TEST_F(IoWebsocket, PongsDoNotBreakIntoAMessage) {
    const std::string large = pattern(5'000'000);
    websocket_server server([&](websocket& w) {
        auto sender = copse::spawn([&] { w.send_binary(large); });
        while (auto m = w.receive()) {}
        sender.join();
    });
    raw_client client(server.where());
    for (int i = 0; i < 50; ++i) {
        client.send(fin | ping, std::to_string(i));
        copse::yield();
    }
    const std::string first = client.hear(10 + large.size() + 50 * 3);
    const std::string message = frame(fin | binary, large, false);
    const auto at = first.find(message);
    ASSERT_NE(at, std::string::npos) << "in one piece";
    client.send(fin | goodbye, close_payload(1000));
    const std::string rest = client.hear_to_end();
    std::string pongs;
    for (int i = 0; i < 50; ++i) pongs += frame(fin | pong, std::to_string(i), false);
    std::string others = first + rest;
    others.erase(at, message.size());
    EXPECT_EQ(others, pongs + frame(fin | goodbye, close_payload(1000), false));
}

TEST_F(IoWebsocket, ASecondReceiverIsRefused) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url());
    auto first = copse::spawn([&] { return w.receive(); });
    copse::yield();
    EXPECT_THROW(w.receive(), copse::concurrent_use);
    w.send_text("a");
    EXPECT_EQ(first.get()->data, "a");
}

TEST_F(IoWebsocket, CloseWhileAnotherFiberReceives) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url());
    std::vector<std::string> got;
    auto receiver = copse::spawn([&] {
        while (auto m = w.receive()) got.push_back(m->data);
    });
    copse::yield();
    w.send_text("before");
    EXPECT_TRUE(w.close(1000, "done"));
    receiver.get();
    EXPECT_EQ(got, std::vector<std::string>{"before"}) << "what came before the peer's goodbye is received";
}

TEST_F(IoWebsocket, BothSayGoodbyeAtOnce) {
    websocket_server server([](websocket& w) { EXPECT_TRUE(w.close(1001)); });
    auto w = websocket::connect(server.url());
    EXPECT_TRUE(w.close(1000));
    EXPECT_EQ(w.close_code(), 1001);
}

TEST_F(IoWebsocket, APeerThatDoesNotAnswerTheGoodbye) {
    copse::virtual_time time;
    websocket_server server([&](websocket& w) {
        EXPECT_FALSE(w.close());
        EXPECT_EQ(time.elapsed(), 5s);
    });
    raw_client client(server.where());
    auto receiving = copse::spawn([&] { return client.hear_to_end(); });
    EXPECT_EQ(receiving.get(), frame(fin | goodbye, close_payload(1000), false));

    websocket_server other([&](websocket& w) {
        auto receiver = copse::spawn([&] { return w.receive(); });
        copse::yield();
        EXPECT_FALSE(w.close_for(1s));
        EXPECT_EQ(receiver.get(), std::nullopt);
    });
    raw_client silent(other.where());
    EXPECT_EQ(silent.hear_to_end(), frame(fin | goodbye, close_payload(1000), false));
    EXPECT_EQ(time.elapsed(), 6s);
}

TEST_F(IoWebsocket, AbortEndsAReceiver) {
    websocket_server server(
        [](websocket& w) { EXPECT_EQ(code_of([&] { w.receive(); }), http::errc::message_incomplete); });
    auto w = websocket::connect(server.url());
    auto receiver = copse::spawn([&] { return error_of([&] { w.receive(); }); });
    copse::yield();
    w.abort();
    EXPECT_EQ(receiver.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { w.send_text("x"); }), std::errc::broken_pipe);
    copse::sleep(1ms);
}

TEST_F(IoWebsocket, TimeOutsOfReceiveLoseNothing) {
    copse::virtual_time time;
    websocket_server server([&](websocket& w) {
        for (int i = 0; i < 3; ++i) EXPECT_THROW(w.receive_for(1s), io::timed_out);
        EXPECT_THROW(copse::with_timeout(1s, [&] { w.receive(); }), copse::timeout_expired);
        EXPECT_EQ(w.receive()->data, "many small trees");
        EXPECT_THROW(w.receive_until(copse::clock::now() + 1s), io::timed_out);
        EXPECT_TRUE(w.is_open());
        EXPECT_EQ(w.receive(), std::nullopt);
    });
    raw_client client(server.where());
    const std::string bytes = frame(text, "many ", true) + frame(fin | continuation, "small trees", true);
    client.say(bytes.substr(0, 1));
    copse::sleep(1500ms);
    client.say(bytes.substr(1, 8));
    copse::sleep(1s);
    client.say(bytes.substr(9, 5));
    copse::sleep(3s);
    client.say(bytes.substr(14));
    copse::sleep(3s);
    client.send(fin | goodbye, "");
    client.hear_to_end();
}

TEST_F(IoWebsocket, AKillOfAReceiverLosesNothing) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url(), {.compression = true});
    auto receiver = copse::spawn([&] { w.receive(); });
    copse::yield();
    receiver.kill();
    w.send_text("a");
    EXPECT_EQ(w.receive()->data, "a");
}

TEST_F(IoWebsocket, ATimeOutWithinACompressedMessageCloses) {
    copse::virtual_time time;
    websocket_server server(
        [&](websocket& w) {
            EXPECT_THROW(w.receive_for(1s), io::timed_out);
            EXPECT_TRUE(w.is_open()) << "no message had begun";
            EXPECT_THROW(w.receive_for(1s), io::timed_out);
            EXPECT_FALSE(w.is_open());
        },
        {.compression = true});
    raw_client client(server.where(), "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    copse::sleep(1500ms);
    client.send(0x40 | text, "x");
    client.hear_to_end();
}

TEST_F(IoWebsocket, AKilledSenderClosesOnlyIfItHasBegun) {
    copse::event enough;
    websocket_server quiet([&](websocket&) { enough.wait(); });
    auto w = websocket::connect(quiet.url());
    const std::string large(16'000'000, 'x');
    auto first = copse::spawn([&] { w.send_binary(large); });
    copse::yield();
    auto second = copse::spawn([&] { w.send_text("waits"); });
    copse::yield();
    EXPECT_THROW(w.send_text_for("waits too", 1ms), io::timed_out);
    second.kill();
    EXPECT_TRUE(w.is_open()) << "they had not begun";
    first.kill();
    EXPECT_FALSE(w.is_open());
    EXPECT_EQ(error_of([&] { w.send_text("x"); }), std::errc::broken_pipe);
    enough.set();
}

TEST_F(IoWebsocket, APeerThatIsGoneEndsASender) {
    websocket_server server([](websocket& w) { w.abort(); });
    auto w = websocket::connect(server.url());
    const auto code = error_of([&] {
        while (true) w.send_binary(std::string(100'000, 'x'));
    });
    EXPECT_TRUE(code == std::errc::connection_reset || code == std::errc::broken_pipe) << code.message();
    EXPECT_FALSE(w.is_open());
}

TEST_F(IoWebsocket, AKillWhileSayingGoodbyeCloses) {
    copse::event enough;
    websocket_server server([&](websocket&) { enough.wait(); });
    auto w = websocket::connect(server.url());
    auto leaver = copse::spawn([&] { w.close(); });
    copse::yield();
    EXPECT_FALSE(w.is_open());
    EXPECT_EQ(error_of([&] { w.send_text("late"); }), std::errc::broken_pipe);
    leaver.kill();
    EXPECT_EQ(w.receive(), std::nullopt);
    enough.set();
}

TEST_F(IoWebsocket, ASendThatTakesTooLongCloses) {
    copse::virtual_time time;
    websocket_server server([](websocket&) { copse::sleep(1h); });
    auto w = websocket::connect(server.url());
    EXPECT_THROW(w.send_binary_for(as_bytes(std::string(16'000'000, 'x')), 1s), io::timed_out);
    EXPECT_FALSE(w.is_open());
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(IoWebsocket, KeepsAlive) {
    copse::virtual_time time;
    event_log order;
    websocket_server server(
        [&](websocket& w) {
            EXPECT_EQ(w.receive()->data, "late");
            EXPECT_EQ(time.elapsed(), 35s);
            EXPECT_EQ(code_of([&] { w.receive(); }), http::errc::too_slow);
            EXPECT_EQ(time.elapsed(), 60s);
        },
        {.ping_interval = 10s, .idle_timeout = 25s});
    raw_client client(server.where());
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(client.hear(2), frame(fin | ping, "", false));
        order(time.elapsed() / 1s);
        client.send(fin | pong, "");
    }
    copse::sleep(5s);
    client.send(fin | text, "late");
    EXPECT_EQ(client.hear_to_end(), frame(fin | ping, "", false) + frame(fin | ping, "", false) +
                                        frame(fin | goodbye, close_payload(1001, "no sign of life"), false));
    EXPECT_EQ(order.text(), "10 20 30");
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

// What a server sends is checked as well.
TEST_F(IoWebsocket, Fault_HT15_AMaskedServerIsNone) {
    websocket_server server([](websocket& w) {
        w.send_text("first");
        w.receive();
    });
    script between([&](scripted_connection& c) {
        auto real = io::connect(server.where());
        real.send_all(c.read_request());
        c.say(scripted_connection(std::move(real), 0).read_to("\r\n\r\n"));
        c.say(frame(fin | text, "masked", true));
        c.read_to_end();
    });
    auto w = websocket::connect("ws://" + between.address());
    EXPECT_EQ(code_of([&] { w.receive(); }), http::errc::bad_frame);
}

}  // namespace
