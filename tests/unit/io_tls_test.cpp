// TLS streams: what each verb does, what it throws, what it leaves behind. Faults TL08 and TL09. How they begin is in
// io_tls_handshake_test.cpp, how they end in io_tls_end_test.cpp.

#include "exceptions.hpp"
#include "io_tls_fixture.hpp"
#include "sanitizer.hpp"

#include <copse/virtual_time.hpp>

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoTls = tls_fixture;

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

TEST_F(IoTls, AnotherThreadChangesNothing) {
    auto pair = make_tls_pair();
    std::thread([&] {
        EXPECT_THROW(pair.client.send_all("x"), copse::wrong_thread);
        EXPECT_THROW(recv_text(pair.client), copse::wrong_thread);
        EXPECT_THROW(pair.client.shutdown(io::shut::write), copse::wrong_thread);
    }).join();
    expect_carries(std::move(pair), 100);
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
