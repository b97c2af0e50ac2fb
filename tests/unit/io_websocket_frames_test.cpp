// WebSocket: frames, and what only looks like them.

#include "io_websocket_peers.hpp"

#include <copse/io/http/server.hpp>
#include <copse/io/http/websocket.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;
using http::websocket;

namespace {

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
    v = judge(frame(fin | binary, "xyz", true), {.max_message = 0});
    EXPECT_EQ(v.code, http::errc::body_too_large) << "0 is not without limit";
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
