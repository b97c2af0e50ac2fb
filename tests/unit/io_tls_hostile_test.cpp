// TLS with peers that do what they should not. Faults TL01, TL06.

#include "exceptions.hpp"
#include "io_raw_tls.hpp"
#include "io_tls_pair.hpp"

#include <copse/virtual_time.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

struct made_before {
    made_before() {
        common_server();
        make_tls_pair();
    }
};

class IoTlsHostile : private made_before, public io_leak_check {};

/// What a side says that is told this instead of a handshake. The peer then says no more, and reads.
std::string shaken_with(bool server, const std::string& bytes, bool hangs_up) {
    auto ends = io::socketpair();
    auto peer = copse::spawn([&, s = std::move(ends.second)]() mutable {
        try {
            s.send_all(bytes);
            if (hangs_up) s.shutdown(io::shut::write);
            while (s.recv_pooled()) {}
        } catch (const std::system_error&) {
            // It was refused before it had said all.
        }
    });
    const std::string said = what_is_thrown_by([&] {
        server ? io::tls_stream::server(std::move(ends.first), common_server_context())
               : io::tls_stream::client(std::move(ends.first), common_client_context(), "localhost");
    });
    peer.join();
    return said;
}

std::string from_hex(const std::string& digits) {
    std::string bytes;
    for (std::size_t i = 0; i < digits.size(); i += 2)
        bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    return bytes;
}

TEST_F(IoTlsHostile, Fault_TL01_WhatIsNoHandshake) {
    copse::virtual_time time;
    EXPECT_EQ(shaken_with(true, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", false), "tls handshake: http request");
    EXPECT_EQ(shaken_with(true, "CONNECT localhost:443 HTTP/1.1\r\n\r\n", false), "tls handshake: https proxy request");
    const std::string old_hello =
        from_hex("802e0100020015000000100100800200800600400400800700c0050080") + std::string(32, 'x');
    EXPECT_NE(shaken_with(true, old_hello, false), "nothing");
    EXPECT_EQ(time.elapsed(), 0s);
    // A length that no record has, and one that a handshake message may announce but never send.
    EXPECT_NE(shaken_with(true, from_hex("160301ffff"), false), "nothing");
    EXPECT_NE(shaken_with(true, from_hex("1603014000") + from_hex("01ffffff") + std::string(16380, 'x'), false),
              "nothing");
    EXPECT_NE(shaken_with(true, std::string(100000, '\0'), false), "nothing");
    EXPECT_NE(shaken_with(false, "HTTP/1.1 400 Bad Request\r\n\r\n", false), "nothing");
    EXPECT_EQ(time.elapsed(), 0s);
    // Silence, at once and after a beginning: the time is over, and it is one time for all.
    EXPECT_EQ(shaken_with(true, "", false), "tls handshake, its time is over: Connection timed out");
    EXPECT_EQ(shaken_with(true, from_hex("1603010200"), false),
              "tls handshake, its time is over: Connection timed out");
    EXPECT_EQ(time.elapsed(), 20s);
    EXPECT_EQ(shaken_with(true, "", true), "tls: the stream ended without close_notify");
    EXPECT_EQ(shaken_with(true, from_hex("160301"), true), "tls: the stream ended without close_notify");
}

TEST_F(IoTlsHostile, Fault_TL01_OneByteASecondIsTooSlow) {
    copse::virtual_time time;
    auto [ours, theirs] = io::socketpair();
    auto slow = copse::spawn([s = std::move(theirs)]() mutable {
        const std::string hello = from_hex("1603010200010001fc0303") + std::string(500, 'x');
        for (const char c : hello) {
            s.send_all(std::string_view(&c, 1));
            copse::sleep(1s);
        }
    });
    EXPECT_THROW(io::tls_stream::server(std::move(ours), common_server_context()), io::timed_out);
    EXPECT_EQ(time.elapsed(), 10s);
    EXPECT_THROW(slow.get(), std::system_error);
}

TEST_F(IoTlsHostile, Fault_TL01_Noise) {
    for (unsigned seed = 0; seed < 100; ++seed) {
        std::string noise = pattern(1 + seed * 37 % 600, seed);
        if (seed % 3 == 1) noise = from_hex("1603010100") + noise;
        if (seed % 3 == 2) noise = from_hex("16030100ff010000fb0303") + noise;
        for (const bool server : {false, true}) EXPECT_NE(shaken_with(server, noise, true), "nothing") << seed;
    }
}

/// What a client of ours says first.
std::string client_hello() {
    auto [ours, theirs] = io::socketpair();
    auto client = copse::spawn([s = std::move(ours)]() mutable {
        what_is_thrown_by([&] { io::tls_stream::client(std::move(s), common_client_context(), "localhost"); });
    });
    std::string hello = recv_text(theirs);
    theirs.close();
    client.join();
    return hello;
}

TEST_F(IoTlsHostile, Fault_TL01_AHelloThatWasChanged) {
    const std::string hello = client_hello();
    ASSERT_EQ(hello.front(), 0x16);
    std::mt19937 dice(1);
    for (int i = 0; i < 300; ++i) {
        std::string changed = hello;
        for (int n = 0; n < 3; ++n) changed[dice() % changed.size()] = static_cast<char>(dice());
        if (i % 5 == 0) changed.resize(dice() % changed.size());
        EXPECT_NE(shaken_with(true, changed, true), "nothing") << i;
    }
}

TEST_F(IoTlsHostile, Fault_TL01_RecordsThatWereChanged) {
    for (const std::size_t at :
         {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{4}, std::size_t{5}, std::size_t{20}}) {
        auto [a, b] = io::socketpair();
        auto serving = copse::spawn([s = std::move(b)]() mutable {
            auto stream = io::tls_stream::server(std::move(s), common_server_context());
            const std::string first = what_is_thrown_by([&] { recv_text(stream); });
            EXPECT_EQ(what_is_thrown_by([&] { recv_text(stream); }), first) << "what has failed stays so";
            EXPECT_THROW(stream.send_all("x"), std::system_error);
            return first;
        });
        raw_peer client(std::move(a), raw_context(TLS_client_method()), false);
        ASSERT_TRUE(client.shake_hands());
        SSL_write(client.ssl(), "a message", 9);
        std::string record = client.take_outgoing();
        record[at] = static_cast<char>(record[at] ^ 0x55);
        client.socket().send_all(record + pattern(20000));
        client.socket().shutdown(io::shut::write);
        EXPECT_NE(serving.get(), "nothing") << at;
    }
}

// ---- TL06

/// A raw client of a server of ours that runs `serve` in a fiber.
struct hostile_client {
    template <class Serve>
    hostile_client(Serve serve, int version, io::tls_server_options with = {}) {
        auto ends = io::socketpair();
        serving = copse::spawn([serve, with, s = std::move(ends.second)]() mutable {
            auto stream = io::tls_stream::server(std::move(s), common_server_context(with));
            return what_is_thrown_by([&] { serve(stream); });
        });
        peer = std::make_unique<raw_peer>(std::move(ends.first), raw_context(TLS_client_method()), false);
        SSL_set_max_proto_version(peer->ssl(), version);
        EXPECT_TRUE(peer->shake_hands());
    }

    copse::fiber<std::string> serving;
    std::unique_ptr<raw_peer> peer;
};

void echo(io::tls_stream& s) {
    while (auto chunk = s.recv_pooled()) s.send_all(chunk.bytes());
}

void update_key(raw_peer& p) {
    ASSERT_EQ(SSL_key_update(p.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    SSL_do_handshake(p.ssl());
}

TEST_F(IoTlsHostile, KeysAreUpdatedInBetween) {
    hostile_client c(echo, TLS1_3_VERSION);
    for (int i = 0; i < 100; ++i) {
        update_key(*c.peer);
        const std::string sent = pattern(static_cast<std::size_t>(1 + i * 100), static_cast<unsigned>(i));
        c.peer->send(sent);
        EXPECT_TRUE(c.peer->recv() == sent) << i;
    }
    c.peer->run(SSL_shutdown);
    EXPECT_EQ(c.serving.get(), "nothing");
}

TEST_F(IoTlsHostile, Fault_TL06_KeyUpdatesWithoutEnd) {
    hostile_client c(echo, TLS1_3_VERSION);
    for (int i = 0; i < 100; ++i) update_key(*c.peer);
    c.peer->flush();
    EXPECT_EQ(c.serving.get(), "tls recv: the peer sends too many messages that carry no data");
}

// The reader owes an answer while the sender waits for room: it is no second sender, and nobody waits for ever.
TEST_F(IoTlsHostile, Fault_TL08_AKeyUpdateWhileTheSenderWaits) {
    const std::string much = pattern(4'000'000);
    bool waits = false;
    hostile_client c(
        [&](io::tls_stream& s) {
            auto sender = copse::spawn([&] { s.send_all(much); });
            copse::yield();
            waits = !sender.ready();
            EXPECT_EQ(recv_text(s, 6), "onetwo");
            sender.get();
            s.send_all("the end");
        },
        TLS1_3_VERSION);
    update_key(*c.peer);
    SSL_write(c.peer->ssl(), "one", 3);
    update_key(*c.peer);
    SSL_write(c.peer->ssl(), "two", 3);
    c.peer->flush();
    for (int i = 0; i < 10; ++i) copse::yield();
    std::string all;
    while (all.size() < much.size() + 7) all += c.peer->recv();
    EXPECT_TRUE(all == much + "the end");
    EXPECT_TRUE(waits);
    EXPECT_EQ(c.serving.get(), "nothing");
}

// Nobody sends: the reader answers by itself, and does not wait for a peer that does not read.
TEST_F(IoTlsHostile, Fault_TL08_AKeyUpdateWithoutASender) {
    copse::virtual_time time;
    hostile_client c(
        [&](io::tls_stream& s) {
            EXPECT_THROW(s.send_all_for(pattern(4'000'000), 1s), io::timed_out);  // there is no room left
            for (int i = 0; i < 50; ++i) EXPECT_EQ(recv_text(s, 3), "one");
            EXPECT_EQ(time.elapsed(), 1s);
        },
        TLS1_3_VERSION);
    for (int i = 0; i < 50; ++i) {
        update_key(*c.peer);
        SSL_write(c.peer->ssl(), "one", 3);
    }
    c.peer->flush();
    ASSERT_TRUE(c.serving.join_for(1h)) << "it waits for who does not read";
    EXPECT_EQ(c.serving.get(), "nothing");
}

TEST_F(IoTlsHostile, Fault_TL06_NoRenegotiation) {
    hostile_client c(echo, TLS1_2_VERSION);
    SSL_renegotiate(c.peer->ssl());
    SSL_do_handshake(c.peer->ssl());
    c.peer->flush();
    EXPECT_EQ(c.peer->recv(), "");
    EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION) << "it was told no";
    c.peer->socket().close();
    EXPECT_NE(c.serving.get(), "nothing");
}

TEST_F(IoTlsHostile, Fault_TL06_EmptyRecordsWithoutEnd) {
    // Of TLS 1.2 in the clear there is nothing to send once keys are made: before them, an alert record of no bytes.
    EXPECT_NE(shaken_with(true, from_hex("1503010000") + from_hex("1503010000"), true), "nothing");
    std::string many;
    for (int i = 0; i < 10000; ++i) many += from_hex("1603010000");
    EXPECT_NE(shaken_with(true, many, false), "nothing");
    std::string alerts;
    for (int i = 0; i < 10000; ++i) alerts += from_hex("15030300020100");
    EXPECT_NE(shaken_with(true, alerts, false), "nothing");
    EXPECT_NE(shaken_with(false, alerts, false), "nothing");
}

}  // namespace
