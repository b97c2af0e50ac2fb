// The HTTP client: bodies of answers as streams among others; header fields without a client.

#include "io_http_script.hpp"

#include <copse/io/http/client.hpp>

#include <array>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

using IoHttpClientStreams = io_leak_check;

static_assert(io::readable<http::response_stream>);

void three_lines(scripted_connection& c) {
    while (!c.read_request().empty())
        c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\none\ntw\r\n7\r\no\nthree\r\n0\r\n\r\n");
}

TEST_F(IoHttpClientStreams, LinesOfABody) {
    script server(three_lines);
    http::client client;
    auto r = client.open({.url = server.url()});
    std::vector<std::string> lines;
    for (const std::string_view line : io::line_reader(std::ref(r))) lines.emplace_back(line);
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "three"}));
    EXPECT_EQ(client.stats().idle, 1U);
    io::any_stream holder = client.open({.url = server.url()});
    EXPECT_TRUE(holder.is_open());
    EXPECT_EQ(*io::line_reader(std::move(holder)).next(), "one");
    EXPECT_EQ(server.connections, 1U);
}

TEST_F(IoHttpClientStreams, ABodyIsCopied) {
    script server(three_lines);
    http::client client;
    auto [a, b] = io::socketpair();
    EXPECT_EQ(io::copy(client.open({.url = server.url()}), a), 13U);
    a.close();
    EXPECT_EQ(recv_to_end(b), "one\ntwo\nthree");
    EXPECT_EQ(client.open({.url = server.url()}).read_to_end(), "one\ntwo\nthree");
}

TEST_F(IoHttpClientStreams, ReadsAsFilesDo) {
    script server([](scripted_connection& c) {
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc");
        c.read_to_end();
    });
    http::client client;
    auto r = client.open({.url = server.url()});
    std::array<std::byte, 8> part;
    EXPECT_EQ(r.read(part), 3U);
    EXPECT_THROW(r.read_for(part, 0s), io::timed_out);
    EXPECT_THROW(r.read_until(part, copse::clock::now()), io::timed_out);
    EXPECT_TRUE(r.is_open());
    r.close();
    EXPECT_FALSE(r.is_open());
    EXPECT_EQ(error_of([&] { r.read(part); }), std::errc::bad_file_descriptor);
}

TEST_F(IoHttpClientStreams, HeaderFieldsOfASingleRequest) {
    script server([&](scripted_connection& c) {
        server.heard.push_back(c.read_request());
        c.answer("ok");
    });
    const auto sent = [&](std::string_view line) {
        return server.heard.back().find("\r\n" + std::string(line) + "\r\n") != std::string::npos;
    };
    EXPECT_EQ(http::get(server.url(), {{"Accept", "text/csv"}}).body, "ok");
    EXPECT_TRUE(sent("Accept: text/csv"));
    const http::fields two{{"Accept", "text/csv"}, {"X-Tree", "oak"}};
    EXPECT_EQ(http::get(server.url(), two, {.user_agent = "crow"}).body, "ok");
    EXPECT_TRUE(sent("X-Tree: oak") && sent("User-Agent: crow"));
    EXPECT_EQ(http::get(server.url(), {{"X-Tree", "ash"}, {"X-Leaf", "1"}}, {.user_agent = "crow"}).body, "ok");
    EXPECT_TRUE(sent("X-Tree: ash") && sent("X-Leaf: 1") && sent("User-Agent: crow"));
    EXPECT_EQ(http::get(server.url(), {}).body, "ok");
    EXPECT_EQ(http::get(server.url(), {.user_agent = "crow"}).body, "ok");
    EXPECT_TRUE(sent("User-Agent: crow"));
    EXPECT_EQ(http::post(server.url(), "{}", "application/json", {{"X-Tree", "oak"}}).body, "ok");
    EXPECT_TRUE(sent("X-Tree: oak") && sent("Content-Type: application/json"));
    EXPECT_EQ(http::post(server.url(), "{}", "a/b", two).body, "ok");
    EXPECT_EQ(http::post(server.url(), "{}", "a/b", {.user_agent = "crow"}).body, "ok");
    EXPECT_TRUE(sent("User-Agent: crow"));
}

TEST_F(IoHttpClientStreams, HeaderFieldsOfAPost) {
    script server([&](scripted_connection& c) {
        server.heard.push_back(c.read_request());
        c.answer("ok");
    });
    http::client client;
    EXPECT_EQ(client.post(server.url(), "x", "a/b", {{"X-Tree", "oak"}, {"content-type", "not/this"}}).body, "ok");
    EXPECT_NE(server.heard.back().find("\r\nX-Tree: oak\r\n"), std::string::npos);
    EXPECT_NE(server.heard.back().find("\r\nContent-Type: a/b\r\n"), std::string::npos);
    EXPECT_EQ(server.heard.back().find("not/this"), std::string::npos);
    EXPECT_EQ(client.post_for(server.url(), "x", "a/b", 1min, {{"X-Tree", "ash"}}).body, "ok");
    EXPECT_NE(server.heard.back().find("\r\nX-Tree: ash\r\n"), std::string::npos);
}

}  // namespace
