// The HTTP client: bodies that it sends, while an answer may come.

#include "at_end.hpp"
#include "event_log.hpp"
#include "io_http_script.hpp"

#include <copse/io/http/client.hpp>
#include <copse/virtual_time.hpp>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

using IoHttpClient = io_leak_check;

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
    const auto leaving =
        http::request_body::stream([](std::span<std::byte>) -> std::size_t { throw copse::greenlet_exit(); });
    EXPECT_EQ(error_of([&] { client.post(server.url(), leaving, "text/plain"); }), std::errc::operation_canceled);
    EXPECT_THROW(http::request_body::stream(nullptr), copse::null_callable);
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

// The source is asked still when the head of the answer comes; how it ends is none of the answer's.
TEST_F(IoHttpClient, Fault_HT14_ARefusalWhoseBodyComesLaterIsTakenAsAWhole) {
    for (const bool throws : {false, true}) {
        copse::event has_ended;
        script server([&](scripted_connection& c) {
            c.read_to("\r\n\r\n");
            c.say("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 10\r\n\r\n");
            has_ended.wait();  // then the client has read the head
            c.say("0123456789");
            c.read_to_end();
        });
        const auto waiting = http::request_body::stream([&](std::span<std::byte>) -> std::size_t {
            const at_end note([&] { has_ended.set(); });
            try {
                copse::event().wait();
            } catch (const copse::greenlet_exit&) {
                if (throws) throw std::runtime_error("interrupted");
                throw;
            }
            return 0;
        });
        http::client client;
        const auto r = client.post(server.url(), waiting, "text/plain");
        EXPECT_EQ(r.status, 413);
        EXPECT_EQ(r.body, "0123456789");
    }
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

/// Answers before the body is there, but not wholly.
void answer_early(scripted_connection& c) {
    c.read_to("\r\n\r\n");
    c.say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
    c.read_to_end();
}

// Where nothing may park, the fiber that sends is left to itself.
TEST_F(IoHttpClient, AStreamMayEndInTheHubWhileABodyIsSent) {
    script server(answer_early);
    http::client client({.max_connections_per_origin = 1});
    event_log order;
    copse::event never;
    copse::event gone;
    const auto waiting = [&](std::span<std::byte>) -> std::size_t {
        const at_end cleaned([&] {
            order("cleaned");
            gone.set();
        });
        never.wait();
        return 0;
    };
    auto r = std::make_shared<http::response_stream>(
        client.open({.method = "POST", .url = server.url(), .body = http::request_body::stream(waiting)}));
    copse::hub::current().post([&order, r = std::move(r)]() mutable {
        r.reset();
        order("ended");
    });
    gone.wait();
    EXPECT_EQ(order.text(), "ended cleaned");
    EXPECT_EQ(client.open({.url = server.url()}).status(), 200) << "its place is free";
}

TEST_F(IoHttpClient, AStreamMayEndInTheSourceOfItsBody) {
    script server(answer_early);
    http::client client({.max_connections_per_origin = 1});
    std::optional<http::response_stream> r;
    event_log order;
    copse::event opened;
    const auto ending = [&](std::span<std::byte>) -> std::size_t {
        opened.wait();
        r.reset();
        order("ended");
        return 1;
    };
    r = client.open({.method = "POST", .url = server.url(), .body = http::request_body::stream(ending)});
    opened.set();
    copse::yield();
    copse::yield();
    EXPECT_EQ(order.text(), "ended") << "it is not asked again";
    EXPECT_EQ(client.open({.url = server.url()}).status(), 200) << "its place is free";
}

TEST_F(IoHttpClient, ASourceMayReadTheAnswerToItsEnd) {
    script server([](scripted_connection& c) {
        c.read_to("\r\n\r\n");
        c.answer("abc");
        c.read_to_end();
    });
    http::client client;
    std::optional<http::response_stream> r;
    std::string answer;
    copse::event opened;
    const auto reading = [&](std::span<std::byte>) -> std::size_t {
        opened.wait();
        answer = r->read_all();
        return 0;
    };
    r = client.open({.method = "POST", .url = server.url(), .body = http::request_body::stream(reading)});
    opened.set();
    copse::yield();
    copse::yield();
    EXPECT_EQ(answer, "abc");
    EXPECT_EQ(client.stats().idle, 0U) << "half a request is not followed by another";
}

}  // namespace
