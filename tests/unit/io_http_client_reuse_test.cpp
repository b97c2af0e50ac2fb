// The HTTP client: which connections are kept, which are used again, and who waits for one.

#include "event_log.hpp"
#include "fork_at_rest.hpp"
#include "io_http_script.hpp"
#include "sanitizer.hpp"

#include <copse/io/http/client.hpp>
#include <copse/virtual_time.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace copse_test;
namespace http = copse::io::http;

namespace {

using IoHttpClient = io_leak_check;

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

TEST_F(IoHttpClient, AStreamThatIsClosedFreesItsPlace) {
    script server([](scripted_connection& c) {
        if (c.number != 0) return ok(c);
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
        c.read_to_end();
    });
    http::client client({.max_connections_per_origin = 1});
    auto r = client.open({.url = server.url()});
    r.close();
    const copse::virtual_time time;
    EXPECT_EQ(client.get_for(server.url(), 1s).body, "ok") << "although the stream still lives";
}

TEST_F(IoHttpClient, AStreamThatIsClosedGivesNoMore) {
    script server([](scripted_connection& c) {
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabcdef");
        c.read_to_end();
    });
    http::client client;
    auto r = client.open({.url = server.url()});
    std::array<std::byte, 2> two{};
    EXPECT_EQ(r.read_some(two), 2U);
    r.close();
    EXPECT_EQ(error_of([&] { r.read_some(two); }), std::errc::bad_file_descriptor) << "although more has come";
}

TEST_F(IoHttpClient, WhatWasMovedFromIsClosed) {
    script server(ok);
    http::client client;
    auto r = client.open({.url = server.url()});
    auto there = std::move(r);
    std::array<std::byte, 2> two{};
    EXPECT_EQ(error_of([&] { r.read_some(two); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { r.read_all(); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(r.status(), 0);
    EXPECT_EQ(r.reason() + std::string(r.url().target()), "/");
    EXPECT_TRUE(r.headers().empty());
    EXPECT_EQ(r.content_length(), std::nullopt);
    r.close();
    EXPECT_EQ(there.read_all(), "ok");
    auto other = std::move(client);
    EXPECT_EQ(error_of([&] { client.get(server.url()); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { client.open({.url = server.url()}); }), std::errc::bad_file_descriptor);
    client.close_idle();
    EXPECT_EQ(client.stats().requests, 0U);
    EXPECT_EQ(other.get(server.url()).body, "ok");
}

TEST_F(IoHttpClient, AChildLeavesWhatIsKeptToItsParent) {
    if (thread_sanitized) GTEST_SKIP() << "ThreadSanitizer takes the child's greenlets for the parent's";
    script server(ok);
    http::client client;
    EXPECT_EQ(client.get(server.url()).body, "ok");
    const pid_t child = fork_at_rest();
    if (child == 0) {
        const bool fine = client.get(server.url()).body == "ok" && client.stats().reused == 0;
        ::_exit(fine ? 0 : 1);
    }
    int status = -1;
    while (::waitpid(child, &status, WNOHANG) == 0) copse::sleep(1ms);  // the server is a fiber here
    EXPECT_EQ(status, 0);
    EXPECT_EQ(client.get(server.url()).body, "ok");
    EXPECT_EQ(client.stats().reused, 1U);
    EXPECT_EQ(server.connections, 2U);
}

// As one that is static: its hub, and the fiber that closes what was kept too long, are gone by then.
TEST_F(IoHttpClient, MayEndAfterItsHub) {
    script server(ok);
    std::atomic<bool> over = false;
    std::thread user([&, url = server.url()] {
        static thread_local std::optional<http::client> late;
        late.emplace();  // before the hub of this thread, so that it ends after it
        EXPECT_EQ(late->get(url).body, "ok");
        EXPECT_EQ(late->stats().idle, 1U);
        over = true;
    });
    while (!over) copse::sleep(1ms);
    user.join();
}

TEST_F(IoHttpClient, MayEndOnAnotherThread) {
    script server(ok);
    auto client = std::make_unique<http::client>();
    EXPECT_EQ(client->get(server.url()).body, "ok");
    std::thread([&] { client.reset(); }).join();
}

}  // namespace
