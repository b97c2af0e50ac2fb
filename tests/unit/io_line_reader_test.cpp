// Lines, wherever the chunks end.

#include "io_leak_check.hpp"
#include "scripted_stream.hpp"

#include <copse/virtual_time.hpp>

#include <algorithm>
#include <iterator>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoLineReader = io_leak_check;

std::vector<std::string> lines_of(std::deque<std::string> chunks, std::size_t most = 100) {
    std::vector<std::string> all;
    for (const std::string_view line : io::line_reader(scripted_stream(std::move(chunks)), most))
        all.emplace_back(line);
    return all;
}

using lines = std::vector<std::string>;

TEST_F(IoLineReader, EndsOfLines) {
    EXPECT_EQ(lines_of({"a\nb\r\n\n\r\nc\n"}), (lines{"a", "b", "", "", "c"}));
    EXPECT_EQ(lines_of({"a\rb\n\rc\r\r\n"}), (lines{"a\rb", "\rc\r"})) << "a carriage return alone ends nothing";
    EXPECT_EQ(lines_of({}), lines{});
    EXPECT_EQ(lines_of({"\n"}), lines{""});
}

TEST_F(IoLineReader, TheLastLineNeedsNoEnd) {
    EXPECT_EQ(lines_of({"a\nno end"}), (lines{"a", "no end"}));
    EXPECT_EQ(lines_of({"no end\r"}), lines{"no end\r"});
}

TEST_F(IoLineReader, NulsAreKept) {
    using namespace std::string_literals;
    EXPECT_EQ(lines_of({"a\0b\n\0"s}), (lines{"a\0b"s, "\0"s}));
}

TEST_F(IoLineReader, TheSameLinesWhereverChunksEnd) {
    const std::string text = "one\r\ntwo\n\nthree, and it is longer\r\n\r\nfour";
    const lines expected = lines_of({text});
    for (std::size_t size = 1; size < text.size(); ++size) {
        std::deque<std::string> chunks;
        for (std::size_t at = 0; at < text.size(); at += size) chunks.push_back(text.substr(at, size));
        EXPECT_EQ(lines_of(chunks), expected) << size;
    }
}

TEST_F(IoLineReader, TheLimitIsNamedAndNothingIsLost) {
    EXPECT_EQ(lines_of({"12345\n12345\r\n12345"}, 5), (lines{"12345", "12345", "12345"}));
    for (const char* text : {"123456\n", "123456\r\n", "123456", "123456 and no end in sight", "12345\r"}) {
        io::line_reader reader(scripted_stream({text}), 5);
        try {
            reader.next();
            ADD_FAILURE() << text;
        } catch (const io::transfer_error& e) {
            EXPECT_EQ(e.code(), std::errc::message_size);
            EXPECT_NE(std::string_view(e.what()).find("limit of 5 bytes"), std::string_view::npos) << e.what();
        }
        EXPECT_EQ(reader.below().unread_text(), text);
    }
}

TEST_F(IoLineReader, TheLimitHoldsByDefault) {
    EXPECT_EQ(lines_of({std::string(65536, 'x')}, io::buffered_stream::default_limit).size(), 1U);
    io::line_reader reader(scripted_stream({std::string(100000, 'x')}));
    EXPECT_EQ(error_of([&] { reader.next(); }), std::errc::message_size);
    EXPECT_LE(reader.below().unread().size(), 65536U + 2 * 65536U) << "what is too long is not gathered";
}

TEST_F(IoLineReader, LeavesWhatComesAfterToOthers) {
    io::buffered_stream s(scripted_stream({"Content-Length: 4\r\n\r\nbody"}));
    lines head;
    for (const std::string_view line : io::line_reader(s)) {
        if (line.empty()) break;
        head.emplace_back(line);
    }
    EXPECT_EQ(head, lines{"Content-Length: 4"});
    EXPECT_EQ(s.unread_text(), "body");
}

TEST_F(IoLineReader, IsAnInputRange) {
    static_assert(std::input_iterator<io::line_reader::iterator>);
    static_assert(std::sentinel_for<std::default_sentinel_t, io::line_reader::iterator>);
    io::line_reader reader(scripted_stream({"b\nc\n"}));
    EXPECT_TRUE(std::ranges::equal(reader, lines{"b", "c"}));
}

TEST_F(IoLineReader, KillsAndTimeOutsLoseNothing) {
    copse::virtual_time time;
    auto [a, b] = io::socketpair();
    auto& peer = b;
    io::line_reader reader(std::move(a));
    peer.send_all("half ");
    auto reading = copse::spawn([&] { reader.next(); });
    copse::yield();
    reading.kill();
    EXPECT_THROW(reader.next_for(1s), io::timed_out);
    EXPECT_THROW(reader.next_until(copse::clock::now() + 1s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 2s);
    peer.send_all("a line\n");
    EXPECT_EQ(reader.next(), "half a line");
}

TEST_F(IoLineReader, MayBeMoved) {
    io::line_reader first(scripted_stream({"a\nb\n"}));
    EXPECT_EQ(first.next(), "a");
    io::line_reader second = std::move(first);
    EXPECT_EQ(second.next(), "b");
    EXPECT_EQ(second.next(), std::nullopt);
}

}  // namespace
