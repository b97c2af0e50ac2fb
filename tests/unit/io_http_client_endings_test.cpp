// The HTTP client: the end of a connection may park, and others come in meanwhile; so may the end of the client.

#include "io_http_script.hpp"
#include "io_parking_stream.hpp"

#include <copse/io/http/client.hpp>
#include <copse/virtual_time.hpp>

#include <array>
#include <memory>
#include <optional>
#include <string>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;

namespace {

using IoHttpClientEndings = io_leak_check;

/// Asked as https, so that its streams are made by `secure`; nothing is encrypted.
std::string parking_url(const script& server) { return "https" + server.url().substr(4); }

http::client_options parking(const std::shared_ptr<parking_stream::record>& ends, http::client_options with = {}) {
    with.secure = [ends](io::any_stream plain, const std::string&) -> io::any_stream {
        return parking_stream(std::move(plain), ends);
    };
    return with;
}

/// As often as it takes for what is on its way to arrive: descriptors are looked at every 64 turns at the latest.
void let_others_run() {
    for (int i = 0; i < 500; ++i) copse::yield();
}

TEST_F(IoHttpClientEndings, Fault_HT17_WhatIsBeingClosedIsNotFoundAgain) {
    const auto ends = std::make_shared<parking_stream::record>();
    script server(ok);
    http::client client(parking(ends));
    client.get(parking_url(server));
    auto closing = copse::spawn([&] { client.close_idle(); });
    ends->begins.wait();
    EXPECT_EQ(ends->ending, 1U);
    EXPECT_EQ(client.stats().idle, 0U);
    client.close_idle();
    EXPECT_EQ(client.get(parking_url(server)).body, "ok");
    EXPECT_EQ(server.connections, 2U);
    EXPECT_EQ(client.stats().idle, 1U);
    ends->may_end.set();
    closing.get();
    EXPECT_EQ(ends->ending, 1U);
    EXPECT_EQ(client.stats().idle, 1U) << "what came later is kept";
}

TEST_F(IoHttpClientEndings, Fault_HT17_DeadOnesAreTakenOnce) {
    const auto ends = std::make_shared<parking_stream::record>();
    copse::event leave;
    script server([&](scripted_connection& c) {
        c.read_request();
        leave.wait();
        c.answer("ok");
    });
    http::client client(parking(ends));
    const auto get = [&] { client.get(parking_url(server)); };
    copse::group all;
    for (int i = 0; i < 3; ++i) all.spawn(get);
    let_others_run();
    leave.set();
    all.join();
    EXPECT_EQ(client.stats().idle, 3U);
    let_others_run();  // the servers' ends arrive
    for (int i = 0; i < 3; ++i) all.spawn(get);
    let_others_run();
    EXPECT_EQ(client.stats().idle, 0U);
    ends->may_end.set();
    all.join();
    EXPECT_EQ(ends->ended, 3U);
    EXPECT_EQ(client.stats().idle, 3U);
    EXPECT_EQ(server.connections, 6U);
}

TEST_F(IoHttpClientEndings, Fault_HT17_TheClientMayEndWhileItCloses) {
    const auto ends = std::make_shared<parking_stream::record>();
    script server(ok);
    auto client = std::make_optional<http::client>(parking(ends));
    client->get(parking_url(server));
    auto closing = copse::spawn([&] { client->close_idle(); });
    ends->begins.wait();
    client.reset();
    ends->may_end.set();
    closing.get();
    EXPECT_EQ(ends->ended, 1U);
}

TEST_F(IoHttpClientEndings, Fault_HT17_TheClientMayEndWhileOneMakesRoom) {
    const auto ends = std::make_shared<parking_stream::record>();
    script one(ok);
    script two(ok);
    auto client = std::make_optional<http::client>(parking(ends, {.max_idle = 1}));
    client->get(parking_url(one));
    auto r = std::make_optional(client->open({.url = parking_url(two)}));
    std::string body;
    auto reading = copse::spawn([&] { body = r->read_all(); });
    ends->begins.wait();
    EXPECT_EQ(ends->ending, 1U) << "that to the first server";
    auto ending = copse::spawn([&] { client.reset(); });
    r.reset();
    let_others_run();
    EXPECT_EQ(ends->ending, 2U);
    ends->may_end.set();
    copse::join_all(reading, ending);
    EXPECT_EQ(body, "ok");
    EXPECT_EQ(ends->ended, 2U);
}

TEST_F(IoHttpClientEndings, Fault_HT17_TheClientMayEndWhileOldOnesAreClosed) {
    copse::virtual_time time;
    const auto ends = std::make_shared<parking_stream::record>();
    script server(ok);
    auto client = std::make_optional<http::client>(parking(ends, {.idle_time = 10s}));
    client->get(parking_url(server));
    copse::sleep(11s);
    EXPECT_EQ(ends->ending, 1U);
    client.reset();
    ends->may_end.set();
    let_others_run();
    EXPECT_EQ(ends->ended, 1U);
}

TEST_F(IoHttpClientEndings, ItsEndClosesWhatIsKeptAlthoughARequestGoesOn) {
    copse::event closed;
    script kept([&](scripted_connection& c) {
        c.read_request();
        c.answer("ok");
        c.read_to_end();
        closed.set();
    });
    copse::event answer;
    script slow([&](scripted_connection& c) {
        c.read_request();
        answer.wait();
        c.answer("late");
        c.read_to_end();
    });
    auto client = std::make_optional<http::client>();
    client->get(kept.url());
    auto asking = copse::spawn([&] { return client->get(slow.url()).body; });
    let_others_run();
    client.reset();
    EXPECT_TRUE(closed.wait_for(10s)) << "it waits for nobody";
    answer.set();
    EXPECT_EQ(asking.get(), "late");
}

/// Says the first half of an answer, and the rest when told.
script::play in_halves(copse::event& rest) {
    return [&rest](scripted_connection& c) {
        c.read_request();
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
        rest.wait();
        try {
            c.say("cd");
            c.read_to_end();
        } catch (const std::system_error&) {
            // the client has gone
        }
    };
}

TEST_F(IoHttpClientEndings, Fault_HT17_WhatIsBeingClosedIsNotKept) {
    const auto ends = std::make_shared<parking_stream::record>();
    copse::event rest;
    script server(in_halves(rest));
    http::client client(parking(ends));
    auto r = client.open({.url = parking_url(server)});
    auto reading = copse::spawn([&] { return r.read_all(); });
    let_others_run();
    auto closing = copse::spawn([&] { r.close(); });
    ends->begins.wait();
    EXPECT_FALSE(r.is_open());
    rest.set();
    let_others_run();
    EXPECT_EQ(client.stats().idle, 0U);
    r.close();
    EXPECT_EQ(ends->ending, 1U) << "it is closed once";
    ends->may_end.set();
    closing.get();
    EXPECT_EQ(reading.get(), "abcd");
    EXPECT_EQ(ends->ending, 1U);
}

TEST_F(IoHttpClientEndings, AKillComesAfterAClose) {
    const auto ends = std::make_shared<parking_stream::record>();
    copse::event rest;
    script server(in_halves(rest));
    http::client client(parking(ends));
    auto r = client.open({.url = parking_url(server)});
    auto closing = copse::spawn([&] {
        r.close();
        copse::yield();
        ADD_FAILURE() << "it has been killed";
    });
    ends->begins.wait();
    closing.request_kill();
    let_others_run();
    EXPECT_EQ(ends->ended, 0U);
    ends->may_end.set();
    closing.join();
    EXPECT_TRUE(closing.killed());
    EXPECT_EQ(ends->ended, 1U);
    rest.set();
}

TEST_F(IoHttpClientEndings, AStreamMayEndWhileAnotherFiberReads) {
    copse::event rest;
    script server(in_halves(rest));
    http::client client;
    const auto reading_until = [&](const std::function<void(std::optional<http::response_stream>&)>& end) {
        auto r = std::make_optional(client.open({.url = server.url()}));
        auto reading = copse::spawn([&] { r->read_all(); });
        let_others_run();
        end(r);
        return error_of([&] { reading.get(); });
    };
    EXPECT_EQ(reading_until([](auto& r) { r.reset(); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(reading_until([&](auto& r) { *r = client.open({.url = server.url()}); }), std::errc::bad_file_descriptor);
    rest.set();
}

TEST_F(IoHttpClientEndings, OneFiberReadsAtATime) {
    copse::event rest;
    script server(in_halves(rest));
    http::client client;
    auto r = client.open({.url = server.url()});
    auto reading = copse::spawn([&] { return r.read_all(); });
    let_others_run();
    std::array<std::byte, 4> part;
    EXPECT_THROW(r.read_some(part), copse::concurrent_use);
    EXPECT_THROW(r.read_all(), copse::concurrent_use);
    rest.set();
    EXPECT_EQ(reading.get(), "abcd") << "and is not disturbed";
}

TEST_F(IoHttpClientEndings, WhatWasClosedIsClosedForAllAtOnce) {
    copse::event rest;
    script server(in_halves(rest));
    http::client client;
    auto r = client.open({.url = server.url()});
    auto reading = copse::spawn([&] { return r.read_all(); });
    let_others_run();
    r.close();
    EXPECT_FALSE(reading.ready());
    std::array<std::byte, 4> part;
    EXPECT_EQ(error_of([&] { r.read_some(part); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { r.read_all(); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { reading.get(); }), std::errc::bad_file_descriptor);
    rest.set();
}

}  // namespace
