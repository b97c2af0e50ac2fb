// How streams of TLS end: in good order, by half, cut off. Faults TL04, TL05 and TL12.

#include "io_tls_fixture.hpp"

#include <copse/virtual_time.hpp>

#include <array>
#include <cstddef>
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

TEST_F(IoTls, Fault_TL04_EveryGoodbyeIsSaid) {
    for (int n = 0; n < 130; ++n) {  // more than the attempts between two looks at the clock
        tls_pair pair = make_tls_pair();
        pair.client.close();
        EXPECT_EQ(recv_text(pair.server), "") << "the end, and not a cut";
    }
}

}  // namespace
