// Buffered streams: what is cut from what arrives, what leaves together, and that nothing is lost on the way.

#include "exceptions.hpp"
#include "io_leak_check.hpp"
#include "scripted_stream.hpp"

#include <copse/virtual_time.hpp>

#include <stdexcept>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

class IoBufferedStream : public io_leak_check {
protected:
    void TearDown() override {
        in.close();
        peer.close();
        io_leak_check::TearDown();
    }
    std::pair<io::socket, io::socket> ends = io::socketpair();
    io::socket& peer = ends.second;
    io::buffered_stream in{std::move(ends.first)};
};

io::buffered_stream of(std::deque<std::string> chunks, const io::buffered_stream_options& with = {}) {
    return io::buffered_stream(scripted_stream(std::move(chunks)), with);
}

std::string exactly(io::buffered_stream& from, std::size_t n) {
    std::string text(n, '\0');
    text.resize(from.read_exactly(writable_bytes(text)));
    return text;
}

/// Who waits for what was sent takes it, and waits for more.
void let_it_arrive() {
    copse::hub::current().driver().poll();
    copse::yield();
}

std::string some(io::buffered_stream& from, std::size_t most) {
    std::string text(most, '\0');
    text.resize(from.recv(writable_bytes(text)));
    return text;
}

// ---- Reading

TEST_F(IoBufferedStream, RecvGivesWhatIsThere) {
    auto s = of({"many small", "trees"});
    EXPECT_EQ(some(s, 4), "many");
    EXPECT_EQ(s.unread_text(), " small");
    EXPECT_EQ(some(s, 100), " small");
    EXPECT_EQ(some(s, 100), "trees");
    EXPECT_EQ(some(s, 100), "");
    EXPECT_EQ(some(s, 0), "");
}

TEST_F(IoBufferedStream, LargeReceivesPassTheBuffer) {
    scripted_stream script({pattern(5000)});
    const auto record = script.log();
    io::buffered_stream s(std::move(script), {.read_buffer = 16});
    EXPECT_EQ(some(s, 5000), pattern(5000));
    EXPECT_TRUE(s.unread().empty());
    EXPECT_EQ(record->largest_receive, 5000U);
}

TEST_F(IoBufferedStream, ReadExactlyGathers) {
    auto s = of({"ma", "ny s", "mall"});
    EXPECT_EQ(exactly(s, 4), "many");
    EXPECT_EQ(exactly(s, 6), " small");
    EXPECT_EQ(exactly(s, 3), "");
    EXPECT_EQ(exactly(s, 0), "");
}

TEST_F(IoBufferedStream, ReadExactlyPutsBackWhatItCannotFill) {
    for (const std::size_t buffer : {4U, 16384U}) {  // past the buffer, and through it
        auto s = of({"abc", "def"}, {.read_buffer = buffer});
        try {
            exactly(s, 12);
            FAIL();
        } catch (const io::transfer_error& e) {
            EXPECT_EQ(e.code(), std::errc::connection_aborted);
            EXPECT_EQ(e.transferred(), 0U);
            EXPECT_NE(std::string_view(e.what()).find("after 6 bytes, before all 12"), std::string_view::npos)
                << e.what();
        }
        EXPECT_EQ(s.unread_text(), "abcdef");
        EXPECT_EQ(exactly(s, 6), "abcdef");
    }
}

TEST_F(IoBufferedStream, PeekTakesNothing) {
    auto s = of({"ab", "cd", "ef"});
    EXPECT_EQ(s.peek().size(), 2U);
    EXPECT_EQ(s.peek(3).size(), 4U);
    EXPECT_EQ(s.unread_text(), "abcd");
    s.consume(1);
    EXPECT_EQ(s.unread_text(), "bcd");
    EXPECT_EQ(s.peek(100).size(), 5U) << "all that there is before the end";
    EXPECT_THROW(s.consume(6), std::invalid_argument);
    s.consume(5);
    EXPECT_TRUE(s.peek().empty());
}

TEST_F(IoBufferedStream, ReadThroughADelimiter) {
    auto s = of({"GET / HTTP/1.1\r\n\r", "\nbody"});
    EXPECT_EQ(s.read_through("\r\n\r\n"), "GET / HTTP/1.1\r\n\r\n");
    EXPECT_THROW(s.read_through(""), std::invalid_argument);
    EXPECT_EQ(error_of([&] { s.read_through("\r\n"); }), std::errc::connection_aborted);
    EXPECT_EQ(s.unread_text(), "body");
    s.consume(4);
    EXPECT_EQ(s.read_through("\r\n"), std::nullopt);
}

TEST_F(IoBufferedStream, ReadThroughHasALimit) {
    auto s = of({"abcdefgh;rest"});
    EXPECT_EQ(error_of([&] { s.read_through(";", 8); }), std::errc::message_size);
    EXPECT_EQ(s.read_through(";", 9), "abcdefgh;");
    EXPECT_NE(text_of([&] { s.read_through(";", 3); }).find("limit of 3 bytes"), std::string::npos);
    EXPECT_EQ(s.unread_text(), "rest");
}

TEST_F(IoBufferedStream, DelimitersAreFoundWhereverChunksEnd) {
    const std::string text = "aab|aaab|aaaaab|";
    for (std::size_t size = 1; size <= text.size(); ++size) {
        std::deque<std::string> chunks;
        for (std::size_t at = 0; at < text.size(); at += size) chunks.push_back(text.substr(at, size));
        auto s = of(chunks, {.read_buffer = 2});
        EXPECT_EQ(s.read_through("aab|"), "aab|") << size;
        EXPECT_EQ(s.read_through("aab|"), "aaab|") << size;
        EXPECT_EQ(s.read_through("aab|"), "aaaaab|") << size;
    }
}

TEST_F(IoBufferedStream, ReadToEnd) {
    const std::string sent = pattern(100000);
    auto s = of({sent.substr(0, 5), sent.substr(5)}, {.read_buffer = 100});
    EXPECT_EQ(error_of([&] { s.read_to_end(99999); }), std::errc::file_too_large);
    EXPECT_TRUE(s.read_to_end(100000) == sent);
    EXPECT_EQ(s.read_to_end(), "");
}

TEST_F(IoBufferedStream, AKillWhileReadingLosesNothing) {
    std::string into(10, '\0');
    const auto killed_in = [&](auto call) {
        auto reading = copse::spawn(call);
        copse::yield();
        peer.send_all("ab");
        let_it_arrive();
        EXPECT_FALSE(reading.ready());
        reading.kill();
        EXPECT_TRUE(reading.killed());
    };
    killed_in([&] { in.read_exactly(writable_bytes(into)); });
    killed_in([&] { in.read_line(); });
    killed_in([&] { in.read_through("||"); });
    killed_in([&] { in.peek(100); });
    killed_in([&] { in.read_to_end(); });
    EXPECT_EQ(in.unread_text(), "ababababab");
    EXPECT_EQ(exactly(in, 10), "ababababab");
}

TEST_F(IoBufferedStream, ATimeOutWhileReadingLosesNothing) {
    copse::virtual_time time;
    std::string large(40000, '\0');  // past the buffer
    peer.send_all("abc");
    EXPECT_THROW(in.read_exactly_for(writable_bytes(large), 1s), io::timed_out);
    EXPECT_THROW(in.read_exactly_until(writable_bytes(large), copse::clock::now() + 1s), io::timed_out);
    EXPECT_THROW(in.read_line_for(1s), io::timed_out);
    EXPECT_THROW(in.read_line_until(copse::clock::now() + 1s), io::timed_out);
    EXPECT_THROW(in.read_through_for("x", 1s), io::timed_out);
    EXPECT_THROW(in.read_to_end_for(1s), io::timed_out);
    EXPECT_THROW(in.peek_for(4, 1s), io::timed_out);
    {
        const copse::timeout scope(1s);
        EXPECT_THROW(in.read_line(), copse::timeout_expired);
    }
    EXPECT_EQ(time.elapsed(), 8s);
    EXPECT_EQ(in.unread_text(), "abc");
    peer.send_all("\n");
    EXPECT_EQ(in.read_line_for(1s), "abc");
    EXPECT_THROW(in.recv_for(writable_bytes(large), 1s), io::timed_out);
    EXPECT_THROW(in.recv_for(writable_bytes(large).first(1), 0s), io::timed_out);
}

TEST_F(IoBufferedStream, CloseByAnotherFiberWakesTheReader) {
    peer.send_all("half a line");
    auto reading = copse::spawn([&] { return error_of([&] { in.read_line(); }); });
    copse::yield();
    let_it_arrive();
    in.close();
    EXPECT_EQ(reading.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(in.unread_text(), "half a line");
    EXPECT_EQ(some(in, 4), "half") << "what is unread can still be taken";
}

TEST_F(IoBufferedStream, OneReaderAtATime) {
    auto reading = copse::spawn([&] { return std::string(in.read_line().value()); });
    copse::yield();
    std::string one(1, '\0');
    EXPECT_THROW(in.recv(writable_bytes(one)), copse::concurrent_use);
    EXPECT_THROW(in.consume(0), copse::concurrent_use);
    in.write("a writer is no reader");
    in.flush();
    peer.send_all("line\n");
    EXPECT_EQ(reading.get(), "line");
}

TEST_F(IoBufferedStream, APeerThatResetsIsAnErrorAndTheRestIsThere) {
    auto [client, server] = tcp_pair();
    io::buffered_stream s(std::move(client));
    server.send_all("rest");
    EXPECT_EQ(s.peek(4).size(), 4U);
    server.set_option(io::linger(0s));
    server.close();
    EXPECT_EQ(error_of([&] { s.read_line(); }), std::errc::connection_reset);
    EXPECT_EQ(s.unread_text(), "rest");
}

// ---- Writing

TEST_F(IoBufferedStream, SmallWritesLeaveTogether) {
    scripted_stream script;
    const auto record = script.log();
    io::buffered_stream s(std::move(script), {.write_buffer = 10});
    s.write("many");
    s.write(" small");
    EXPECT_EQ(s.kept_back(), 10U);
    EXPECT_TRUE(record->sent.empty());
    s.write(" trees");
    EXPECT_EQ(record->sent, std::vector<std::string>{"many small trees"});
    s.write("x");
    s.flush();
    s.write(pattern(1000));
    s.write("y");
    s.send_all({"z", "!"});
    EXPECT_EQ(record->sent, (std::vector<std::string>{"many small trees", "x", pattern(1000), "yz!"}));
    EXPECT_EQ(s.kept_back(), 0U);
}

TEST_F(IoBufferedStream, WithoutAWriteBufferEveryWriteIsSent) {
    scripted_stream script;
    const auto record = script.log();
    io::buffered_stream s(std::move(script), {.write_buffer = 0});
    s.write("a");
    s.write("b");
    EXPECT_EQ(record->sent, (std::vector<std::string>{"a", "b"}));
}

TEST_F(IoBufferedStream, ShutdownFlushes) {
    in.write("last words");
    in.shutdown(io::shut::write);
    EXPECT_EQ(recv_to_end(peer), "last words");
    peer.send_all("heard");
    EXPECT_EQ(exactly(in, 5), "heard");
}

TEST_F(IoBufferedStream, CloseDropsWhatWasKeptBack) {
    in.write("never sent");
    in.close();
    EXPECT_EQ(recv_to_end(peer), "");
    EXPECT_EQ(error_of([&] { in.write("x"); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { in.flush(); }), std::errc::bad_file_descriptor);
}

TEST_F(IoBufferedStream, AKillInAFlushEndsTheSendingHalf) {
    const std::string lot = pattern(1 << 22);
    auto writing = copse::spawn([&] { in.write(lot); });
    copse::yield();
    writing.kill();
    EXPECT_EQ(error_of([&] { in.write("x"); }), std::errc::state_not_recoverable);
    EXPECT_EQ(error_of([&] { in.flush(); }), std::errc::state_not_recoverable);
    EXPECT_NE(text_of([&] { in.flush(); }).find("flush"), std::string::npos);
    peer.send_all("line\n");
    EXPECT_EQ(in.read_line(), "line") << "reading goes on";
}

TEST_F(IoBufferedStream, ATimeOutInAFlushEndsTheSendingHalf) {
    copse::virtual_time time;
    const std::string lot = pattern(1 << 22);
    EXPECT_THROW(in.write_for(lot, 1s), io::timed_out);
    EXPECT_EQ(error_of([&] { in.flush_for(1s); }), std::errc::state_not_recoverable);
    EXPECT_EQ(error_of([&] { in.flush_until(copse::clock::now() + 1s); }), std::errc::state_not_recoverable);
    EXPECT_EQ(time.elapsed(), 1s);
}

TEST_F(IoBufferedStream, AKillBeforeAFlushBreaksNothing) {
    in.write("kept");
    auto flushing = copse::spawn([&] {
        try {
            copse::sleep(1h);
        } catch (const copse::greenlet_exit&) {
            in.write(" back");  // clean-up may write
            in.flush();
            throw;
        }
    });
    copse::yield();
    flushing.kill();
    EXPECT_EQ(recv_text(peer), "kept back");
    auto pending = copse::spawn([&] {
        copse::yield();
        in.write("x");
        in.flush();
    });
    copse::yield();
    pending.request_kill();
    pending.join();
    EXPECT_TRUE(pending.killed());
    in.write("whole");
    in.flush();
    EXPECT_EQ(recv_text(peer), "whole");
}

TEST_F(IoBufferedStream, OneWriterAtATime) {
    const std::string lot = pattern(1 << 22);
    auto writing = copse::spawn([&] { in.write(lot); });
    copse::yield();
    EXPECT_THROW(in.write("x"), copse::concurrent_use);
    EXPECT_THROW(in.flush(), copse::concurrent_use);
    std::string got;
    while (got.size() != lot.size()) got += recv_text(peer);
    writing.get();
    EXPECT_TRUE(got == lot);
    in.write("x");
    in.flush();
    EXPECT_EQ(recv_text(peer), "x");
}

// ---- Itself

TEST_F(IoBufferedStream, IsAStreamFromTheFirstUnreadByteOn) {
    auto s = of({"HTTP/1.1 101 Switching\r\n\r\nframes"});
    s.read_through("\r\n\r\n");
    io::any_stream on = std::move(s);
    std::string text(100, '\0');
    text.resize(on.recv(writable_bytes(text)));
    EXPECT_EQ(text, "frames");
}

TEST_F(IoBufferedStream, BadOptionsAndEmptyOnes) {
    EXPECT_THROW(of({}, {.read_buffer = 0}), std::invalid_argument);
    io::buffered_stream nothing;
    EXPECT_FALSE(nothing.is_open());
    EXPECT_EQ(error_of([&] { nothing.read_line(); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { nothing.write("x"); }), std::errc::bad_file_descriptor);
}

TEST_F(IoBufferedStream, ManyPiecesThroughASmallBuffer) {
    const std::string sent = pattern(300000);
    auto sending = copse::spawn([&] {
        peer.send_all(sent);
        peer.shutdown(io::shut::write);
    });
    io::buffered_stream s(std::ref(in), {.read_buffer = 7});
    std::string got;
    for (std::size_t n = 1; got.size() < 200000; n = n * 7 % 1009 + 1) got += exactly(s, n);
    got += s.read_to_end();
    EXPECT_TRUE(got == sent);
    sending.get();
}

TEST_F(IoBufferedStream, ShutdownWithinItsTime) {
    copse::virtual_time time;
    auto [a, b] = io::socketpair();
    while (a.try_send(pattern(64 << 10))) {}
    io::buffered_stream full(std::move(a));
    full.write("last words");
    EXPECT_THROW(full.shutdown_for(io::shut::write, 1s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 1s);
    in.write("last words");
    in.shutdown_until(io::shut::write, copse::clock::now() + 1s);
    EXPECT_EQ(recv_to_end(peer), "last words");
    EXPECT_EQ(time.elapsed(), 1s);
}

}  // namespace
