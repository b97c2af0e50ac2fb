// The HTTP client: answers in all framings, as a whole and piece by piece, and those that are none.

#include "io_http_script.hpp"

#include <copse/io/http/client.hpp>

#include <array>
#include <string>
#include <string_view>
#include <thread>

using namespace std::chrono_literals;
using namespace copse_test;
namespace http = copse::io::http;

namespace {

using IoHttpClient = io_leak_check;

TEST_F(IoHttpClient, BodiesOfAllFramings) {
    for (const std::string_view answer :
         {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nmany trees",
          "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nmany trees", "HTTP/1.0 200 OK\r\n\r\nmany trees",
          "HTTP/1.1 200 \r\nContent-Length: 10\r\n\r\nmany trees",
          "HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n5\r\nmany \r\n5;a=b\r\ntrees\r\n0\r\nX-Trailer: "
          "y\r\n\r\n",
          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
          "10\r\n\r\nmany trees"}) {
        // At once, and byte by byte.
        for (const bool slow : {false, true}) {
            script server([&](scripted_connection& c) {
                c.read_request();
                if (!slow) return c.say(answer);
                for (const char byte : answer) {
                    c.say(std::string_view(&byte, 1));
                    copse::yield();
                }
            });
            http::client client;
            const auto r = client.get(server.url());
            EXPECT_EQ(r.status, 200) << answer;
            EXPECT_EQ(r.body, "many trees") << answer;
            EXPECT_FALSE(r.headers.contains("X-Trailer"));
        }
    }
}

TEST_F(IoHttpClient, WhatHasNoBodyEndsWithItsHead) {
    script server([](scripted_connection& c) {
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        c.read_request();
        c.say("HTTP/1.1 204 No Content\r\n\r\n");
        c.read_request();
        c.say("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        c.read_request();
        c.answer("");
    });
    http::client client;
    const auto head = client.request({.method = "HEAD", .url = server.url()});
    EXPECT_EQ(head.headers.get("Content-Length"), "1000000");
    EXPECT_EQ(head.body, "");
    for (const int status : {204, 304, 200, 200}) {
        const auto r = client.get(server.url());
        EXPECT_EQ(r.status, status);
        EXPECT_EQ(r.body, "");
    }
    EXPECT_EQ(server.connections, 1U);
}

TEST_F(IoHttpClient, ABodyThatIsCutOffIsAnError) {
    for (const std::string_view cut :
         {"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
          "HTTP/1.1 100 Continue\r\n\r\n"}) {
        script server(saying(std::string(cut)));
        http::client client;
        EXPECT_EQ(code_of([&] { client.get(server.url()); }), http::errc::message_incomplete) << cut;
        EXPECT_EQ(client.stats().idle, 0U);
    }
}

// HT01 to HT03, from the other side.
TEST_F(IoHttpClient, Fault_HT01_FramingThatLeavesInDoubtIsRefused) {
    for (const std::string_view fields :
         {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
          "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: gzip, chunked\r\n",
          "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: xchunked\r\n",
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 5\r\nContent-Length: 5\r\n",
          "Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5, 5\r\n", "Content-Length: +5\r\n",
          "Content-Length: -1\r\n", "Content-Length: 0x5\r\n", "Content-Length: \r\n",
          "Content-Length: 18446744073709551616\r\n", "Content-Length: 5 5\r\n"}) {
        script server(saying("HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n5\r\nhello\r\n0\r\n\r\n"));
        http::client client;
        EXPECT_EQ(code_of([&] { client.get(server.url()); }), http::errc::bad_framing) << fields;
    }
    script old(saying("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
    EXPECT_EQ(code_of([&] { http::get(old.url()); }), http::errc::bad_framing);
}

TEST_F(IoHttpClient, Fault_HT03_WhatIsNoHttpIsRefused) {
    for (const std::string_view bytes :
         {"hello\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n",
          "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/1.1 200 OK\r\n: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
          "HTTP/1.1 200 OK\r\nA: b\nc: d\r\n\r\n", "\x16\x03\x01\x02", "HTTP/1.1 101 Switching Protocols\r\n\r\n"}) {
        script server(saying(std::string(bytes) + std::string(64, '\n')));
        http::client client;
        const auto code = code_of([&] { client.get(server.url()); });
        EXPECT_EQ(&code.category(), &http::http_category()) << bytes << ": " << code.message();
        EXPECT_NE(code, http::errc::message_incomplete) << bytes;
    }
}

TEST_F(IoHttpClient, Fault_HT05_BadChunksAreRefused) {
    for (const std::string_view chunks :
         {"x\r\n", "-5\r\nhello\r\n", "0x5\r\nhello\r\n", "5\nhello\r\n", "5\r\nhelloX\r\n", "fffffffffffffffff\r\n",
          "5;\x01\r\nhello\r\n", " 5\r\nhello\r\n", "\r\n"}) {
        script server(
            saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(chunks) + "0\r\n\r\n"));
        http::client client;
        const auto code = code_of([&] { client.get(server.url()); });
        EXPECT_EQ(&code.category(), &http::http_category()) << chunks << ": " << code.message();
        EXPECT_NE(code, http::errc::message_incomplete) << chunks;
    }
    script long_line(
        saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=" + std::string(1 << 20, 'x') + "\r\nhello"));
    EXPECT_EQ(code_of([&] { http::get(long_line.url()); }), http::errc::bad_chunk);
    std::string many;
    for (int i = 0; i < 20000; ++i) many += "1\r\nx\r\n";
    script tiny(saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + many + "0\r\n\r\n"));
    EXPECT_EQ(http::get(tiny.url()).body, std::string(20000, 'x'));
}

TEST_F(IoHttpClient, Fault_HT06_HeadsAreLimited) {
    http::client client({.accepted{.header_block = 4096, .header_count = 20}});
    script large(saying("HTTP/1.1 200 OK\r\nA: " + std::string(5000, 'x') + "\r\n\r\n"));
    EXPECT_EQ(code_of([&] { client.get(large.url()); }), http::errc::header_too_large);
    script endless([](scripted_connection& c) {
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\n");
        while (true) c.say("A: b\r\n");
    });
    EXPECT_EQ(code_of([&] { client.get(endless.url()); }), http::errc::header_too_large);
    std::string fields;
    for (int i = 0; i < 21; ++i) fields += "A: b\r\n";
    script many(saying("HTTP/1.1 200 OK\r\n" + fields + "\r\n"));
    EXPECT_EQ(code_of([&] { client.get(many.url()); }), http::errc::header_too_large);
    script interim([](scripted_connection& c) {
        c.read_request();
        while (true) c.say("HTTP/1.1 103 Early Hints\r\n\r\n");
    });
    EXPECT_EQ(code_of([&] { client.get(interim.url()); }), http::errc::bad_response);
}

// HT14.
TEST_F(IoHttpClient, Fault_HT14_EndlessBodiesAreLimited) {
    const auto endless = [](std::string head) {
        return [head](scripted_connection& c) {
            c.read_request();
            c.say(head);
            const std::string more(4096, 'x');
            const bool chunked = head.find("chunked") != std::string::npos;
            while (true) c.say(chunked ? "1000\r\n" + more + "\r\n" : more);
        };
    };
    http::client client({.accepted{.body = 100'000}});
    for (const std::string_view head :
         {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n"}) {
        script server(endless(std::string(head)));
        EXPECT_EQ(code_of([&] { client.get(server.url()); }), http::errc::body_too_large) << head;
        EXPECT_EQ(client.stats().idle, 0U);
    }
    script exact([](scripted_connection& c) {
        c.read_request();
        c.answer(std::string(100'000, 'x'));
    });
    EXPECT_EQ(client.get(exact.url()).body.size(), 100'000U);
}

TEST_F(IoHttpClient, Fault_HT14_NothingIsDecompressed) {
    script server([&](scripted_connection& c) {
        server.heard.push_back(c.read_request());
        c.answer("\x1f\x8b not really", "Content-Encoding: gzip\r\n");
    });
    const auto r = http::get(server.url());
    EXPECT_NE(server.heard.at(0).find("Accept-Encoding: identity\r\n"), std::string::npos);
    EXPECT_EQ(r.headers.get("Content-Encoding"), "gzip");
    EXPECT_EQ(r.body, "\x1f\x8b not really");
}

TEST_F(IoHttpClient, ReadsAStreamPieceByPiece) {
    script server([&](scripted_connection& c) {
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n");
        c.say("3\r\nabc\r\n");
        c.read_to("go");
        c.say("2\r\nde\r\n0\r\n\r\n");
        EXPECT_EQ(c.read_request().substr(0, 4), "GET ");
        c.answer("next");
    });
    http::client client;
    auto r = client.open({.url = server.url()});
    EXPECT_EQ(r.status(), 200);
    EXPECT_TRUE(r.ok());
    EXPECT_EQ(r.reason(), "OK");
    EXPECT_EQ(r.headers().get("X-A"), "b");
    EXPECT_EQ(r.content_length(), std::nullopt);
    std::array<std::byte, 2> part;
    EXPECT_EQ(r.read_some(part), 2U);
    EXPECT_EQ(r.read_some(std::span<std::byte>()), 0U);
    EXPECT_EQ(r.read_some(part), 1U);
    EXPECT_EQ(error_of([&] { r.read_some_for(part, 1ms); }), std::errc::timed_out);
    EXPECT_EQ(client.stats().idle, 0U);
    r.close();
    EXPECT_EQ(error_of([&] { r.read_some(part); }), std::errc::bad_file_descriptor);
}

TEST_F(IoHttpClient, AKillWhileReadingLosesNothing) {
    copse::event more;
    script server([&](scripted_connection& c) {
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        more.wait();
        c.say("world");
    });
    http::client client;
    auto r = client.open({.url = server.url()});
    std::array<char, 10> text{};
    const auto bytes = std::as_writable_bytes(std::span(text));
    EXPECT_EQ(r.read_some(bytes), 5U);
    auto reader = copse::spawn([&] { r.read_some(bytes); });
    copse::yield();
    reader.kill();
    more.set();
    EXPECT_EQ(r.read_some(bytes.subspan(5)), 5U);
    EXPECT_EQ(std::string_view(text.data(), 10), "helloworld");
}

TEST_F(IoHttpClient, AnotherThreadDoesNotReadAStream) {
    script server([&](scripted_connection& c) {
        c.read_request();
        c.answer("all of it");
    });
    http::client client;
    auto r = client.open({.url = server.url()});
    std::thread([&] { EXPECT_THROW(r.read_all(), copse::wrong_thread); }).join();
    EXPECT_EQ(r.read_all(), "all of it");
}

TEST_F(IoHttpClient, CloseByAnotherFiberEndsAReader) {
    script server([&](scripted_connection& c) {
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\n\r\n");
        c.read_to_end();
    });
    http::client client;
    auto r = client.open({.url = server.url()});
    auto reader = copse::spawn([&] { return error_of([&] { r.read_all(); }); });
    copse::yield();
    r.close();
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
}

}  // namespace
