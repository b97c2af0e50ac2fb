// WebSocket: who is inside when it ends, and peers that have vanished.

#include "io_parking_stream.hpp"
#include "io_websocket_peers.hpp"
#include "sanitizer.hpp"

#include <copse/io/http/websocket.hpp>
#include <copse/virtual_time.hpp>

#include <sys/resource.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;
using http::websocket;

namespace {

const std::string a_ping = frame(fin | ping, "", false);
const std::string no_sign_of_life = frame(fin | goodbye, close_payload(1001, "no sign of life"), false);

/// As often as it takes for what is on its way to arrive: descriptors are looked at every 64 turns at the latest.
void let_others_run() {
    for (int i = 0; i < 500; ++i) copse::yield();
}

/// A server's, over a stream whose close parks.
struct parking_websocket {
    std::shared_ptr<parking_stream::record> log = std::make_shared<parking_stream::record>();
    std::pair<io::socket, io::socket> ends = io::socketpair();
    std::optional<websocket> ours = websocket::accept(parking_stream(std::move(ends.first), log), asked_for_upgrade());
    raw_client client{std::move(ends.second)};
};

TEST_F(IoWebsocket, MayEndWhileItIsClosed) {
    for (const auto& end : std::initializer_list<std::function<void(websocket&)>>{
             [](websocket& w) { w.abort(); }, [](websocket& w) { w.close_for(0s); }}) {
        parking_websocket w;
        auto ending = copse::spawn([&] { end(*w.ours); });
        w.log->begins.wait();
        w.ours->abort();
        w.ours.reset();
        w.log->may_end.set();
        ending.get();
        EXPECT_EQ(w.log->ending, 1U) << "its stream is closed once";
    }
}

TEST_F(IoWebsocket, AnotherThreadChangesNothing) {
    auto [ours, theirs] = io::socketpair();
    auto w = websocket::accept(std::move(ours), asked_for_upgrade());
    raw_client client(std::move(theirs));
    std::thread([&] {
        EXPECT_THROW(w.send_text("x"), copse::wrong_thread);
        EXPECT_THROW(w.ping(), copse::wrong_thread);
        EXPECT_THROW(w.receive(), copse::wrong_thread);
        EXPECT_THROW(w.close_for(1s), copse::wrong_thread);
    }).join();
    client.say(frame(fin | text, "in", true));
    EXPECT_EQ(w.receive()->data, "in");
}

TEST_F(IoWebsocket, AKillComesAfterAnAbort) {
    parking_websocket w;
    auto ending = copse::spawn([&] {
        w.ours->abort();
        copse::yield();
        ADD_FAILURE() << "it has been killed";
    });
    w.log->begins.wait();
    ending.request_kill();
    let_others_run();
    EXPECT_EQ(w.log->ended, 0U);
    w.log->may_end.set();
    ending.join();
    EXPECT_TRUE(ending.killed());
    EXPECT_EQ(w.log->ended, 1U);
}

thread_local websocket of_this_thread;

TEST_F(IoWebsocket, MayEndAfterTheGreenletsOfItsThread) {
    std::thread([] {
        EXPECT_FALSE(of_this_thread.is_open());  // made before copse is used here, so it ends later
        auto [near, far] = io::socketpair();
        of_this_thread = websocket::accept(std::move(near), asked_for_upgrade());
        EXPECT_TRUE(of_this_thread.is_open());
    }).join();
}

// The first of a process needs descriptors of its own.
TEST_F(IoWebsocket, Fault_FD09_WithoutDescriptorsItsErrorIsASystemError) {
    if (sanitized) GTEST_SKIP() << "UBSan needs descriptors to look at what is thrown";
    auto [near, far] = io::socketpair();
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none_left{.rlim_cur = 0, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none_left), 0);
    const auto error = error_of([&, &near = near] { websocket::accept(std::move(near), asked_for_upgrade()); });
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_TRUE(!error || error == std::errc::too_many_files_open) << error.message();
}

/// Its sending half is never shut, however long one waits.
struct stuck_stream {
    io::any_stream below;

    std::size_t recv(std::span<std::byte> into) { return below.recv(into); }
    std::size_t recv_until(std::span<std::byte> into, copse::clock::time_point when) {
        return below.recv_until(into, when);
    }
    void send_all(std::span<const io::const_buffer> pieces) { below.send_all(pieces); }
    void send_all_until(std::span<const io::const_buffer> pieces, copse::clock::time_point when) {
        below.send_all_until(pieces, when);
    }
    void shutdown(io::shut) { copse::sleep(24h); }
    void shutdown_until(io::shut, copse::clock::time_point when) { copse::sleep_until(when); }
    void close() { below.close(); }
    bool is_open() const noexcept { return below.is_open(); }
};

TEST_F(IoWebsocket, LastWordsTakeNoLongerThanTheirTime) {
    copse::virtual_time time;
    auto [near, far] = io::socketpair();
    auto w = websocket::accept(stuck_stream{std::move(near)}, asked_for_upgrade());
    raw_client client(std::move(far));
    client.send(fin | 0x3, "");  // an opcode that there is not
    EXPECT_EQ(code_of([&] { w.receive_for(1s); }), http::errc::bad_frame);
    EXPECT_LE(time.elapsed(), 1s);
}

TEST_F(IoWebsocket, MayEndWhileFibersSendPingAndClose) {
    for (const auto& use : std::initializer_list<std::function<void(websocket&)>>{
             [](websocket& w) { w.send_binary(std::string(5'000'000, 'x')); }, [](websocket& w) { w.ping(); },
             [](websocket& w) { w.close(); }, [](websocket& w) { w.receive(); }}) {
        auto [a, b] = io::socketpair();
        std::optional<websocket> w = websocket::accept(std::move(a), asked_for_upgrade());
        const raw_client client(std::move(b));
        auto first = copse::spawn([&] { w->send_binary(std::string(5'000'000, 'x')); });  // others wait for it
        let_others_run();
        auto second = copse::spawn([&] { use(*w); });
        let_others_run();
        w.reset();
        EXPECT_EQ(error_of([&] { first.get(); }), std::errc::bad_file_descriptor);
        second.join();
        EXPECT_EQ(second.exception() == nullptr, second.successful());
    }
}

TEST_F(IoWebsocket, AVanishedPeerIsFoundOut) {
    copse::virtual_time time;
    const auto served = [&](const http::websocket_options& with) {
        websocket_server server([](websocket& w) { EXPECT_EQ(code_of([&] { w.receive(); }), http::errc::too_slow); },
                                with);
        raw_client client(server.where());
        const auto begun = time.elapsed();
        const std::string heard = client.hear_to_end();
        return std::pair(heard, (time.elapsed() - begun) / 1s);
    };
    EXPECT_EQ(served({}), std::pair(a_ping + a_ping + no_sign_of_life, 90L));
    EXPECT_EQ(served({.ping_interval = 10s}), std::pair(a_ping + a_ping + no_sign_of_life, 30L));
    EXPECT_EQ(served({.idle_timeout = 40s}), std::pair(a_ping + no_sign_of_life, 40L));
}

TEST_F(IoWebsocket, WithoutPingsSilenceIsNoSign) {
    copse::virtual_time time;
    websocket_server server(
        [&](websocket& w) {
            EXPECT_THROW(w.receive_for(24h), io::timed_out);
            EXPECT_TRUE(w.is_open());
        },
        {.ping_interval = 0s});
    raw_client client(server.where());
    EXPECT_EQ(client.hear_to_end(), "");
    EXPECT_EQ(time.elapsed(), 24h);
}

TEST_F(IoWebsocket, APeerThatAnswersPingsStays) {
    copse::virtual_time time;
    websocket_server server([&](websocket& w) {
        EXPECT_THROW(w.receive_for(1h), io::timed_out);
        w.send_text("still there");
    });
    auto w = websocket::connect(server.url(), {.ping_interval = 0s});
    EXPECT_EQ(w.receive()->data, "still there");
    EXPECT_EQ(time.elapsed(), 1h);
}

struct chatter {
    websocket wire;  // not yet
};

TEST_F(IoWebsocket, MayBeConnectedLater) {
    websocket_server server(echo);
    chatter c;
    EXPECT_FALSE(c.wire.is_open());
    EXPECT_EQ(c.wire.close_code(), 1006U);
    c.wire.abort();
    EXPECT_EQ(error_of([&] { c.wire.send_text("x"); }), std::errc::bad_file_descriptor);
    EXPECT_NE(text_of([&] { c.wire.receive(); }).find("never connected"), std::string::npos);
    c.wire = websocket::connect(server.url());
    c.wire.send_text("hello");
    EXPECT_EQ(c.wire.receive()->data, "hello");
}

}  // namespace
