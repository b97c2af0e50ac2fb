// WebSocket: senders and receivers, how they are interrupted, and pings.

#include "event_log.hpp"
#include "io_websocket_peers.hpp"
#include "scripted_stream.hpp"

#include <copse/io/http/server.hpp>
#include <copse/io/http/websocket.hpp>
#include <copse/virtual_time.hpp>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <exception>
#include <optional>
#include <system_error>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace http = copse::io::http;
using http::websocket;

namespace {

TEST_F(IoWebsocket, MessagesBothWays) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url("/a?b"));
    EXPECT_TRUE(w.is_open());
    w.send_text("many small trees");
    auto m = w.receive();
    ASSERT_TRUE(m);
    EXPECT_TRUE(m->is_text);
    EXPECT_EQ(m->data, "many small trees");
    for (const std::size_t size : {0U, 1U, 125U, 126U, 4096U, 65535U, 65536U, 1U << 20}) {
        const std::string sent = pattern(size);
        w.send_binary(sent);
        m = w.receive();
        ASSERT_TRUE(m);
        EXPECT_FALSE(m->is_text);
        EXPECT_EQ(m->data, sent) << size;
    }
    EXPECT_EQ(w.close_code(), 1006) << "nobody has said goodbye";
    EXPECT_TRUE(w.close(1001, "going"));
    EXPECT_EQ(w.close_code(), 1001) << "the peer repeats it";
    EXPECT_FALSE(w.is_open());
    EXPECT_EQ(w.receive(), std::nullopt);
    EXPECT_EQ(error_of([&] { w.send_text("late"); }), std::errc::broken_pipe);
    EXPECT_TRUE(w.close()) << "again: nothing";
}

TEST_F(IoWebsocket, AMessageLeavesInOneWrite) {
    websocket_server server(echo);
    raw_client client(server.where());
    client.send(fin | text, std::string(10'000, 'x'));
    EXPECT_EQ(recv_text(client.socket()).size(), 10'004U);
}

TEST_F(IoWebsocket, BadCallsAreRefused) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url());
    EXPECT_THROW(w.send_text("\xff"), std::invalid_argument);
    EXPECT_THROW(w.ping(std::string(126, 'x')), std::invalid_argument);
    for (const int code : {0, 999, 1004, 1005, 1006, 1015, 2999, 5000}) {
        EXPECT_THROW(w.close(static_cast<std::uint16_t>(code)), std::invalid_argument);
    }
    EXPECT_THROW(w.close(1000, std::string(124, 'x')), std::invalid_argument);
    EXPECT_THROW(w.close(1000, "\xff"), std::invalid_argument);
    EXPECT_THROW(websocket::connect("http://localhost/"), http::bad_url);
    EXPECT_THROW(websocket::connect("ws://localhost/\r\nX: y"), http::bad_url);
    for (const std::string_view own : {"Host", "connection", "Upgrade", "Sec-WebSocket-Key"}) {
        EXPECT_THROW(websocket::connect(server.url(), {.headers{{own, "x"}}}), std::invalid_argument) << own;
    }
    EXPECT_THROW(websocket::connect(server.url(), {.subprotocols{"a b"}}), std::invalid_argument);
    w.send_text("fine");
    EXPECT_EQ(w.receive()->data, "fine");
}

TEST_F(IoWebsocket, ManySendersOneReceiver) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url());
    copse::group senders;
    for (int f = 0; f < 10; ++f) {
        senders.spawn([&, f] {
            for (int i = 0; i < 20; ++i) {
                w.send_text(std::to_string(f) +
                            std::string(static_cast<std::size_t>(i) * 500, static_cast<char>('a' + f)));
                if (i % 3 == 0) copse::yield();
            }
        });
    }
    std::vector<std::size_t> next(10);
    for (int i = 0; i < 200; ++i) {
        const auto m = w.receive();
        ASSERT_TRUE(m);
        const auto f = static_cast<std::size_t>(m->data[0] - '0');
        EXPECT_EQ(m->data, std::to_string(f) + std::string(next[f]++ * 500, static_cast<char>('a' + f)))
            << "whole, and in order";
    }
    senders.join();
    EXPECT_TRUE(w.close());
}

TEST_F(IoWebsocket, ASecondReceiverIsRefused) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url());
    auto first = copse::spawn([&] { return w.receive(); });
    copse::yield();
    EXPECT_THROW(w.receive(), copse::concurrent_use);
    w.send_text("a");
    EXPECT_EQ(first.get()->data, "a");
}

TEST_F(IoWebsocket, TimeOutsOfReceiveLoseNothing) {
    copse::virtual_time time;
    websocket_server server([&](websocket& w) {
        for (int i = 0; i < 3; ++i) EXPECT_THROW(w.receive_for(1s), io::timed_out);
        EXPECT_THROW(copse::with_timeout(1s, [&] { w.receive(); }), copse::timeout_expired);
        EXPECT_EQ(w.receive()->data, "many small trees");
        EXPECT_THROW(w.receive_until(copse::clock::now() + 1s), io::timed_out);
        EXPECT_TRUE(w.is_open());
        EXPECT_EQ(w.receive(), std::nullopt);
    });
    raw_client client(server.where());
    const std::string bytes = frame(text, "many ", true) + frame(fin | continuation, "small trees", true);
    client.say(bytes.substr(0, 1));
    copse::sleep(1500ms);
    client.say(bytes.substr(1, 8));
    copse::sleep(1s);
    client.say(bytes.substr(9, 5));
    copse::sleep(3s);
    client.say(bytes.substr(14));
    copse::sleep(3s);
    client.send(fin | goodbye, "");
    client.hear_to_end();
}

TEST_F(IoWebsocket, AKillOfAReceiverLosesNothing) {
    websocket_server server(echo);
    auto w = websocket::connect(server.url(), {.compression = true});
    auto receiver = copse::spawn([&] { w.receive(); });
    copse::yield();
    receiver.kill();
    w.send_text("a");
    EXPECT_EQ(w.receive()->data, "a");
}

TEST_F(IoWebsocket, ATimeOutWithinACompressedMessageCloses) {
    copse::virtual_time time;
    websocket_server server(
        [&](websocket& w) {
            EXPECT_THROW(w.receive_for(1s), io::timed_out);
            EXPECT_TRUE(w.is_open()) << "no message had begun";
            EXPECT_THROW(w.receive_for(1s), io::timed_out);
            EXPECT_FALSE(w.is_open());
        },
        {.compression = true});
    raw_client client(server.where(), "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    copse::sleep(1500ms);
    client.send(0x40 | text, "x");
    client.hear_to_end();
}

TEST_F(IoWebsocket, AKilledSenderClosesOnlyIfItHasBegun) {
    copse::event enough;
    websocket_server quiet([&](websocket&) { enough.wait(); });
    auto w = websocket::connect(quiet.url());
    const std::string large(16'000'000, 'x');
    auto first = copse::spawn([&] { w.send_binary(large); });
    copse::yield();
    auto second = copse::spawn([&] { w.send_text("waits"); });
    copse::yield();
    EXPECT_THROW(w.send_text_for("waits too", 1ms), io::timed_out);
    second.kill();
    EXPECT_TRUE(w.is_open()) << "they had not begun";
    first.kill();
    EXPECT_FALSE(w.is_open());
    EXPECT_EQ(error_of([&] { w.send_text("x"); }), std::errc::broken_pipe);
    enough.set();
}

TEST_F(IoWebsocket, ASendThatTakesTooLongCloses) {
    copse::virtual_time time;
    websocket_server server([](websocket&) { copse::sleep(1h); });
    auto w = websocket::connect(server.url());
    EXPECT_THROW(w.send_binary_for(as_bytes(std::string(16'000'000, 'x')), 1s), io::timed_out);
    EXPECT_FALSE(w.is_open());
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(IoWebsocket, Fault_HT15_PingsAreAnsweredInBoundedMemory) {
    websocket_server server(echo);
    raw_client client(server.where());
    std::string pings;
    for (int i = 0; i < 20'000; ++i) pings += frame(fin | ping, "0123456789", true);
    auto flood = copse::spawn([&] { client.say(pings); });
    copse::sleep(20ms);  // nobody reads the pongs: the flood comes to a halt by itself
    std::string pongs;
    for (int i = 0; i < 20'000; ++i) pongs += frame(fin | pong, "0123456789", false);
    EXPECT_EQ(client.hear(pongs.size()), pongs);
    flood.join();
    client.send(fin | text, "still there");
    EXPECT_EQ(client.hear(13), frame(fin | text, "still there", false));
}

TEST_F(IoWebsocket, PingsOfOnesOwn) {
    websocket_server server([](websocket& w) {
        w.ping("alive?");
        EXPECT_EQ(w.receive()->data, "after the pong");
    });
    raw_client client(server.where());
    EXPECT_EQ(client.hear(8), frame(fin | ping, "alive?", false));
    client.send(fin | pong, "alive?");
    client.send(fin | pong, "nobody asked");
    client.send(fin | text, "after the pong");
    EXPECT_EQ(client.hear_to_end(), "") << "the end of a handler is no goodbye";
}

// The receiver answers pings while a sender is parked within a message.
TEST_F(IoWebsocket, PongsDoNotBreakIntoAMessage) {
    const std::string large = pattern(5'000'000);
    websocket_server server([&](websocket& w) {
        auto sender = copse::spawn([&] { w.send_binary(large); });
        while (auto m = w.receive()) {}
        sender.join();
    });
    raw_client client(server.where());
    for (int i = 0; i < 50; ++i) {
        client.send(fin | ping, std::to_string(i));
        copse::yield();
    }
    const std::string first = client.hear(10 + large.size() + 50 * 3);
    const std::string message = frame(fin | binary, large, false);
    const auto at = first.find(message);
    ASSERT_NE(at, std::string::npos) << "in one piece";
    client.send(fin | goodbye, close_payload(1000));
    const std::string rest = client.hear_to_end();
    std::string pongs;
    for (int i = 0; i < 50; ++i) pongs += frame(fin | pong, std::to_string(i), false);
    std::string others = first + rest;
    others.erase(at, message.size());
    EXPECT_EQ(others, pongs + frame(fin | goodbye, close_payload(1000), false));
}

TEST_F(IoWebsocket, KeepsAlive) {
    copse::virtual_time time;
    event_log order;
    websocket_server server(
        [&](websocket& w) {
            EXPECT_EQ(w.receive()->data, "late");
            EXPECT_EQ(time.elapsed(), 35s);
            EXPECT_EQ(code_of([&] { w.receive(); }), http::errc::too_slow);
            EXPECT_EQ(time.elapsed(), 60s);
        },
        {.ping_interval = 10s, .idle_timeout = 25s});
    raw_client client(server.where());
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(client.hear(2), frame(fin | ping, "", false));
        order(time.elapsed() / 1s);
        client.send(fin | pong, "");
    }
    copse::sleep(5s);
    client.send(fin | text, "late");
    EXPECT_EQ(client.hear_to_end(), frame(fin | ping, "", false) + frame(fin | ping, "", false) +
                                        frame(fin | goodbye, close_payload(1001, "no sign of life"), false));
    EXPECT_EQ(order.text(), "10 20 30");
}

/// Silence is counted over all receives, and only while there is one.
TEST_F(IoWebsocket, KeepsAliveAmongShortReceives) {
    copse::virtual_time time;
    websocket_server server(
        [&](websocket& w) {
            int timed_out = 0;
            const auto receive = [&] {
                for (;;) {
                    try {
                        w.receive_for(3s);
                    } catch (const io::timed_out&) {
                        ++timed_out;
                        copse::sleep(1s);  // on other business
                    }
                }
            };
            EXPECT_EQ(code_of(receive), http::errc::too_slow);
            EXPECT_EQ(timed_out, 8) << "24 of 25 s";
            EXPECT_EQ(time.elapsed(), 33s) << "a mute peer is not waited for";
        },
        {.ping_interval = 10s, .idle_timeout = 25s});
    raw_client client(server.where());
    EXPECT_EQ(client.hear_to_end(), frame(fin | ping, "", false) + frame(fin | ping, "", false) +
                                        frame(fin | goodbye, close_payload(1001, "no sign of life"), false));
}

/// Pings until nobody takes any more of them: the pongs are not read.
class ping_flood {
public:
    explicit ping_flood(raw_client& by) : by_(by), sending_(copse::spawn([this] { send(); })) {}

    /// Begins no more, and reads the pongs of those before, which must be whole.
    void drain() {
        enough_ = true;
        for (std::size_t heard = 0; heard < sent_; ++heard) ASSERT_EQ(by_.hear(pong_.size()), pong_);
        sending_.get();
    }
    /// How it ends when the other side does.
    std::error_condition end() {
        return error_of([this] { sending_.get(); });
    }

private:
    void send() {
        while (!enough_) {
            ++sent_;
            by_.send(fin | ping, payload_);
        }
    }

    raw_client& by_;
    const std::string payload_ = std::string(125, 'x');
    const std::string pong_ = frame(fin | pong, payload_, false);
    std::size_t sent_ = 0;
    bool enough_ = false;
    copse::fiber<void> sending_;
};

TEST_F(IoWebsocket, AReceiverIsInterruptedAmongPongs) {
    const copse::virtual_time time;
    auto [a, b] = io::socketpair();  // little fits between them
    auto w = websocket::accept(std::move(a), asked_for_upgrade());
    raw_client client(std::move(b));
    ping_flood flood(client);
    for (int i = 0; i < 2; ++i) EXPECT_THROW(w.receive_for(1s), io::timed_out);
    EXPECT_THROW(copse::with_timeout(1s, [&] { w.receive(); }), copse::timeout_expired);
    auto receiver = copse::spawn([&] { w.receive(); });
    copse::sleep(1s);
    receiver.kill();
    EXPECT_TRUE(w.is_open());
    auto echoing = copse::spawn([&] { echo(w); });
    flood.drain();
    client.send(fin | text, "still there");
    EXPECT_EQ(client.hear(13), frame(fin | text, "still there", false));
    client.send(fin | goodbye, "");
    echoing.get();
}

TEST_F(IoWebsocket, TheEndOfAWebsocketEndsItsPongs) {
    const copse::virtual_time time;
    auto [a, b] = io::socketpair();
    auto w = std::make_optional(websocket::accept(std::move(a), asked_for_upgrade()));
    raw_client client(std::move(b));
    ping_flood flood(client);
    EXPECT_THROW(w->receive_for(1s), io::timed_out);
    w.reset();
    EXPECT_EQ(flood.end(), std::errc::broken_pipe) << "it is gone, and so is who sent its pongs";
}

TEST_F(IoWebsocket, PongsThatFailDoNotHideWhatHasCome) {
    scripted_stream over({frame(fin | ping, "", true), frame(fin | text, "a", true), frame(fin | text, "b", true)});
    const auto record = over.log();
    auto w = websocket::accept(io::any_stream(std::move(over)), asked_for_upgrade());
    record->fail_sending =
        std::make_exception_ptr(std::system_error(std::make_error_code(std::errc::broken_pipe), "scripted"));
    EXPECT_EQ(w.receive()->data, "a");
    copse::yield();  // the pong fails
    EXPECT_FALSE(w.is_open());
    EXPECT_EQ(error_of([&] { w.send_text("x"); }), std::errc::broken_pipe);
    EXPECT_EQ(w.receive()->data, "b");
    EXPECT_EQ(code_of([&] { w.receive(); }), http::errc::message_incomplete);
}

}  // namespace
