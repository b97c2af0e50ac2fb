// The HTTP client, over TLS and without: servers that answer before they have the whole body, and leave.

#include "io_http_script.hpp"
#include "io_tls_pair.hpp"

#include <copse/io/http/client.hpp>

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

using IoHttpClientRefusals = io_leak_check;

constexpr std::size_t large = 3'000'000;
constexpr std::string_view too_large =
    "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much";

http::request_body streamed(std::optional<std::uint64_t> size) {
    return http::request_body::stream(
        [left = large](std::span<std::byte> into) mutable {
            const std::size_t n = std::min(left, into.size());
            left -= n;
            return n;
        },
        size);
}

std::vector<http::request_body> bodies_of_all_kinds() {
    return {std::string(large, 'x'), std::string(10'000, 'x'), streamed(std::nullopt), streamed(large)};
}

void expect_refusal(http::client& client, const std::string& url) {
    for (const bool expecting : {false, true}) {
        for (const http::request_body& body : bodies_of_all_kinds()) {
            const auto r = client.request({.method = "POST", .url = url, .body = body, .expect_continue = expecting});
            EXPECT_EQ(r.status, 413);
            EXPECT_EQ(r.body, "too much");
            EXPECT_EQ(client.stats().idle, 0U);
        }
    }
}

/// What it has not read makes a reset of its close.
void refuse(scripted_connection& c) {
    c.read_to("\r\n\r\n");
    c.say(too_large);
}

TEST_F(IoHttpClientRefusals, Fault_HT14_ARefusalIsTakenAlthoughAResetFollows) {
    script server(refuse);
    http::client client;
    expect_refusal(client, server.url());
}

TEST_F(IoHttpClientRefusals, Fault_HT14_OverAKeptConnectionToo) {
    script server([](scripted_connection& c) {
        c.read_request();
        c.answer("ok");
        refuse(c);
    });
    for (const http::request_body& body : bodies_of_all_kinds()) {
        http::client client;
        EXPECT_EQ(client.get(server.url()).body, "ok");
        EXPECT_EQ(client.post(server.url(), body, "a/b").status, 413);
        EXPECT_EQ(client.stats().reused, 1U);
    }
}

TEST_F(IoHttpClientRefusals, Fault_HT14_OverTlsToo) {
    for (const bool says_goodbye : {true, false}) {
        script server([&, context = common_server_context()](scripted_connection& c) {
            io::tls_stream s = io::tls_stream::server(std::ref(c.socket), context);
            std::string head;
            while (head.find("\r\n\r\n") == std::string::npos) head += recv_text(s);
            s.send_all(too_large);
            if (!says_goodbye) c.socket.close();
        });
        const auto context = common_client_context();
        http::client client({.secure = [&](io::any_stream plain, const std::string&) -> io::any_stream {
            return io::tls_stream::client(std::move(plain), context, "localhost");
        }});
        expect_refusal(client, "https" + server.url().substr(4));
    }
}

TEST_F(IoHttpClientRefusals, Fault_HT14_WhoseBodyIsReadLater) {
    script server(refuse);
    http::client client;
    for (const http::request_body& body : bodies_of_all_kinds()) {
        auto r = client.open({.method = "PUT", .url = server.url(), .body = body});
        EXPECT_EQ(r.status(), 413);
        for (int i = 0; i < 200; ++i) copse::yield();  // the reset arrives
        EXPECT_EQ(r.read_all(), "too much");
        EXPECT_EQ(client.stats().idle, 0U);
    }
}

// Then the reset is where it ends.
TEST_F(IoHttpClientRefusals, Fault_HT14_OfUntoldLength) {
    script server([](scripted_connection& c) {
        c.read_to("\r\n\r\n");
        c.say("HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\ntoo much");
    });
    http::client client;
    for (const http::request_body& body : bodies_of_all_kinds()) {
        const auto r = client.post(server.url(), body, "a/b");
        EXPECT_EQ(r.status, 413);
        EXPECT_EQ(r.body, "too much");
    }
    script cut([](scripted_connection& c) {
        c.read_to("\r\n\r\n");
        c.say("HTTP/1.1 413 Too Large\r\nContent-Length: 10\r\n\r\ntoo much");
    });
    EXPECT_EQ(code_of([&] { client.post(cut.url(), std::string(large, 'x'), "a/b"); }), http::errc::message_incomplete);
}

/// A body that breaks off must not look like one that has ended, and nothing follows it over the same connection.
TEST_F(IoHttpClientRefusals, ASourceThatFailsLateLeavesNothingToReuse) {
    script server([&](scripted_connection& c) {
        c.read_to("\r\n\r\n");
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
        server.heard.push_back(c.read_to_end());
    });
    http::client client;
    copse::event fail;
    const auto failing = http::request_body::stream([&, n = 0](std::span<std::byte> into) mutable -> std::size_t {
        if (n++ == 1) {
            fail.wait();
            throw std::runtime_error("no more paper");
        }
        into[0] = std::byte{'x'};
        return 1;
    });
    auto r = client.open({.method = "POST", .url = server.url(), .body = failing});
    std::array<std::byte, 4> part;
    EXPECT_EQ(r.read_some(part), 2U);
    fail.set();
    EXPECT_EQ(text_of([&] { r.read_some(part); }), "no more paper");
    EXPECT_FALSE(r.is_open());
    EXPECT_EQ(client.stats().idle, 0U);
    while (server.heard.empty()) copse::yield();
    EXPECT_EQ(server.heard.at(0), "1\r\nx\r\n") << "without a last chunk";
}

}  // namespace
