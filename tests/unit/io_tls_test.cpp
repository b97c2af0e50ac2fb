// TLS streams: what each verb does, what it throws, what it leaves behind. Faults TL03 to TL05, TL07 to TL09, TL12.

#include "at_end.hpp"
#include "exceptions.hpp"
#include "io_tls_pair.hpp"
#include "sanitizer.hpp"

#include <copse/virtual_time.hpp>

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <array>
#include <cerrno>
#include <functional>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

/// What is made once for the process is made before anything is counted.
struct made_before {
    made_before() {
        common_server();
        make_tls_pair();
    }
};

class IoTls : private made_before, public io_leak_check {};

/// A kill or a time-out of ours is not the other's: it goes on by itself.
void expect_usable(io::tls_stream& a, io::tls_stream& b) {
    a.send_all("there");
    EXPECT_EQ(recv_text(b, 5), "there");
    b.send_all("and back");
    EXPECT_EQ(recv_text(a, 8), "and back");
}

/// Both ways at once, with sizes on either side of what a record holds.
void expect_carries(tls_pair pair, std::size_t size) {
    const std::string up = pattern(size, 1), down = pattern(size + 1, 2);
    auto sender = copse::spawn([&] {
        pair.client.send_all(up);
        pair.client.shutdown(io::shut::write);
    });
    auto returner = copse::spawn([&] {
        pair.server.send_all(down);
        pair.server.shutdown(io::shut::write);
    });
    auto receiver = copse::spawn([&] { return recv_to_end(pair.server) == up; });
    EXPECT_TRUE(recv_to_end(pair.client) == down);
    EXPECT_TRUE(receiver.get());
    sender.get();
    returner.get();
}

TEST_F(IoTls, CarriesBytesBothWaysInEitherVersion) {
    for (const auto version : {io::tls_version::v1_2, io::tls_version::v1_3}) {
        const auto client = common_client_context({.max_version = version});
        for (const std::size_t size : {std::size_t{1}, std::size_t{16384}, std::size_t{16385}, std::size_t{1000000}}) {
            auto pair = make_tls_pair(client);
            EXPECT_EQ(pair.client.version(), version);
            EXPECT_EQ(pair.server.cipher(), pair.client.cipher());
            EXPECT_NE(pair.client.cipher(), "");
            EXPECT_EQ(pair.server.server_name(), "localhost");
            EXPECT_FALSE(pair.client.session_reused());
            expect_carries(std::move(pair), size);
        }
    }
}

TEST_F(IoTls, RunsOverTcpAndPipesAndItself) {
    auto [client, server] = tcp_pair();
    expect_carries(shake_hands(std::move(client), std::move(server)), 200000);

    auto [up_out, up_in] = io::pipe();
    auto [down_out, down_in] = io::pipe();
    expect_carries(shake_hands(duplex_pipe(std::move(down_out), std::move(up_in)),
                               duplex_pipe(std::move(up_out), std::move(down_in))),
                   200000);

    auto outer = make_tls_pair();
    expect_carries(shake_hands(std::move(outer.client), std::move(outer.server)), 200000);
}

TEST_F(IoTls, MayReferToAStreamThatLivesLonger) {
    auto [a, b] = io::socketpair();
    {
        auto pair = shake_hands(std::ref(a), std::ref(b));
        expect_usable(pair.client, pair.server);
    }
    EXPECT_FALSE(a.is_open()) << "what a stream runs over is closed with it";
}

TEST_F(IoTls, SmallPiecesShareARecord) {
    auto [a, b] = io::socketpair();
    auto pair = shake_hands(std::move(a), std::move(b));
    std::vector<std::string> words(100, "many small trees ");
    std::vector<io::const_buffer> pieces(words.begin(), words.end());
    pieces.insert(pieces.begin() + 50, io::const_buffer());
    pair.client.send_all(pieces);
    std::string all;
    for (const auto& w : words) all += w;
    EXPECT_EQ(recv_text(pair.server), all) << "one receive gives one record";
    const std::string big = pattern(50000);
    pair.client.send_all({"head", big, "tail"});
    EXPECT_TRUE(recv_text(pair.server, 50008) == "head" + big + "tail");
    pair.client.send_all("");
    expect_usable(pair.client, pair.server);
}

TEST_F(IoTls, TellsWhoThePeerIs) {
    auto pair = make_tls_pair();
    const auto shown = pair.client.peer_certificate();
    ASSERT_TRUE(shown);
    EXPECT_EQ(shown->subject, "CN=localhost");
    EXPECT_EQ(shown->issuer, "CN=roots of copse");
    EXPECT_EQ(shown->dns_names, std::vector<std::string>{"localhost"});
    EXPECT_EQ(shown->addresses, (std::vector<std::string>{"127.0.0.1", "::1"}));
    EXPECT_EQ(shown->sha256.size(), 64U);
    EXPECT_EQ(shown->pem, common_server().pem);
    EXPECT_LT(shown->not_before, std::chrono::system_clock::now());
    EXPECT_GT(shown->not_after, std::chrono::system_clock::now());
    EXPECT_FALSE(pair.server.peer_certificate()) << "it was not asked for one";
}

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

// ---- TL04, TL12

TEST_F(IoTls, Fault_TL04_AnEndThatWasNotAnnouncedIsNone) {
    auto [a, b] = io::socketpair();
    auto pair = shake_hands(std::move(a), std::ref(b));
    pair.server.send_all("half a mess");
    b.close();
    EXPECT_EQ(recv_text(pair.client), "half a mess");
    for (int i = 0; i < 2; ++i) {
        EXPECT_THROW(recv_text(pair.client), io::stream_truncated);
        EXPECT_THROW(pair.client.recv_pooled(), io::stream_truncated);
        EXPECT_THROW(recv_text(pair.client, 3), io::stream_truncated);
    }
    EXPECT_EQ(error_of([&] { recv_text(pair.client); }), std::errc::connection_aborted);
}

TEST_F(IoTls, Fault_TL04_NorIsOneWithinARecord) {
    // Everything but the last byte of what a server says.
    auto [a, b] = io::socketpair();
    auto [c, d] = io::socketpair();
    auto between = copse::spawn([b = std::move(b), c = std::move(c)]() mutable {
        auto back = copse::spawn([&] {
            while (auto chunk = b.recv_pooled()) c.send_all(chunk.bytes());
        });
        std::string all;
        try {
            for (int i = 0;; ++i) {
                const auto chunk = c.recv_pooled();
                if (chunk.text().find("\x17\x03\x03") == 0 && i > 0) {
                    b.send_all(chunk.text().substr(0, chunk.size() - 1));
                    break;
                }
                b.send_all(chunk.bytes());
            }
        } catch (const std::system_error&) {}
        b.close();
        c.close();
        back.join();
        back.exception();
    });
    auto pair = shake_hands(std::move(a), std::move(d), common_client_context({.max_version = io::tls_version::v1_2}));
    pair.server.send_all("a message");
    EXPECT_THROW(recv_text(pair.client), io::stream_truncated);
    between.join();
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

TEST_F(IoTls, Fault_TL12_TruncationIsToleratedOnlyWhereAskedFor) {
    auto [a, b] = io::socketpair();
    auto pair = shake_hands(std::move(a), std::ref(b));
    pair.server.send_all("all of it");
    b.close();
    pair.client.dangerously_accept_truncation();
    EXPECT_EQ(recv_to_end(pair.client), "all of it");
    std::array<std::byte, 4> four;
    EXPECT_EQ(pair.client.recv(four), 0U);
}

TEST_F(IoTls, RecvExactlyTellsHowFarItCame) {
    auto pair = make_tls_pair();
    pair.server.send_all("abc");
    pair.server.close();
    try {
        recv_text(pair.client, 5);
        ADD_FAILURE() << "it ended before";
    } catch (const io::transfer_error& e) {
        EXPECT_EQ(e.transferred(), 3U);
        EXPECT_EQ(e.code(), std::errc::connection_aborted);
    }
    EXPECT_EQ(recv_text(pair.client, 5), "") << "at the end it is 0";
}

// A cut by our own failure is no end that was meant.
TEST_F(IoTls, AStreamThatAnExceptionEndsIsCutOff) {
    auto pair = make_tls_pair();
    auto failing = copse::spawn([server = std::move(pair.server)]() mutable {
        io::tls_stream mine = std::move(server);
        mine.send_all("half a mess");
        throw std::runtime_error("no more");
    });
    EXPECT_EQ(recv_text(pair.client), "half a mess");
    EXPECT_THROW(recv_text(pair.client), io::stream_truncated);
    EXPECT_THROW(failing.get(), std::runtime_error);
    auto other = make_tls_pair();
    { const io::tls_stream gone = std::move(other.server); }
    EXPECT_EQ(recv_text(other.client), "") << "the end of a scope is meant";
}

// ---- TL05

TEST_F(IoTls, Fault_TL05_OneHalfMayEndBeforeTheOther) {
    for (const auto version : {io::tls_version::v1_2, io::tls_version::v1_3}) {
        auto pair = make_tls_pair(common_client_context({.max_version = version}));
        pair.client.send_all("question");
        pair.client.shutdown(io::shut::write);
        pair.client.shutdown(io::shut::write);
        EXPECT_EQ(recv_to_end(pair.server), "question");
        EXPECT_EQ(error_of([&] { pair.client.send_all("more"); }), std::errc::broken_pipe);
        pair.server.send_all("answer");
        pair.server.close();
        EXPECT_EQ(recv_to_end(pair.client), "answer");
        EXPECT_EQ(recv_to_end(pair.client), "") << "an end stays an end";
        EXPECT_THROW(pair.client.shutdown(io::shut::both), std::invalid_argument);
        EXPECT_THROW(pair.client.shutdown(io::shut::read), std::invalid_argument);
    }
}

TEST_F(IoTls, Fault_TL05_WhatComesAfterTheEndIsNotRead) {
    auto [a, b] = io::socketpair();
    auto pair = shake_hands(std::move(a), std::ref(b));
    pair.server.shutdown(io::shut::write);
    b.send_all("in the clear");
    EXPECT_EQ(recv_to_end(pair.client), "");
    EXPECT_EQ(recv_to_end(pair.client), "");
}

/// Sends until the other side, which does not read, has no room. Returns how much was taken.
std::size_t fill_up(io::tls_stream& s) {
    const std::string much = pattern(4'000'000);
    try {
        s.send_all_for(much, 1s);
    } catch (const io::timed_out& e) {
        return e.transferred();
    }
    ADD_FAILURE() << "it took everything";
    return 0;
}

TEST_F(IoTls, Fault_TL05_ShutdownDoesNotWaitForASilentPeerForEver) {
    copse::virtual_time time;
    auto pair = make_tls_pair();
    const std::size_t taken = fill_up(pair.client);
    EXPECT_THROW(pair.client.shutdown_for(io::shut::write, 1s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 2s);
    auto reader = copse::spawn([&] { return recv_to_end(pair.server); });
    pair.client.shutdown(io::shut::write);  // goes on where it stopped
    EXPECT_TRUE(reader.get() == pattern(4'000'000).substr(0, taken));
}

TEST_F(IoTls, CloseWaitsForNobody) {
    copse::virtual_time time;
    auto pair = make_tls_pair();
    fill_up(pair.client);
    const auto before = time.elapsed();
    pair.client.close();
    EXPECT_EQ(time.elapsed(), before);
    EXPECT_FALSE(pair.client.is_open());
    EXPECT_EQ(error_of([&] { pair.client.send_all("x"); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { recv_text(pair.client); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { pair.client.cipher(); }), std::errc::bad_file_descriptor);
    pair.client.close();
    EXPECT_THROW(recv_to_end(pair.server), std::system_error) << "what it took is not all there";
    EXPECT_EQ(error_of([&] { io::tls_stream().send_all("x"); }), std::errc::bad_file_descriptor);
}

// ---- time, kills, closing

TEST_F(IoTls, ATimeOutOfAReceiveTakesNothing) {
    copse::virtual_time time;
    auto pair = make_tls_pair();
    EXPECT_EQ(error_of([&] {
                  std::array<std::byte, 4> four;
                  pair.client.recv_for(four, 2s);
              }),
              std::errc::timed_out);
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_THROW(pair.client.recv_pooled_until(copse::clock::now() + 1s), io::timed_out);
    pair.server.send_all("ab");
    std::array<std::byte, 4> four;
    try {
        pair.client.recv_exactly_for(four, 1s);
        ADD_FAILURE() << "there are but two";
    } catch (const io::timed_out& e) {
        EXPECT_EQ(e.transferred(), 2U);
    }
    EXPECT_EQ(time.elapsed(), 4s);
    expect_usable(pair.client, pair.server);
}

TEST_F(IoTls, ATimeOutOfASendIsGoneOnFrom) {
    copse::virtual_time time;
    auto pair = make_tls_pair();
    const std::string much = pattern(4'000'000);
    const std::size_t taken = fill_up(pair.client);
    EXPECT_LT(taken, much.size());
    EXPECT_THROW(pair.client.send_all_for("x", 1s), io::timed_out);
    auto reader = copse::spawn([&] { return recv_text(pair.server, much.size()); });
    pair.client.send_all(std::string_view(much).substr(taken));
    EXPECT_TRUE(reader.get() == much);
    expect_usable(pair.client, pair.server);
}

TEST_F(IoTls, TimeoutScopesCountToo) {
    copse::virtual_time time;
    auto pair = make_tls_pair();
    {
        const copse::timeout limit(1s);
        EXPECT_THROW(recv_text(pair.client), copse::timeout_expired);
    }
    expect_usable(pair.client, pair.server);
}

TEST_F(IoTls, AKilledReaderLeavesTheStreamUsable) {
    auto pair = make_tls_pair();
    auto reader = copse::spawn([&] { recv_text(pair.client); });
    copse::yield();
    reader.kill();
    expect_usable(pair.client, pair.server);
    auto early = copse::spawn([&] { pair.client.send_all("never said"); });
    early.kill();
    expect_usable(pair.client, pair.server);
}

TEST_F(IoTls, AKilledSenderCannotBeFollowed) {
    auto pair = make_tls_pair();
    const std::string much = pattern(4'000'000);
    auto sender = copse::spawn([&] { pair.client.send_all(much); });
    copse::yield();
    ASSERT_FALSE(sender.ready());
    sender.kill();
    EXPECT_EQ(what_is_thrown_by([&] { pair.client.send_all("more"); }),
              "tls send with \"localhost\": an earlier send was cut off within a record");
    EXPECT_THROW(pair.client.shutdown(io::shut::write), io::tls_error);
    pair.server.send_all("the other way");
    EXPECT_EQ(recv_text(pair.client), "the other way");
    pair.client.close();
    EXPECT_THROW(recv_to_end(pair.server), io::stream_truncated);
}

TEST_F(IoTls, ClosingWakesReaderAndSender) {
    auto pair = make_tls_pair();
    const std::string much = pattern(4'000'000);
    auto reader = copse::spawn([&] { return error_of([&] { recv_text(pair.client); }); });
    auto sender = copse::spawn([&] { return error_of([&] { pair.client.send_all(much); }); });
    copse::yield();
    pair.client.close();
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(sender.get(), std::errc::bad_file_descriptor);
}

TEST_F(IoTls, MayBeMovedAndEndedWhileOthersWait) {
    auto pair = make_tls_pair();
    auto reader = copse::spawn([&] { return error_of([&] { recv_text(pair.client); }); });
    copse::yield();
    auto elsewhere = std::make_unique<io::tls_stream>(std::move(pair.client));
    elsewhere->send_all("from there");
    EXPECT_EQ(recv_text(pair.server), "from there");
    elsewhere.reset();
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
}

TEST_F(IoTls, OneFiberForEachDirection) {
    auto pair = make_tls_pair();
    const std::string much = pattern(4'000'000);
    auto reader = copse::spawn([&] { return recv_text(pair.client); });
    auto sender = copse::spawn([&] { pair.client.send_all(much); });
    copse::yield();
    EXPECT_THROW(recv_text(pair.client), copse::concurrent_use);
    EXPECT_THROW(pair.client.send_all("x"), copse::concurrent_use);
    pair.server.send_all("one");
    EXPECT_EQ(reader.get(), "one");
    EXPECT_TRUE(recv_text(pair.server, much.size()) == much);
    sender.get();
    expect_usable(pair.client, pair.server);
}

// The tickets of TLS 1.3 wait for a client that never reads: closed over them, the connection would be reset.
TEST_F(IoTls, AClientThatOnlySendsEndsInGoodOrder) {
    auto [a, b] = tcp_pair();
    a.set_option(io::send_buffer(200'000));
    b.set_option(io::receive_buffer(20'000));
    auto pair = shake_hands(std::move(a), std::move(b));
    const std::string all = pattern(150'000);
    pair.client.send_all(all);
    pair.client.close();  // most of it is still to be sent
    EXPECT_TRUE(recv_to_end(pair.server) == all);
}

TEST_F(IoTls, APeerThatIsGoneIsSaidSo) {
    auto [a, b] = tcp_pair();
    auto pair = shake_hands(std::move(a), std::ref(b));
    b.set_option(io::linger(0s));
    b.close();
    const std::string much = pattern(1'000'000);
    const auto error = error_of([&] { pair.client.send_all(much); });
    EXPECT_TRUE(error == std::errc::connection_reset || error == std::errc::broken_pipe) << error.message();
    EXPECT_THROW(pair.client.send_all("more"), std::system_error);
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

// ---- TL08

TEST_F(IoTls, Fault_TL08_ReadingAndWritingAtOnce) {
    const int messages = sanitized ? 5'000 : 50'000;
    auto pair = make_tls_pair();
    const auto talk = [&](io::tls_stream& s, unsigned seed) {
        auto sender = copse::spawn([&, seed]() {
            for (int i = 0; i < messages; ++i) s.send_all(std::to_string(static_cast<unsigned>(i) + seed) + '\n');
            s.shutdown(io::shut::write);
        });
        std::string rest;
        int next = 0;
        bool in_order = true;
        while (const auto chunk = s.recv_pooled()) {
            rest += chunk.text();
            std::size_t begin = 0;
            for (std::size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1)
                in_order = in_order &&
                           rest.substr(begin, end - begin) == std::to_string(static_cast<unsigned>(next++) + 7U - seed);
            rest.erase(0, begin);
        }
        sender.get();
        EXPECT_TRUE(in_order);
        EXPECT_EQ(next, messages);
    };
    auto other = copse::spawn([&] { talk(pair.server, 7); });
    talk(pair.client, 0);
    other.get();
}

TEST_F(IoTls, AReaderThatAlwaysFindsSomethingLetsOthersRun) {
    auto pair = make_tls_pair();
    pair.server.send_all(pattern(4096));
    int turns = 0;
    auto other = copse::spawn([&] {
        for (;;) {
            ++turns;
            copse::yield();
        }
    });
    std::array<std::byte, 1> one;
    for (int i = 0; i < 4096; ++i) pair.client.recv(one);
    EXPECT_GE(turns, 4096 / 128 - 1);
    other.kill();
}

// ---- TL09

TEST_F(IoTls, Fault_TL09_ErrorsOfOthersAreNotOurs) {
    auto pair = make_tls_pair();
    pair.server.send_all("fine");
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    EXPECT_EQ(recv_text(pair.client), "fine");
    EXPECT_EQ(ERR_peek_error(), 0U) << "none of ours either";
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    pair.client.send_all("fine too");
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    pair.client.shutdown(io::shut::write);
    EXPECT_EQ(recv_to_end(pair.server), "fine too");
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    expect_carries(make_tls_pair(), 1000);
    ERR_clear_error();
}

TEST_F(IoTls, Fault_TL09_AFailureOfOneStreamIsNotAnothers) {
    auto [a, b] = io::socketpair();
    auto broken = shake_hands(std::move(a), std::ref(b));
    auto pair = make_tls_pair();
    auto reader = copse::spawn([&] { return recv_text(pair.client); });
    auto victim = copse::spawn([&] { return what_is_thrown_by([&] { recv_text(broken.client); }); });
    copse::yield();
    b.send_all(pattern(100));
    pair.server.send_all("fine");
    EXPECT_EQ(victim.get(), "tls recv with \"localhost\": wrong version number");
    EXPECT_EQ(what_is_thrown_by([&] { recv_text(broken.client); }),
              "tls recv with \"localhost\": wrong version number");
    EXPECT_THROW(broken.client.send_all("x"), io::tls_error);
    EXPECT_EQ(reader.get(), "fine");
    EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST_F(IoTls, AnotherThreadIsRefused) {
    auto pair = make_tls_pair();
    std::thread([&] { EXPECT_THROW(recv_text(pair.client), copse::wrong_thread); }).join();
    expect_usable(pair.client, pair.server);
}

}  // namespace
