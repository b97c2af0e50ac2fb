// The HTTP server under other people's clients: curl, wget, ab, wrk, h2load. What is not installed is skipped.

#include "io_installed.hpp"
#include "io_leak_check.hpp"

#include <copse/io/http/server.hpp>
#include <copse/io/process.hpp>

#include <array>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

void answer(http::exchange& x) {
    const auto path = x.request().path();
    if (path == "/echo") {
        x.limit_body(std::uint64_t{64} << 20);
        http::response head;
        if (const auto type = x.request().headers.find("content-type")) head.headers.add("X-Type", *type);
        x.start(head, x.content_length());
        std::array<std::byte, 8192> piece;
        while (const std::size_t n = x.read_body_some(piece)) x.write(std::span(piece).first(n));
    } else if (path == "/redirect") {
        x.respond(http::redirect("/hello"));
    } else if (path == "/refuse") {
        x.respond(http::text("no", 403));
    } else if (path == "/large") {
        x.respond({.body = pattern(3'000'000)});
    } else {
        x.respond(http::text("hello"));
    }
}

class HttpPeers : public io_leak_check {
protected:
    void SetUp() override {
        server_.emplace("127.0.0.1:0", answer, http::server_options{.requests_per_connection = 0});
        server_->start();
    }
    void TearDown() override {
        EXPECT_TRUE(server_->stop_for(10s));
        EXPECT_EQ(server_->stats().failures, 0U);
        server_.reset();
        io_leak_check::TearDown();
    }

    std::string url(std::string_view path) {
        return "http://" + to_string(server_->local_endpoint()) + std::string(path);
    }
    /// Runs it in ten seconds at most. Returns: what it printed.
    std::string output_of(std::vector<std::string> arguments, std::string_view input = {}) {
        const auto done = copse::with_timeout(10s, [&] { return io::run(arguments, {}, input); });
        EXPECT_TRUE(done.status.success()) << arguments.front() << ' ' << done.status << '\n' << done.errors;
        return done.output;
    }
    std::string curl(std::vector<std::string> arguments, std::string_view input = {}) {
        arguments.insert(arguments.begin(), {"curl", "--silent", "--show-error", "--noproxy", "*"});
        return output_of(std::move(arguments), input);
    }

    std::optional<http::server> server_;
};

TEST_F(HttpPeers, Curl) {
    NEEDS("curl");
    EXPECT_EQ(curl({url("/a"), url("/b"), url("/c")}), "hellohellohello");
    EXPECT_EQ(server_->stats().accepted, 1U) << "it keeps the connection";
    EXPECT_EQ(curl({"--http1.0", url("/a")}), "hello");
    EXPECT_EQ(curl({"--head", "--write-out", "%{http_code}", "--output", "/dev/null", url("/a")}), "200");
    EXPECT_EQ(curl({"--location", url("/redirect")}), "hello");
    EXPECT_EQ(curl({"--write-out", "%{http_code}", url("/refuse")}), "no403");
    EXPECT_EQ(curl({url("/large")}), pattern(3'000'000));
}

TEST_F(HttpPeers, CurlSendsBodies) {
    NEEDS("curl");
    EXPECT_EQ(curl({"--data", "a=b", url("/echo")}), "a=b");
    const std::string large = pattern(5'000'000, 7);
    EXPECT_EQ(curl({"--data-binary", "@-", url("/echo")}, large), large) << "with a length, after 100 Continue";
    EXPECT_EQ(curl({"--upload-file", "-", url("/echo")}, large), large) << "in chunks, after 100 Continue";
    EXPECT_EQ(curl({"--header", "Expect:", "--upload-file", "-", url("/echo")}, large), large);
    EXPECT_EQ(
        curl({"--write-out", "%{http_code}", "--output", "/dev/null", "--upload-file", "-", url("/refuse")}, large),
        "403");
}

TEST_F(HttpPeers, CurlsManyAtOnce) {
    NEEDS("curl");
    std::vector<std::string> arguments = {"--parallel", "--parallel-max", "20"};
    for (int i = 0; i < 100; ++i) arguments.push_back(url("/hello"));
    EXPECT_EQ(curl(arguments).size(), 500U);
    EXPECT_EQ(server_->stats().requests, 100U);
}

TEST_F(HttpPeers, Wget) {
    NEEDS("wget");
    const auto wget = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"wget", "--no-proxy", "--quiet", "--output-document=-"});
        return output_of(std::move(arguments));
    };
    EXPECT_EQ(wget({url("/a"), url("/b")}), "hellohello");
    EXPECT_EQ(wget({url("/redirect")}), "hello");
    EXPECT_EQ(wget({"--post-data=x y", url("/echo")}), "x y");
    EXPECT_EQ(wget({url("/large")}), pattern(3'000'000));
}

TEST_F(HttpPeers, Ab) {
    NEEDS("ab");
    const std::string report = output_of({"ab", "-q", "-k", "-n", "2000", "-c", "20", url("/")});
    EXPECT_NE(report.find("Complete requests:      2000"), std::string::npos) << report;
    EXPECT_NE(report.find("Failed requests:        0"), std::string::npos) << report;
}

TEST_F(HttpPeers, Wrk) {
    NEEDS("wrk");
    const std::string report = output_of({"wrk", "-t1", "-c50", "-d1s", "--timeout", "60s", url("/")});
    EXPECT_EQ(report.find("Socket errors"), std::string::npos) << report;
    EXPECT_EQ(report.find("Non-2xx"), std::string::npos) << report;
    EXPECT_GT(server_->stats().requests, 0U) << report;  // how many in a second is not for a test to say
}

TEST_F(HttpPeers, H2load) {
    NEEDS("h2load");
    const std::string report = output_of({"h2load", "--h1", "-n", "2000", "-c", "50", url("/")});
    EXPECT_NE(report.find("2000 succeeded, 0 failed, 0 errored, 0 timeout"), std::string::npos) << report;
    EXPECT_EQ(server_->stats().requests, 2000U);
    EXPECT_EQ(server_->stats().bad_requests, 0U);
}

}  // namespace
