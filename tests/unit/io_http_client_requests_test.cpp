// The HTTP client: what it asks, for how long, and what it says when that fails.

#include "exceptions.hpp"
#include "io_http_script.hpp"

#include <copse/io/http/client.hpp>
#include <copse/virtual_time.hpp>

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

using IoHttpClient = io_leak_check;

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
    EXPECT_EQ(what_is_thrown_by([] { http::client({.read_timeout = -1ns}); }),
              "http::client: `read_timeout` is negative");
    for (const std::string_view own : {"Content-Length", "transfer-encoding", "Connection", "Expect", "Upgrade"}) {
        EXPECT_THROW(client.get("http://localhost/", {{own, "1"}}), std::invalid_argument) << own;
    }
    EXPECT_THROW(client.request({.method = "CONNECT", .url = "http://localhost/"}), std::invalid_argument);
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

/// What a caller's own function throws.
struct own_error : std::system_error {
    own_error() : std::system_error(std::make_error_code(std::errc::not_supported), "own") {}
};

TEST_F(IoHttpClient, ErrorsKeepTheirType) {
    std::function<void()> fail;
    http::client client({.connect = [&](const http::url&) -> io::socket {
        fail();
        return {};
    }});
    const auto code = std::make_error_code(std::errc::connection_reset);
    const auto ask = [&] { client.get("http://a.example/b"); };
    fail = [&] { throw io::transfer_error(code, "send", 7); };
    try {
        ask();
        ADD_FAILURE();
    } catch (const io::transfer_error& e) {
        EXPECT_EQ(e.transferred(), 7U);
        EXPECT_EQ(std::string_view(e.what()), "GET http://a.example/b: send: " + code.message());
    }
    fail = [&] { throw io::timed_out(std::make_error_code(std::errc::timed_out), "send", 7); };
    EXPECT_THROW(ask(), io::timed_out);
    EXPECT_TRUE(text_of(ask).starts_with("GET http://a.example/b: send: "));
    fail = [&] { throw http::error(http::errc::bad_field, "x"); };
    EXPECT_THROW(ask(), http::error);
    fail = [] { throw own_error(); };
    EXPECT_THROW(ask(), own_error) << "which nobody else can make";
}

/// A client inside a server's handler: a reset of the one asked is no reset of the one that asks.
TEST_F(IoHttpClient, AResetIsOfWhomItCameFrom) {
    const error_recorder errors;
    auto backend = io::listen("127.0.0.1:0");
    const std::string url = "http://" + to_string(backend.local_endpoint()) + "/";
    io::stream_server server("127.0.0.1:0", [&](io::socket) {
        http::client client;
        client.get(url);
    });
    server.start();
    auto asker = io::connect(server.local_endpoint());
    {
        scripted_connection asked(backend.accept().connection, 0);
        asked.read_request();
        asked.reset();
    }
    EXPECT_EQ(recv_to_end(asker), "");
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.stats().resets, 0U);
    ASSERT_EQ(errors.count(), 1U);
    EXPECT_TRUE(errors[0].what.starts_with("GET " + url + ": recv")) << errors[0].what;
}

}  // namespace
