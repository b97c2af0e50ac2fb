// The HTTP client: redirects.

#include "io_http_script.hpp"

#include <copse/io/http/client.hpp>
#include <copse/virtual_time.hpp>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

using IoHttpClient = io_leak_check;

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
                              [](std::size_t n) { return n < 5 ? "next?" + std::to_string(n) : std::string(); }));
    self = &server;
    http::client client;
    auto r = client.open({.url = server.url("/a/b")});
    EXPECT_EQ(r.read_all(), "arrived");
    EXPECT_EQ(r.url().target(), "/a/next?4");
    EXPECT_EQ(server.heard.size(), 6U);
    EXPECT_EQ(server.connections, 1U) << "the bodies of redirects are read, so that the connection serves again";
    EXPECT_EQ(client.stats().redirects, 5U);

    script loop(redirecting(self, "302 Found", [](std::size_t) { return std::string("/"); }));
    self = &loop;
    EXPECT_EQ(text_of([&] { client.get(loop.url()); }), "GET " + loop.url() + ": after 5: too many redirects");
    EXPECT_EQ(loop.heard.size(), 6U);

    http::client still({.max_redirects = 0});
    EXPECT_EQ(still.get(loop.url()).status, 302);
}

/// A name, or a redirect, that leads to where strangers must not send us.
TEST_F(IoHttpClient, Fault_DN09_AddressesMayBeRefused) {
    std::vector<std::string> asked;
    http::client guarded({.allow_address = [&](const io::endpoint& e) {
        asked.push_back(e.address());
        return e.is_global();
    }});
    script inside([](scripted_connection& c) { c.answer("secret"); });
    const std::string port = inside.url().substr(inside.url().rfind(':'));
    EXPECT_EQ(text_of([&] { guarded.get("http://localhost" + port); }),
              "GET http://localhost" + port + ": connect to localhost" + port.substr(0, port.size() - 1) +
                  ", none of whose addresses allow_address allows: " + std::strerror(EACCES));
    EXPECT_EQ(asked, (std::vector<std::string>{"127.0.0.1", "::1"}));
    EXPECT_EQ(error_of([&] { guarded.get("http://[::ffff:127.0.0.1]" + port); }), std::errc::permission_denied);
    EXPECT_EQ(error_of([&] { guarded.get("http://169.254.169.254/"); }), std::errc::permission_denied);
    EXPECT_EQ(inside.connections, 0U);

    http::client others({.allow_address = [](const io::endpoint& e) { return e.family() == AF_INET; }});
    EXPECT_EQ(others.get("http://localhost" + port).body, "secret");

    script outside([&](scripted_connection& c) {
        c.read_request();
        c.answer("", "Location: http://127.0.0.1" + port + "\r\n", "302 Found");
    });
    const std::uint16_t out = io::endpoint::parse(outside.address()).port();
    http::client halfway({.allow_address = [out](const io::endpoint& e) { return e.port() == out; }});
    EXPECT_EQ(error_of([&] { halfway.get(outside.url()); }), std::errc::permission_denied);
    EXPECT_EQ(inside.connections, 1U);
}

TEST_F(IoHttpClient, Fault_DN09_TheGuardHasNoWayAround) {
    const auto none = [](const io::endpoint&) { return false; };
    const auto by_hand = [](const http::url& to) { return io::connect(to.host_and_port()); };
    EXPECT_THROW(http::client({.allow_address = none, .connect = by_hand}), std::invalid_argument);
    const copse::virtual_time time;
    http::client slow({.allow_address = [](const io::endpoint&) {
        copse::sleep(1h);
        return true;
    }});
    EXPECT_THROW(slow.get_for("http://127.0.0.1:1/", 3s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 3s);
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

}  // namespace
