// HTTP over TLS: our server and our client with each other, through bad connections, and with other people's programs.

#include "exceptions.hpp"
#include "io_certificates.hpp"
#include "io_faulty_proxy.hpp"
#include "io_installed.hpp"
#include "io_leak_check.hpp"
#include "io_tls_pair.hpp"

#include <copse/io/http/client.hpp>
#include <copse/io/http/server.hpp>
#include <copse/io/process.hpp>
#include <copse/io/tls_error.hpp>
#include <copse/io/tls_stream.hpp>
#include <copse/virtual_time.hpp>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

struct made_before {
    made_before() {
        common_server();
        make_tls_pair();
        io::run({"true"});
    }
};

template <class F>
std::error_code code_of(F&& call) {
    try {
        call();
    } catch (const std::system_error& e) {
        return e.code();
    }
    return {};
}

void answer(http::exchange& x) {
    if (x.request().path() == "/cut") {
        x.start({});
        x.write("abc");
        throw std::runtime_error("broken");
    }
    x.respond(http::text((x.is_secure() ? "secure " : "plain ") + std::string(x.request().path())));
}

/// A server of ours, files for programs, a client that believes the server's authority.
class IoHttps : private made_before, public io_leak_check {
protected:
    IoHttps() {
        const auto secured = [own = common_server_context({.alpn = {"http/1.1"}})](io::socket s) -> io::any_stream {
            return io::tls_stream::server(std::move(s), own);
        };
        server_.emplace("127.0.0.1:0", answer, http::server_options{.secure = secured});
        char name[] = "/tmp/copse-https-XXXXXX";
        folder_ = ::mkdtemp(name);
        server_->start();
    }
    ~IoHttps() override { std::filesystem::remove_all(folder_); }

    void TearDown() override {
        EXPECT_TRUE(server_->stop_for(10s));
        server_.reset();
        io_leak_check::TearDown();
    }

    std::string file(const std::string& name, const std::string& text) const {
        const std::string path = folder_ + '/' + name;
        std::ofstream(path) << text;
        return path;
    }
    std::string roots() const { return file("roots.pem", common_authority().pem); }

    static std::string url_of(const io::endpoint& there, const std::string& path) {
        return "https://localhost:" + std::to_string(there.port()) + path;
    }
    std::string url(const std::string& path) const { return url_of(server_->local_endpoint(), path); }

    static http::client_options believing(const io::tls_context& with) {
        return {.total_timeout = 30s,
                .idle_time = 1s,
                .secure = [with](io::any_stream plain, const std::string& host) -> io::any_stream {
                    return io::tls_stream::client(std::move(plain), with, host);
                }};
    }

    static std::string output_of(const std::vector<std::string>& arguments) {
        const io::process_result done = copse::with_timeout(20s, [&] { return io::run(arguments); });
        EXPECT_TRUE(done.status.success()) << arguments.front() << ' ' << done.status << '\n' << done.errors;
        return done.output;
    }

    std::optional<http::server> server_;
    std::string folder_;
};

TEST_F(IoHttps, OneConnectionForSeveralRequests) {
    http::client client(believing(common_client_context()));
    EXPECT_EQ(client.get(url("/a")).body, "secure /a");
    EXPECT_EQ(client.get(url("/b")).body, "secure /b");
    EXPECT_EQ(client.stats().opened, 1U);
}

// A goodbye would say that all is there.
TEST_F(IoHttps, Fault_HT13_ACutAnswerUntilTheEndHasNoGoodbye) {
    error_recorder told;
    auto client = io::tls_stream::client(io::connect(server_->local_endpoint()), common_client_context(), "localhost");
    client.send_all("GET /cut HTTP/1.0\r\n\r\n");
    EXPECT_NE(recv_text(client).find("\r\n\r\nabc"), std::string::npos);
    const std::error_code end = code_of([&] { recv_to_end(client); });
    EXPECT_TRUE(end == io::tls_errc::stream_truncated || end == std::errc::connection_reset) << end.message();
    EXPECT_EQ(told.count(), 1U);
}

TEST_F(IoHttps, Fault_TL02_StrangersAreRefused) {
    http::client believes_others(believing(io::tls_context::client({.trust = {.ca_pem = authority("others").pem}})));
    EXPECT_EQ(code_of([&] { believes_others.get(url("/")); }), io::certificate_errc::issuer_unknown);
    EXPECT_EQ(code_of([&] { http::get(url("/")); }), io::certificate_errc::issuer_unknown)
        << "the authorities of the system do not know it";
    EXPECT_EQ(server_->stats().failures, 0U);
}

TEST_F(IoHttps, CurlAndWget) {
    NEEDS("curl");
    NEEDS("wget");
    EXPECT_EQ(
        output_of({"curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", roots(), url("/a"), url("/b")}),
        "secure /asecure /b");
    EXPECT_EQ(
        output_of({"wget", "--quiet", "--no-proxy", "--output-document=-", "--ca-certificate=" + roots(), url("/c")}),
        "secure /c");
}

TEST_F(IoHttps, H2load) {
    NEEDS("h2load");
    const std::string report = output_of({"h2load", "--h1", "-n", "1000", "-c", "20", url("/a")});
    EXPECT_NE(report.find("1000 succeeded, 0 failed, 0 errored, 0 timeout"), std::string::npos) << report;
    EXPECT_EQ(server_->stats().requests, 1000U);
    EXPECT_EQ(server_->stats().failed_handshakes, 0U);
}

TEST_F(IoHttps, TheServerOfOpenssl) {
    NEEDS("openssl");
    const std::string own = file("own.pem", common_server().pem + common_server().key);
    file("trees.txt", "many small trees");
    io::process other(
        {"openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", own, "-key", own, "-WWW"},
        {.cwd = folder_, .input = io::redirect::null, .output = io::redirect::pipe, .errors = io::redirect::null});
    const std::string before = "ACCEPT 127.0.0.1:";
    std::string said;
    std::array<char, 256> bytes;
    for (std::size_t at = 0;
         (at = said.find(before)) == std::string::npos || said.find('\n', at) == std::string::npos;) {
        const std::size_t n = other.output().read_for(std::as_writable_bytes(std::span(bytes)), 20s);
        ASSERT_GT(n, 0U) << said;
        said.append(bytes.data(), n);
    }
    const std::string port = std::to_string(std::stoi(said.substr(said.find(before) + before.size())));
    http::client client(believing(common_client_context()));
    const http::response got = client.get("https://localhost:" + port + "/trees.txt");
    EXPECT_EQ(got.status, 200U);
    EXPECT_EQ(got.body, "many small trees");
    other.kill();
    other.wait();
}

// Either what was asked for, or an error that says what is wrong, in bounded time.
TEST_F(IoHttps, Fault_NT22_ThroughEachFault) {
    const copse::virtual_time time;
    for (const fault what :
         {fault::none, fault::no_accept, fault::no_read, fault::no_answer, fault::close_at_once, fault::close_on_data,
          fault::corrupt, fault::delay, fault::bandwidth, fault::close_after, fault::slicing}) {
        SCOPED_TRACE(name_of(what));
        faulty_proxy proxy(server_->local_endpoint(), {.what = what, .bytes = 100});
        http::client client(believing(common_client_context()));
        const auto begun = copse::clock::now();
        const bool harmless =
            what == fault::none || what == fault::delay || what == fault::bandwidth || what == fault::slicing;
        try {
            EXPECT_EQ(client.get(url_of(proxy.address(), "/a")).body, "secure /a");
            EXPECT_TRUE(harmless);
        } catch (const std::system_error& e) {
            EXPECT_FALSE(harmless) << e.what();
        }
        EXPECT_LE(copse::clock::now() - begun, 31s);
    }
}

}  // namespace
