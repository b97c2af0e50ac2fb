// Messages with their length before them: whole ones, for many senders, and no trust in what a peer announces.

#include "exceptions.hpp"
#include "io_leak_check.hpp"
#include "scripted_stream.hpp"

#include <copse/virtual_time.hpp>

#include <array>
#include <stdexcept>
#include <vector>

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

class IoFrameStream : public io_leak_check {
protected:
    void SetUp() override {
        auto [a, b] = io::socketpair();
        here = io::frame_stream(std::move(a));
        peer = std::move(b);
    }
    void TearDown() override {
        here.close();
        peer.close();
        io_leak_check::TearDown();
    }
    io::frame_stream here;
    io::socket peer;
};

io::frame_stream of(std::deque<std::string> chunks, const io::frame_options& with = {}) {
    return io::frame_stream(scripted_stream(std::move(chunks)), with);
}

std::vector<std::string> sent_by(const io::frame_options& with, std::string_view message) {
    scripted_stream script;
    const auto record = script.log();
    io::frame_stream(std::move(script), with).send(message);
    return record->sent;
}

TEST_F(IoFrameStream, PrefixesOnTheWire) {
    using std::endian;
    EXPECT_EQ(sent_by({}, "abc"), std::vector{"\0\0\0\3abc"s}) << "head and body leave in one call";
    EXPECT_EQ(sent_by({.prefix = 1}, "abc"), std::vector{"\3abc"s});
    EXPECT_EQ(sent_by({.prefix = 2}, "abc"), std::vector{"\0\3abc"s});
    EXPECT_EQ(sent_by({.prefix = 8}, "abc"), std::vector{"\0\0\0\0\0\0\0\3abc"s});
    EXPECT_EQ(sent_by({.prefix = 4, .order = endian::little}, "abc"), std::vector{"\3\0\0\0abc"s});
    EXPECT_EQ(sent_by({.prefix = 2}, std::string(258, 'x')).at(0).substr(0, 2), "\1\2"s);
    EXPECT_EQ(sent_by({.prefix = 2, .order = endian::little}, std::string(258, 'x')).at(0).substr(0, 2), "\2\1"s);
    EXPECT_EQ(sent_by({}, ""), std::vector{"\0\0\0\0"s});
}

TEST_F(IoFrameStream, WhatOneSendsTheOtherReceives) {
    for (const unsigned prefix : {1U, 2U, 4U, 8U}) {
        for (const auto order : {std::endian::big, std::endian::little}) {
            const io::frame_options with{.prefix = prefix, .order = order};
            auto [a, b] = io::socketpair();
            io::frame_stream one(std::move(a), with);
            io::frame_stream other(std::move(b), with);
            for (const std::size_t size :
                 {std::size_t{0}, std::size_t{1}, std::size_t{255}, std::size_t{65535}, std::size_t{300000}}) {
                if (prefix < 4 && size > 1 && size >> (8 * prefix) != 0) continue;
                auto sending = copse::spawn([&, size] { one.send(pattern(size)); });
                const auto got = other.receive();
                ASSERT_TRUE(got.has_value());
                EXPECT_TRUE(*got == pattern(size)) << prefix << ' ' << size;
                sending.get();
            }
            one.shutdown(io::shut::write);
            EXPECT_EQ(other.receive(), std::nullopt);
            EXPECT_EQ(other.receive(), std::nullopt);
        }
    }
}

TEST_F(IoFrameStream, MessagesNeverStickTogether) {
    auto s = of({"\0\0\0\2ab\0\0\0\0\0\0\0\1c\0\0"s, "\0\3d"s, "ef"});
    std::vector<std::string> all;
    for (const std::string& message : s) all.push_back(message);
    EXPECT_EQ(all, (std::vector<std::string>{"ab", "", "c", "def"}));
}

TEST_F(IoFrameStream, WhereverChunksEnd) {
    const std::string wire = "\0\0\0\5hello\0\0\0\0\0\0\0\5world"s;
    for (std::size_t size = 1; size <= wire.size(); ++size) {
        std::deque<std::string> chunks;
        for (std::size_t at = 0; at < wire.size(); at += size) chunks.push_back(wire.substr(at, size));
        auto s = of(chunks);
        EXPECT_EQ(s.receive(), "hello");
        EXPECT_EQ(s.receive(), "");
        EXPECT_EQ(s.receive(), "world");
        EXPECT_EQ(s.receive(), std::nullopt);
    }
}

TEST_F(IoFrameStream, SeveralPiecesAreOneMessage) {
    here.send({"head", "", "body"});
    EXPECT_EQ(recv_text(peer), "\0\0\0\10headbody"s);
    const std::vector<std::string> many(200, "ab");
    here.send(std::vector<io::const_buffer>(many.begin(), many.end()));
    EXPECT_EQ(recv_text(peer).size(), 404U);
}

TEST_F(IoFrameStream, AnEndWithinAMessageIsAnError) {
    for (const auto& wire : {"\0\0"s, "\0\0\0\4"s, "\0\0\0\4abc"s}) {
        auto s = of({wire});
        for (int again = 0; again < 2; ++again)
            EXPECT_EQ(error_of([&] { s.receive(); }), std::errc::connection_aborted);
    }
}

TEST_F(IoFrameStream, ALengthOverTheLimitIsRefusedBeforeAnythingIsAllocated) {
    scripted_stream script({"\xff\xff\xff\xff"s, std::string(100, 'x')});
    const auto record = script.log();
    io::frame_stream s(std::move(script));
    for (int again = 0; again < 2; ++again) {
        EXPECT_EQ(error_of([&] { s.receive(); }), std::errc::message_size);
        const std::string text = text_of([&] { s.receive(); });
        EXPECT_NE(text.find("4294967295"), std::string::npos) << text;
        EXPECT_NE(text.find("16777216"), std::string::npos) << text;
    }
    EXPECT_LT(record->largest_receive, 100000U);
}

TEST_F(IoFrameStream, ALengthThatLiesIsBelievedPieceByPiece) {
    scripted_stream script({"\xff\xff\xff\xff\xff\xff\xff\xff"s, std::string(1000, 'x')});
    const auto record = script.log();
    io::frame_stream s(std::move(script), {.prefix = 8, .max_size = std::numeric_limits<std::size_t>::max()});
    EXPECT_EQ(error_of([&] { s.receive(); }), std::errc::connection_aborted) << "and not std::bad_alloc";
    EXPECT_LT(record->largest_receive, 100000U);
}

TEST_F(IoFrameStream, WhatIsTooLargeIsNotSent) {
    EXPECT_THROW(of({}, {.max_size = 3}).send("four"), std::invalid_argument);
    EXPECT_THROW(of({}, {.prefix = 1}).send(std::string(256, 'x')), std::invalid_argument);
    auto s = of({}, {.prefix = 2});
    EXPECT_NE(text_of([&] { s.send(std::string(65536, 'x')); }).find("65536 bytes, 65535"), std::string::npos);
    s.send("it goes on");
}

TEST_F(IoFrameStream, BadPrefixes) {
    for (const unsigned prefix : {0U, 3U, 5U, 16U}) EXPECT_THROW(of({}, {.prefix = prefix}), std::invalid_argument);
}

TEST_F(IoFrameStream, AnOrderThatIsNone) {
    EXPECT_THROW(of({}, {.order = static_cast<std::endian>(7)}), std::invalid_argument);
}

TEST_F(IoFrameStream, ManySendersWholeMessages) {
    std::vector<copse::fiber<void>> senders;
    for (unsigned i = 0; i < 10; ++i)
        senders.push_back(copse::spawn([&, i] { here.send(std::string(100000, static_cast<char>('a' + i))); }));
    io::frame_stream receiver(std::move(peer));
    std::string order;
    for (unsigned i = 0; i < 10; ++i) {
        const auto message = receiver.receive();
        ASSERT_TRUE(message.has_value());
        ASSERT_EQ(message->size(), 100000U);
        EXPECT_EQ(message->find_first_not_of(message->front()), std::string::npos);
        order += message->front();
    }
    EXPECT_EQ(order, "abcdefghij");
    copse::join_all(senders);
}

TEST_F(IoFrameStream, OneReceiverAtATime) {
    auto receiving = copse::spawn([&] { return here.receive(); });
    copse::yield();
    EXPECT_THROW(here.receive(), copse::concurrent_use);
    peer.send_all("\0\0\0\1x"s);
    EXPECT_EQ(receiving.get(), "x");
}

TEST_F(IoFrameStream, AKillInTheMiddleOfSendingEndsTheSendingHalf) {
    auto sending = copse::spawn([&] { here.send(std::string(1 << 22, 'x')); });
    auto behind = copse::spawn([&] { return error_of([&] { here.send("y"); }); });
    copse::yield();
    sending.kill();
    EXPECT_EQ(behind.get(), std::errc::state_not_recoverable);
    EXPECT_EQ(error_of([&] { here.send("z"); }), std::errc::state_not_recoverable);
    peer.send_all("\0\0\0\1x"s);
    EXPECT_EQ(here.receive(), "x") << "receiving goes on";
    here.shutdown(io::shut::write);
    EXPECT_LT(recv_to_end(peer).size(), std::size_t{1} << 22) << "nothing came after the part";
}

TEST_F(IoFrameStream, AKillWhileWaitingForItsTurnHarmsNobody) {
    const std::string lot(1 << 22, 'x');
    auto sending = copse::spawn([&] { here.send(lot); });
    auto behind = copse::spawn([&] { here.send("never"); });
    auto last = copse::spawn([&] { here.send("last"); });
    copse::yield();
    behind.kill();
    io::frame_stream receiver(std::move(peer));
    EXPECT_TRUE(receiver.receive() == lot);
    EXPECT_EQ(receiver.receive(), "last");
    copse::join_all(sending, last);
}

TEST_F(IoFrameStream, TimeOutsOfSenders) {
    copse::virtual_time time;
    const std::string lot(1 << 22, 'x');
    auto sending = copse::spawn([&] { here.send(lot); });
    copse::yield();
    EXPECT_THROW(here.send_for("x", 1s), io::timed_out) << "its turn did not come";
    EXPECT_THROW(here.send_until("x", copse::clock::now() + 1s), io::timed_out);
    io::frame_stream receiver(std::move(peer));
    EXPECT_TRUE(receiver.receive() == lot);
    sending.get();
    here.send_for("fine", 1s);
    EXPECT_EQ(receiver.receive(), "fine");
    EXPECT_THROW(here.send_for(lot, 1s), io::timed_out);
    EXPECT_EQ(error_of([&] { here.send("x"); }), std::errc::state_not_recoverable);
    EXPECT_EQ(time.elapsed(), 3s);
}

TEST_F(IoFrameStream, KillsAndTimeOutsOfTheReceiverLoseNothing) {
    copse::virtual_time time;
    const std::string wire = "\0\0\0\6abcdef\0\0\0\1g"s;
    for (const char byte : wire.substr(0, 9)) {
        peer.send_all(std::string(1, byte));
        EXPECT_THROW(here.receive_for(1s), io::timed_out);
        EXPECT_THROW(here.receive_until(copse::clock::now() + 1s), io::timed_out);
        auto receiving = copse::spawn([&] { here.receive(); });
        copse::yield();
        receiving.kill();
    }
    peer.send_all(wire.substr(9));
    EXPECT_EQ(here.receive(), "abcdef");
    EXPECT_EQ(here.receive(), "g");
    EXPECT_EQ(time.elapsed(), 18s);
}

TEST_F(IoFrameStream, CloseByAnotherFiberWakesThoseWhoWait) {
    auto receiving = copse::spawn([&] { return error_of([&] { here.receive(); }); });
    auto sending = copse::spawn([&] { return error_of([&] { here.send(std::string(1 << 22, 'x')); }); });
    auto behind = copse::spawn([&] { return error_of([&] { here.send("y"); }); });
    copse::yield();
    here.close();
    EXPECT_EQ(receiving.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(sending.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(behind.get(), std::errc::bad_file_descriptor);
    EXPECT_FALSE(here.is_open());
}

TEST_F(IoFrameStream, MayBeMovedWhileAFiberIsInIt) {
    auto receiving = copse::spawn([&] { return here.receive(); });
    copse::yield();
    io::frame_stream moved = std::move(here);
    EXPECT_EQ(error_of([&] { here.send("x"); }), std::errc::bad_file_descriptor);
    peer.send_all("\0\0\0\1x"s);
    EXPECT_EQ(receiving.get(), "x");
    moved.close();
}

TEST_F(IoFrameStream, ResetInTheMiddle) {
    auto [client, server] = tcp_pair();
    io::frame_stream s(std::move(client));
    server.send_all("\0\0\0\6abc"s);
    auto receiving = copse::spawn([&] { return error_of([&] { s.receive(); }); });
    copse::yield();
    server.set_option(io::linger(0s));
    server.close();
    EXPECT_EQ(receiving.get(), std::errc::connection_reset);
    EXPECT_EQ(error_of([&] { s.send("x"); }), std::errc::broken_pipe);
}

TEST_F(IoFrameStream, GoesOnWhereABufferedStreamStopped) {
    io::buffered_stream upgrade(scripted_stream({"UPGRADE\r\n\0\0\0\2ok"s}));
    EXPECT_EQ(upgrade.read_line(), "UPGRADE");
    io::frame_stream frames(std::move(upgrade));
    EXPECT_EQ(frames.receive(), "ok");
}

TEST_F(IoFrameStream, OverPipes) {
    auto [reader, writer] = io::pipe();
    io::frame_stream self(io::pipe_stream(std::move(reader), std::move(writer)));
    self.send("through the kernel and back");
    EXPECT_EQ(self.receive(), "through the kernel and back");
}

}  // namespace
