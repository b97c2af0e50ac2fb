// The HTTP client, against servers that say exactly what the test wants.

#include "at_end.hpp"
#include "event_log.hpp"
#include "exceptions.hpp"
#include "io_http_script.hpp"

#include <copse/io/http/client.hpp>
#include <copse/virtual_time.hpp>

#include <array>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

using IoHttpClient = io_leak_check;

void ok(scripted_connection& c) {
    while (!c.read_request().empty()) c.answer("ok");
}

/// Answers each request with these bytes, then closes.
script::play saying(std::string bytes) {
    return [bytes = std::move(bytes)](scripted_connection& c) {
        c.read_request();
        c.say(bytes);
    };
}

std::error_code code_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const std::system_error& e) {
        return e.code();
    }
    return {};
}

TEST_F(IoHttpClient, GetsAPage) {
    script server([&](scripted_connection& c) {
        server.heard.push_back(c.read_request());
        c.say("HTTP/1.1 404 Not Here\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello");
    });
    http::client client({.user_agent = "test"});
    const http::response r = client.get(server.url("/a?b"), {{"X-Mine", "yes"}});
    EXPECT_EQ(r.status, 404);
    EXPECT_EQ(r.reason, "Not Here");
    EXPECT_EQ(r.headers.get("x-a"), "b");
    EXPECT_EQ(r.body, "hello");
    EXPECT_EQ(server.heard.at(0),
              "GET /a?b HTTP/1.1\r\nHost: " + server.address() +
                  "\r\nUser-Agent: test\r\nAccept: */*\r\nAccept-Encoding: identity\r\nX-Mine: yes\r\n\r\n");
}

TEST_F(IoHttpClient, PostsABodyInOnePieceWithItsHead) {
    script server([&](scripted_connection& c) {
        server.heard.push_back(recv_text(c.socket));  // one receive: one write
        c.answer("thanks", {}, "201 Created");
    });
    http::client client;
    EXPECT_EQ(client.post(server.url(), "a=b", "application/x-www-form-urlencoded").status, 201);
    EXPECT_NE(server.heard.at(0).find("POST / HTTP/1.1\r\n"), std::string::npos);
    EXPECT_NE(server.heard[0].find("Content-Type: application/x-www-form-urlencoded\r\n"), std::string::npos);
    EXPECT_TRUE(server.heard[0].ends_with("Content-Length: 3\r\n\r\na=b"));
}

TEST_F(IoHttpClient, FreeFunctionsCloseTheirConnection) {
    script server([&](scripted_connection& c) {
        server.heard.push_back(c.read_request());
        c.answer("ok");
        server.heard.push_back(c.read_to_end());
    });
    EXPECT_EQ(http::get(server.url()).body, "ok");
    EXPECT_NE(server.heard.at(0).find("Connection: close\r\n"), std::string::npos);
    EXPECT_EQ(http::post(server.url(), "x", "text/plain").body, "ok");
    copse::sleep(0s);
    EXPECT_EQ(server.connections, 2U);
}

TEST_F(IoHttpClient, KeepsItsConnection) {
    script server(ok);
    http::client client;
    for (int i = 0; i < 10; ++i) EXPECT_EQ(client.get(server.url("/" + std::to_string(i))).body, "ok");
    EXPECT_EQ(server.connections, 1U);
    EXPECT_EQ(client.stats().requests, 10U);
    EXPECT_EQ(client.stats().reused, 9U);
    EXPECT_EQ(client.stats().opened, 1U);
    EXPECT_EQ(client.stats().idle, 1U);
    client.close_idle();
    EXPECT_EQ(client.stats().idle, 0U);
    EXPECT_EQ(client.get(server.url()).body, "ok");
    EXPECT_EQ(server.connections, 2U);
}

TEST_F(IoHttpClient, ManyFibersShareAFewConnections) {
    std::size_t at_once = 0;
    std::size_t most = 0;
    script server([&](scripted_connection& c) {
        while (!c.read_request().empty()) {
            most = std::max(most, ++at_once);
            copse::yield();
            --at_once;
            c.answer("ok");
        }
    });
    http::client client({.max_connections_per_origin = 3});
    copse::group all;
    int answers = 0;
    for (int i = 0; i < 40; ++i) all.spawn([&] { answers += client.get(server.url()).body == "ok"; });
    all.join();
    EXPECT_EQ(answers, 40);
    EXPECT_LE(server.connections, 3U);
    EXPECT_LE(most, 3U);
    EXPECT_GT(most, 1U);
}

TEST_F(IoHttpClient, ClosesWhatItKeptTooLong) {
    copse::virtual_time time;
    event_log order;
    script server([&](scripted_connection& c) {
        c.read_request();
        c.answer("ok");
        c.read_to_end();
        order("closed@", time.elapsed().count() / 1'000'000'000);
    });
    http::client client({.idle_time = 30s});
    client.get(server.url());
    copse::sleep(29s);
    EXPECT_EQ(client.stats().idle, 1U);
    copse::sleep(2s);
    EXPECT_EQ(client.stats().idle, 0U);
    EXPECT_EQ(order.text(), "closed@30");
}

TEST_F(IoHttpClient, KeepsNoMoreThanItMay) {
    script one(ok);
    script two(ok);
    http::client client({.max_idle = 1});
    client.get(one.url());
    client.get(two.url());
    EXPECT_EQ(client.stats().idle, 1U);
    client.get(two.url());
    EXPECT_EQ(two.connections, 1U) << "the longest kept was closed, not the last used";
}

// HT17.
TEST_F(IoHttpClient, Fault_HT17_AClosedConnectionIsNotReused) {
    script server([&](scripted_connection& c) {
        c.read_request();
        c.answer("ok");
    });
    http::client client;
    EXPECT_EQ(client.get(server.url()).body, "ok");
    copse::sleep(1ms);  // the end of the stream arrives: the kept connection is seen to be dead before anything is sent
    EXPECT_EQ(client.post(server.url(), "x", "text/plain").body, "ok");
    EXPECT_EQ(client.stats().repeated, 0U);
    EXPECT_EQ(server.connections, 2U);
}

TEST_F(IoHttpClient, Fault_HT17_AnIdempotentRequestIsRepeatedOnce) {
    for (const bool reset : {false, true}) {
        script server([&](scripted_connection& c) {
            if (c.number == 0) {
                c.read_request();
                c.answer("first");
                server.heard.push_back(c.read_request());
                if (reset) c.reset();
                return;  // closes without a word: the race
            }
            server.heard.push_back(c.read_request());
            c.answer("second");
        });
        http::client client;
        EXPECT_EQ(client.get(server.url()).body, "first");
        EXPECT_EQ(client.request({.method = "PUT", .url = server.url(), .body = "b"}).body, "second");
        EXPECT_EQ(client.stats().repeated, 1U);
        EXPECT_EQ(server.heard.at(0), server.heard.at(1));
    }
}

TEST_F(IoHttpClient, Fault_HT17_TheRepetitionIsNotRepeated) {
    script server([&](scripted_connection& c) {
        c.read_request();
        if (c.number == 0) {
            c.answer("first");
            c.read_request();
        }
    });
    http::client client;
    EXPECT_EQ(client.get(server.url()).body, "first");
    EXPECT_EQ(code_of([&] { client.get(server.url()); }), http::errc::message_incomplete);
    EXPECT_EQ(server.connections, 2U);
}

TEST_F(IoHttpClient, Fault_HT17_OthersGetAClearError) {
    const auto lose_the_second = [](scripted_connection& c) {
        c.read_request();
        c.answer("first");
        c.read_request();
    };
    script server(lose_the_second);
    http::client client;
    EXPECT_EQ(client.get(server.url()).body, "first");
    EXPECT_EQ(text_of([&] { client.post(server.url("/pay"), "100", "text/plain"); }),
              "POST " + server.url("/pay") +
                  ": the server closed a kept connection without an answer: nobody knows whether it acted: "
                  "Software caused connection abort");
    EXPECT_EQ(client.stats().repeated, 0U);
    // A body that cannot be had twice.
    EXPECT_EQ(client.get(server.url()).body, "first");
    const auto once = http::request_body::stream([n = 0](std::span<std::byte> into) mutable {
        if (n++ != 0) return std::size_t{0};
        into[0] = std::byte{'x'};
        return std::size_t{1};
    });
    EXPECT_EQ(error_of([&] { client.request({.method = "PUT", .url = server.url(), .body = once}); }),
              std::errc::connection_aborted);
}

TEST_F(IoHttpClient, Fault_HT17_HalfAnAnswerIsNotRepeated) {
    script server([&](scripted_connection& c) {
        c.read_request();
        c.answer("first");
        c.read_request();
        c.say("HTTP/1.1 200 O");
    });
    http::client client;
    client.get(server.url());
    EXPECT_EQ(code_of([&] { client.get(server.url()); }), http::errc::message_incomplete);
    EXPECT_EQ(client.stats().repeated, 0U);
}

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

script::play redirecting(script*& self, std::string status, std::function<std::string(std::size_t)> to) {
    return [&self, status, to, n = std::make_shared<std::size_t>(0)](scripted_connection& c) {
        for (;;) {
            std::string request = c.read_request();
            if (request.empty()) return;
            self->heard.push_back(request);
            const std::string location = to((*n)++);
            if (location.empty()) {
                c.answer("arrived");
            } else {
                c.answer("moved", "Location: " + location + "\r\n", status);
            }
        }
    };
}

TEST_F(IoHttpClient, Fault_HT14_FollowsRedirectsToALimit) {
    script* self = nullptr;
    script server(redirecting(self, "302 Found",
                              [](std::size_t n) { return n < 10 ? "next?" + std::to_string(n) : std::string(); }));
    self = &server;
    http::client client;
    auto r = client.open({.url = server.url("/a/b")});
    EXPECT_EQ(r.read_all(), "arrived");
    EXPECT_EQ(r.url().target(), "/a/next?9");
    EXPECT_EQ(server.heard.size(), 11U);
    EXPECT_EQ(server.connections, 1U) << "the bodies of redirects are read, so that the connection serves again";
    EXPECT_EQ(client.stats().redirects, 10U);

    script loop(redirecting(self, "302 Found", [](std::size_t) { return std::string("/"); }));
    self = &loop;
    EXPECT_EQ(text_of([&] { client.get(loop.url()); }), "GET " + loop.url() + ": after 10: too many redirects");
    EXPECT_EQ(loop.heard.size(), 11U);

    http::client still({.max_redirects = 0});
    EXPECT_EQ(still.get(loop.url()).status, 302);
}

TEST_F(IoHttpClient, RedirectsRewriteAsTheRfcSays) {
    struct row {
        const char* status;
        const char* asked;
        const char* becomes;
        bool body;
    };
    for (const row& r :
         {row{"301 M", "POST", "GET", false}, row{"302 F", "POST", "GET", false}, row{"303 S", "POST", "GET", false},
          row{"307 T", "POST", "POST", true}, row{"308 P", "POST", "POST", true}, row{"301 M", "PUT", "PUT", true},
          row{"303 S", "PUT", "GET", false}, row{"303 S", "HEAD", "HEAD", false},
          row{"302 F", "HEAD", "HEAD", false}}) {
        script server([&](scripted_connection& c) {
            for (std::size_t n = 0;; ++n) {
                const std::string request = c.read_request();
                if (request.empty()) return;
                server.heard.push_back(request);
                if (n == 0)
                    c.say("HTTP/1.1 " + std::string(r.status) + "\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
                else c.say("HTTP/1.1 204 No Content\r\n\r\n");
            }
        });
        http::client client;
        http::client_request what{.method = r.asked, .url = server.url("/a"), .headers{{"Content-Type", "text/plain"}}};
        if (std::string_view(r.asked) != "HEAD") what.body = "body";
        EXPECT_EQ(client.request(what).status, 204);
        const std::string& second = server.heard.at(1);
        EXPECT_TRUE(second.starts_with(std::string(r.becomes) + " /b ")) << r.status << r.asked << second;
        EXPECT_EQ(second.ends_with("\r\n\r\nbody"), r.body) << r.status << r.asked;
        EXPECT_EQ(second.find("Content-Length") != std::string::npos, r.body);
        EXPECT_EQ(second.find("Content-Type") != std::string::npos, r.body || std::string_view(r.asked) == "HEAD");
    }
}

TEST_F(IoHttpClient, Fault_HT14_CredentialsStayWithTheirOrigin) {
    script other([&](scripted_connection& c) {
        other.heard.push_back(c.read_request());
        c.answer("other");
    });
    script server([&](scripted_connection& c) {
        for (int n = 0; n < 2; ++n) {
            server.heard.push_back(c.read_request());
            c.answer("", n == 0 ? "Location: /same\r\n" : "Location: " + other.url("/x") + "\r\n", "307 T");
        }
    });
    http::client client;
    const auto r = client.get("http://me:pw@" + server.address() + "/", {{"Cookie", "a=b"}, {"X-Other", "kept"}});
    EXPECT_EQ(r.body, "other");
    for (const std::string& own : server.heard) {
        EXPECT_NE(own.find("Authorization: Basic bWU6cHc=\r\n"), std::string::npos) << own;
        EXPECT_NE(own.find("Cookie: a=b\r\n"), std::string::npos);
    }
    EXPECT_EQ(server.heard.size(), 2U);
    EXPECT_EQ(other.heard.at(0).find("Authorization"), std::string::npos) << "another port is another origin";
    EXPECT_EQ(other.heard[0].find("Cookie"), std::string::npos);
    EXPECT_NE(other.heard[0].find("X-Other: kept"), std::string::npos);
    EXPECT_NE(other.heard[0].find("Host: " + other.address()), std::string::npos);
}

TEST_F(IoHttpClient, Fault_HT14_NoWayBackFromHttps) {
    script plain(ok);
    script server([&](scripted_connection& c) {
        c.read_request();
        c.answer("", "Location: " + plain.url() + "\r\n", "302 Found");
    });
    http::client_options with;
    std::string asked_for;
    with.secure = [&](io::any_stream under, const std::string& host) {
        asked_for = host;
        return under;
    };
    std::string url = server.url();
    url.insert(4, "s");
    http::client client(with);
    EXPECT_EQ(code_of([&] { client.get(url); }), http::errc::bad_response);
    EXPECT_EQ(asked_for, "127.0.0.1");
    EXPECT_EQ(plain.connections, 0U);
    with.allow_downgrade = true;
    EXPECT_EQ(http::client(with).get(url).body, "ok");
}

// HT11.
TEST_F(IoHttpClient, Fault_HT11_RedirectsToNonsenseAreRefused) {
    for (const std::string_view location : {"ftp://a/", "http://", "http://a b/", "javascript:x", "/a b",
                                            "http://127.1/", "/\x01", "gopher://localhost:1/"}) {
        script server([&](scripted_connection& c) {
            c.read_request();
            c.answer("", "Location: " + std::string(location) + "\r\n", "302 Found");
        });
        http::client client;
        const auto code = code_of([&] { client.get(server.url()); });
        EXPECT_TRUE(code == http::errc::bad_response || code == http::errc::bad_field) << location << code.message();
        EXPECT_EQ(server.connections, 1U);
    }
    script two(saying("HTTP/1.1 302 F\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_EQ(code_of([&] { http::get(two.url()); }), http::errc::bad_response);
    script none(saying("HTTP/1.1 302 F\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_EQ(http::get(none.url()).status, 302);
}

TEST_F(IoHttpClient, Fault_HT11_NothingIsInjected) {
    http::client client;
    EXPECT_THROW(client.get("http://localhost/\r\nX: y"), http::bad_url);
    EXPECT_THROW(client.get("http://localhost/ HTTP/1.1\r\nX: y"), http::bad_url);
    EXPECT_THROW(client.get("ftp://localhost/"), http::bad_url);
    EXPECT_THROW(client.get("http://localhost/", {{"A", "b\r\nC: d"}}), std::invalid_argument);
    EXPECT_THROW(client.get("http://localhost/", {{"A\r\nB", "c"}}), std::invalid_argument);
    EXPECT_THROW(client.post("http://localhost/", "b", "text/plain\r\nX: y"), std::invalid_argument);
    EXPECT_THROW(client.request({.method = "GET / HTTP/1.1\r\nA: b\r\n\r\nGET", .url = "http://localhost/"}),
                 std::invalid_argument);
    EXPECT_THROW(http::client({.user_agent = "a\r\nb"}), std::invalid_argument);
    for (const std::string_view own : {"Content-Length", "transfer-encoding", "Connection", "Expect", "Upgrade"}) {
        EXPECT_THROW(client.get("http://localhost/", {{own, "1"}}), std::invalid_argument) << own;
    }
    EXPECT_THROW(client.request({.method = "CONNECT", .url = "http://localhost/"}), std::invalid_argument);
}

/// "abc…" in pieces of at most `piece`.
http::request_body::source counting(std::size_t all, std::size_t piece) {
    return [all, piece, done = std::size_t{0}](std::span<std::byte> into) mutable {
        copse::yield();
        const std::size_t n = std::min({all - done, piece, into.size()});
        for (std::size_t i = 0; i < n; ++i) into[i] = static_cast<std::byte>('a' + (done + i) % 26);
        done += n;
        return n;
    };
}

std::string counted(std::size_t all) {
    std::string made;
    for (std::size_t i = 0; i < all; ++i) made += static_cast<char>('a' + i % 26);
    return made;
}

TEST_F(IoHttpClient, StreamsABody) {
    script server([&](scripted_connection& c) {
        for (;;) {
            std::string request = c.read_request();
            if (request.empty()) return;
            server.heard.push_back(std::move(request));
            c.answer("got it");
        }
    });
    http::client client;
    EXPECT_EQ(client.post(server.url(), http::request_body::stream(counting(30, 10)), "text/plain").body, "got it");
    EXPECT_TRUE(server.heard.at(0).ends_with(
        "Transfer-Encoding: chunked\r\n\r\na\r\nabcdefghij\r\na\r\nklmnopqrst\r\na\r\nuvwxyzabcd\r\n0\r\n\r\n"))
        << server.heard[0];
    EXPECT_EQ(client.post(server.url(), http::request_body::stream(counting(100'000, 999), 100'000), "text/plain").body,
              "got it");
    EXPECT_TRUE(server.heard.at(1).ends_with("Content-Length: 100000\r\n\r\n" + counted(100'000)));
    EXPECT_EQ(client.post(server.url(), http::request_body::stream(counting(0, 1)), "text/plain").body, "got it");
    EXPECT_TRUE(server.heard.at(2).ends_with("\r\n\r\n0\r\n\r\n"));
    EXPECT_EQ(client.post(server.url(), http::request_body::stream(counting(5, 1), 0), "text/plain").body, "got it");
    EXPECT_TRUE(server.heard.at(3).ends_with("Content-Length: 0\r\n\r\n"));
    EXPECT_EQ(client.post(server.url(), std::string(5'000'000, 'x'), "text/plain").body, "got it");
    EXPECT_EQ(server.connections, 1U);
}

TEST_F(IoHttpClient, ASourceThatFailsEndsTheRequest) {
    script server([&](scripted_connection& c) { server.heard.push_back(c.read_to_end()); });
    http::client client;
    const auto failing = http::request_body::stream([n = 0](std::span<std::byte> into) mutable -> std::size_t {
        copse::yield();
        if (n++ == 3) throw std::runtime_error("no more paper");
        into[0] = std::byte{'x'};
        return 1;
    });
    EXPECT_EQ(text_of([&] { client.post(server.url(), failing, "text/plain"); }), "no more paper");
    EXPECT_EQ(text_of([&] { client.post(server.url(), http::request_body::stream(counting(5, 5), 7), "text/plain"); }),
              "the source of a body ended after 5 of 7 bytes");
    EXPECT_THROW(client.post(server.url(),
                             http::request_body::stream([](std::span<std::byte> into) { return into.size() + 1; }),
                             "text/plain"),
                 std::invalid_argument);
    EXPECT_EQ(client.stats().idle, 0U);
}

TEST_F(IoHttpClient, WaitsToBeAskedForTheBody) {
    script server([&](scripted_connection& c) {
        const std::string head = c.read_to("\r\n\r\n");
        EXPECT_NE(head.find("Expect: 100-continue\r\n"), std::string::npos);
        for (int i = 0; i < 20; ++i) copse::yield();
        std::array<std::byte, 1> early{};
        EXPECT_EQ(c.socket.try_recv(early), std::nullopt) << "the body is not sent unasked";
        c.say("HTTP/1.1 100 Continue\r\n\r\n");
        server.heard.push_back(c.read_exactly(4));
        c.answer("thanks");
    });
    http::client client;
    EXPECT_EQ(client.request({.method = "PUT", .url = server.url(), .body = "body", .expect_continue = true}).body,
              "thanks");
    EXPECT_EQ(server.heard.at(0), "body");
}

TEST_F(IoHttpClient, DoesNotWaitForEverToBeAskedForTheBody) {
    copse::virtual_time time;
    script server([&](scripted_connection& c) {
        c.read_to("\r\n\r\n");
        c.read_exactly(4);
        c.answer("thanks");
    });
    http::client client;
    EXPECT_EQ(client.request({.method = "PUT", .url = server.url(), .body = "body", .expect_continue = true}).body,
              "thanks");
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(IoHttpClient, Fault_HT14_AnAnswerBeforeTheBodyIsSentIsTaken) {
    script server([&](scripted_connection& c) {
        c.read_to("\r\n\r\n");
        c.answer("too much", {}, "413 Too Large");
        c.read_to_end();  // but never all of it
    });
    http::client client;
    bool ended = false;
    {
        const auto endless = http::request_body::stream([&, mark = std::make_shared<at_end>([&] { ended = true; })](
                                                            std::span<std::byte> into) { return into.size(); });
        EXPECT_EQ(client.post(server.url(), endless, "text/plain").body, "too much");
    }
    EXPECT_TRUE(ended) << "the source is not asked any more";
    EXPECT_EQ(client.post(server.url(), std::string(50'000'000, 'x'), "text/plain").status, 413);
    EXPECT_EQ(client.stats().idle, 0U) << "half a request is not followed by another";
}

TEST_F(IoHttpClient, Fault_HT14_ARefusalBeforeAResetIsTaken) {
    script server([&](scripted_connection& c) {
        c.read_to("\r\n\r\n");
        c.answer("no", "Connection: close\r\n", "403 Forbidden");
        c.socket.shutdown(io::shut::write);
        for (int i = 0; i < 10; ++i) copse::yield();
    });
    http::client client;
    EXPECT_EQ(client.request({.method = "PUT", .url = server.url(), .body = std::string(3'000'000, 'x')}).status, 403);
}

TEST_F(IoHttpClient, BothBodiesAtTheSameTime) {
    script server([&](scripted_connection& c) {  // an echo of chunks
        c.read_to("\r\n\r\n");
        c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (;;) {
            std::string chunk = c.read_to("\r\n");
            chunk += c.read_to("\r\n");
            c.say(chunk);
            if (chunk == "0\r\n\r\n") break;
        }
        EXPECT_EQ(c.read_request().substr(0, 4), "GET ");
        c.answer("ok");
    });
    http::client client;
    copse::queue<std::string> words(1);
    auto r = client.open(
        {.method = "POST", .url = server.url(), .body = http::request_body::stream([&](std::span<std::byte> into) {
                                                    const std::string word = words.get();
                                                    std::memcpy(into.data(), word.data(), word.size());
                                                    return word.size();
                                                })});
    std::array<std::byte, 100> part;
    for (const std::string_view word : {"one", "and", "another"}) {
        words.put(std::string(word));
        EXPECT_EQ(r.read_some(part), word.size());
    }
    words.put("");
    EXPECT_EQ(r.read_some(part), 0U);
    EXPECT_EQ(client.get(server.url()).body, "ok");
    EXPECT_EQ(server.connections, 1U);
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

TEST_F(IoHttpClient, AStreamGivesItsConnectionBackAtItsEnd) {
    script server(ok);
    std::optional<http::response_stream> longer;
    {
        http::client client;
        {
            auto r = client.open({.url = server.url()});
            EXPECT_EQ(r.content_length(), 2U);
            std::array<std::byte, 2> part;
            EXPECT_EQ(r.read_some(part), 2U);
            EXPECT_EQ(client.stats().idle, 1U) << "at the last byte already";
            EXPECT_EQ(r.read_some(part), 0U);
        }
        auto left = std::optional(client.open({.url = server.url()}));
        left.reset();
        EXPECT_EQ(client.stats().idle, 0U) << "one that was not read is closed";
        longer = client.open({.url = server.url()});
    }
    EXPECT_EQ(longer->read_all(), "ok") << "it outlives its client";
}

TEST_F(IoHttpClient, TimeOutsSayWhat) {
    copse::virtual_time time;
    script silent([](scripted_connection& c) { c.read_to_end(); });
    http::client client({.total_timeout = 7s});
    const std::string text = text_of([&] { client.get(silent.url("/slow")); });
    EXPECT_TRUE(text.starts_with("GET " + silent.url("/slow") + ": recv on fd")) << text;
    EXPECT_EQ(time.elapsed(), 7s);
    EXPECT_THROW(client.get_for(silent.url(), 1s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 8s);
    EXPECT_THROW(client.get_until(silent.url(), copse::clock::now() + 1s), io::timed_out);
    EXPECT_THROW(client.post_for(silent.url(), "x", "text/plain", 1s), io::timed_out);
    EXPECT_THROW(client.request_for({.url = silent.url()}, 1s), io::timed_out);
    EXPECT_THROW(client.open_for({.url = silent.url()}, 1s), io::timed_out);
    EXPECT_THROW(client.post_for(silent.url(), std::string(50'000'000, 'x'), "text/plain", 1s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 13s);
    EXPECT_THROW(copse::with_timeout(1s, [&] { client.get(silent.url()); }), copse::timeout_expired);
    EXPECT_EQ(client.stats().idle, 0U);
}

TEST_F(IoHttpClient, ASlowBodyTimesOutAsAWhole) {
    copse::virtual_time time;
    script server([](scripted_connection& c) {
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\n\r\n");
        while (true) {
            c.say("x");
            copse::sleep(1s);
        }
    });
    http::client client;
    EXPECT_THROW(client.get_for(server.url(), 5s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 5s);
}

TEST_F(IoHttpClient, WaitingForAPlaceTimesOut) {
    copse::virtual_time time;
    script server([](scripted_connection& c) { c.read_to_end(); });
    http::client client({.max_connections_per_origin = 1});
    const auto first = copse::spawn([&] { client.get_for(server.url(), 1h); });
    copse::sleep(1ms);
    EXPECT_NE(text_of([&] { client.get_for(server.url(), 1s); }).find("waiting for a free connection"),
              std::string::npos);
    auto killed = copse::spawn([&] { client.get(server.url()); });
    copse::sleep(1ms);
    killed.kill();
    first.kill();
    script other(ok);
    EXPECT_EQ(client.get(other.url()).body, "ok");
}

TEST_F(IoHttpClient, ConnectingTimesOut) {
    copse::virtual_time time;
    http::client client({.connect_timeout = 3s, .connect = [](const http::url&) -> io::socket {
                             copse::sleep(1h);
                             return {};
                         }});
    EXPECT_THROW(client.get("http://localhost/"), io::timed_out);
    EXPECT_EQ(time.elapsed(), 3s);
    http::client tls({.connect_timeout = 3s, .secure = [](io::any_stream s, const std::string&) {
                          copse::sleep(1h);
                          return s;
                      }});
    auto listener = io::listen("127.0.0.1:0");
    EXPECT_THROW(tls.get("https://" + to_string(listener.local_endpoint())), io::timed_out);
    EXPECT_EQ(time.elapsed(), 6s);
}

TEST_F(IoHttpClient, AKillAtEachWaitLeavesNothing) {
    script server([](scripted_connection& c) {
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        c.read_to_end();
    });
    http::client client;
    for (int after = 0; after < 12; ++after) {
        auto asker = copse::spawn(
            [&] { client.post(server.url(), http::request_body::stream(counting(1'000'000, 100)), "a/b"); });
        for (int i = 0; i < after; ++i) copse::yield();
        asker.kill();
        EXPECT_TRUE(asker.killed());
    }
    auto reader = copse::spawn([&] { client.get(server.url()); });
    copse::sleep(5ms);  // it waits for the other half
    reader.kill();
    EXPECT_EQ(client.stats().idle, 0U);
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

TEST_F(IoHttpClient, ErrorsNameTheRequest) {
    auto gone = io::listen("127.0.0.1:0");
    const std::string url = "http://" + to_string(gone.local_endpoint()) + "/a";
    gone.close();
    http::client client;
    EXPECT_EQ(error_of([&] { client.get(url); }), std::errc::connection_refused);
    EXPECT_EQ(text_of([&] { client.get(url); }).substr(0, 5 + url.size()), "GET " + url + ":");
    EXPECT_EQ(error_of([&] { client.get("https://localhost:1/"); }), std::errc::connection_refused);
    script server([](scripted_connection& c) {
        c.read_request();
        c.reset();
    });
    EXPECT_EQ(error_of([&] { client.get(server.url()); }), std::errc::connection_reset);
    EXPECT_EQ(text_of([&] { client.get("http://u:secret@" + server.address() + "/"); }).find("secret"),
              std::string::npos);
}

TEST_F(IoHttpClient, WhatFollowsAnAnswerEndsTheConnection) {
    script server([](scripted_connection& c) {
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray");
        c.read_to_end();
    });
    http::client client;
    EXPECT_EQ(client.get(server.url()).body, "ok");
    EXPECT_EQ(client.stats().idle, 0U);
    EXPECT_EQ(client.get(server.url()).body, "ok");
    // The same, but later.
    script later([](scripted_connection& c) {
        c.read_request();
        c.answer("ok");
        c.say("HTTP/1.1 408 Request Timeout\r\n\r\n");
        c.read_to_end();
    });
    EXPECT_EQ(client.get(later.url()).body, "ok");
    copse::sleep(1ms);
    EXPECT_EQ(client.get(later.url()).body, "ok");
    EXPECT_EQ(later.connections, 2U);
}

TEST_F(IoHttpClient, ConnectsAsItIsTold) {
    script server(ok, "unix:@copse-http-client-test");
    std::string asked;
    http::client client({.connect = [&](const http::url& to) {
        asked = to.host_and_port();
        return io::connect("unix:@copse-http-client-test");
    }});
    EXPECT_EQ(client.get("http://anything.example/").body, "ok");
    EXPECT_EQ(client.get("http://anything.example/").body, "ok");
    EXPECT_EQ(asked, "anything.example:80");
    EXPECT_EQ(server.connections, 1U);
}

TEST_F(IoHttpClient, BelongsToItsThread) {
    http::client client;
    std::string what;
    std::thread([&] { what = text_of([&] { client.get("http://localhost:1/"); }); }).join();
    EXPECT_EQ(what, "http::client: it belongs to another thread");
}

TEST_F(IoHttpClient, ManyAtOnceOfManySizes) {
    script server([](scripted_connection& c) {
        for (;;) {
            const std::string request = c.read_request();
            if (request.empty()) return;
            const std::size_t size = std::stoul(request.substr(5));
            c.answer(pattern(size, static_cast<unsigned>(size)));
        }
    });
    http::client client({.max_connections_per_origin = 8});
    copse::group all;
    int right = 0;
    for (std::size_t i = 0; i < 100; ++i) {
        all.spawn([&, i] {
            const std::size_t size = i * i * 31;
            right +=
                client.get(server.url("/" + std::to_string(size))).body == pattern(size, static_cast<unsigned>(size));
        });
    }
    all.join();
    EXPECT_EQ(right, 100);
    EXPECT_LE(server.connections, 8U);
}

}  // namespace
