// Handshakes of TLS: with whom, and what becomes of them when somebody goes in between. Faults TL03, TL04 and TL07.

#include "exceptions.hpp"
#include "io_tls_fixture.hpp"

#include <copse/virtual_time.hpp>

#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoTls = tls_fixture;

// ---- TL03

template <class... Args>
concept makes_a_client = requires(Args... args) {
    io::tls_stream::client(std::move(args)...);
};
static_assert(makes_a_client<io::socket, io::tls_context, const char*>);
static_assert(!makes_a_client<io::socket, io::tls_context>, "without a host name there is no client");

TEST_F(IoTls, Fault_TL03_WhatIsNoHostNameIsRefused) {
    using namespace std::string_literals;
    const auto with = common_client_context();
    for (const std::string& bad : {""s, "."s, ".example.com"s, "a..b"s, "a b"s, "exa\0mple.com"s,
                                   "b\xc3\xbc"s
                                   "cher.example"s,
                                   "[localhost]"s, "*.example.com"s, std::string(300, 'a'), "[::1"s}) {
        auto [a, b] = io::socketpair();
        EXPECT_THROW(io::tls_stream::client(std::ref(a), with, bad), std::invalid_argument) << bad;
        EXPECT_FALSE(a.is_open()) << bad;
    }
    for (const std::string good : {"localhost.", "LOCALHOST", "127.0.0.1", "::1", "[::1]", "::1%lo"})
        EXPECT_TRUE(make_tls_pair(with, common_server_context(), good).client) << good;
    const auto address = make_tls_pair(with, common_server_context(), "127.0.0.1");
    EXPECT_EQ(address.server.server_name(), "") << "an address is no name";
}

TEST_F(IoTls, AContextIsForOneSide) {
    auto [a, b] = io::socketpair();
    EXPECT_THROW(io::tls_stream::client(std::move(a), common_server_context(), "localhost"), std::invalid_argument);
    EXPECT_THROW(io::tls_stream::server(std::move(b), common_client_context()), std::invalid_argument);
}

TEST_F(IoTls, Fault_TL04_InTheHandshake) {
    auto [a, b] = io::socketpair();
    b.shutdown(io::shut::write);
    EXPECT_THROW(io::tls_stream::client(std::ref(a), common_client_context(), "localhost"), io::stream_truncated);
    EXPECT_FALSE(a.is_open());
    auto [c, d] = io::socketpair();
    d.shutdown(io::shut::write);
    EXPECT_THROW(io::tls_stream::server(std::ref(c), common_server_context()), io::stream_truncated);
}

TEST_F(IoTls, APeerThatSpeaksNoTlsIsSaidSo) {
    auto [a, b] = io::socketpair();
    b.send_all("220 mail.example ready\r\n");
    EXPECT_EQ(what_is_thrown_by(
                  [&, &end = a] { io::tls_stream::client(std::move(end), common_client_context(), "localhost"); }),
              "tls handshake with \"localhost\", who seems not to speak TLS: wrong version number");
}

// ---- TL07

/// Shakes hands with one side's steps watched, and tells how often each side came to a step.
struct handshake_steps {
    int killed_at;  // the step, from 1 on
    bool of_server;
    int steps = 0;
    bool came_to_it = false;

    void run() {
        auto ends = io::socketpair();
        copse::event never;
        bool shaken = false;
        const auto watch = [&](const char*) {
            if (shaken || ++steps != killed_at) return;
            came_to_it = true;
            never.wait();
        };
        auto [watched, other] = std::move(ends);
        auto victim = copse::spawn([&, s = std::move(watched)]() mutable {
            watched_stream w(std::move(s), watch);
            auto stream = of_server ? io::tls_stream::server(std::move(w), common_server_context())
                                    : io::tls_stream::client(std::move(w), common_client_context(), "localhost");
            shaken = true;
            stream.shutdown(io::shut::write);
            recv_to_end(stream);
        });
        auto peer = copse::spawn([&, s = std::move(other)]() mutable {
            auto stream = of_server ? io::tls_stream::client(std::move(s), common_client_context(), "localhost")
                                    : io::tls_stream::server(std::move(s), common_server_context());
            recv_to_end(stream);
        });
        while (!came_to_it && !victim.ready()) copse::yield();
        victim.kill();
        peer.join();
        const std::string told = what_of(peer.exception());
        EXPECT_EQ(!came_to_it, peer.successful()) << "step " << killed_at << ": " << told;
    }
};

TEST_F(IoTls, Fault_TL07_AHandshakeKilledAtEachStep) {
    for (const bool of_server : {false, true}) {
        int last = 0;
        for (int step = 1;; ++step) {
            handshake_steps h{.killed_at = step, .of_server = of_server};
            h.run();
            if (!h.came_to_it || h.steps > step) break;
            last = step;
            if (step > 20) break;
        }
        EXPECT_GE(last, 3) << "send, receive, send";
        EXPECT_LE(last, 20);
        auto pair = make_tls_pair();
        expect_usable(pair.client, pair.server);
    }
}

TEST_F(IoTls, Fault_TL07_APeerThatHangsUpAtEachStep) {
    for (const bool of_server : {false, true}) {
        for (int step = 1; step <= 6; ++step) {
            auto ends = io::socketpair();
            int steps = 0;
            auto victim = copse::spawn([&, s = std::move(ends.first)]() mutable {
                return what_is_thrown_by([&] {
                    auto stream = of_server
                                      ? io::tls_stream::server(std::move(s), common_server_context())
                                      : io::tls_stream::client(std::move(s), common_client_context(), "localhost");
                    recv_text(stream);
                });
            });
            auto peer = copse::spawn([&, s = std::move(ends.second)]() mutable {
                watched_stream w(std::move(s), [&](const char*) {
                    if (++steps == step) throw std::runtime_error("hangs up");
                });
                auto stream = of_server ? io::tls_stream::client(std::move(w), common_client_context(), "localhost")
                                        : io::tls_stream::server(std::move(w), common_server_context());
                throw std::runtime_error("after it");
            });
            EXPECT_NE(victim.get(), "nothing") << step;
            peer.join();
            peer.exception();
        }
    }
}

TEST_F(IoTls, AHandshakeHasItsTime) {
    copse::virtual_time time;
    auto [a, b] = io::socketpair();
    EXPECT_THROW(io::tls_stream::client(std::move(a), common_client_context({.handshake_timeout = 3s}), "localhost"),
                 io::timed_out);
    EXPECT_EQ(time.elapsed(), 3s);
    EXPECT_THROW(io::tls_stream::server(std::move(b), common_server_context()), std::system_error);
    auto ends = io::socketpair();
    EXPECT_EQ(what_is_thrown_by([&] { io::tls_stream::server(std::move(ends.first), common_server_context()); }),
              "tls handshake, its time is over: Connection timed out");
    EXPECT_EQ(time.elapsed(), 13s) << "ten seconds unless told otherwise";
    EXPECT_THROW(io::tls_stream::client_for(std::ref(ends.second), common_client_context(), "localhost", 0s),
                 std::system_error);
    auto [e, f] = io::socketpair();
    EXPECT_THROW(io::tls_stream::server_until(std::move(e), common_server_context(), copse::clock::now() + 1s),
                 io::timed_out);
    EXPECT_EQ(time.elapsed(), 14s);
}

}  // namespace
