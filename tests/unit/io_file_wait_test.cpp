// Files while the disk is slow: who goes first, when time is up, what a kill or a close leaves behind. FD06.

#include "io_file_fixture.hpp"
#include "scripted_stream.hpp"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace fs = std::filesystem;

namespace {

using IoFile = engine_fixture;

// ---- Several fibers

TEST_P(IoFile, Fault_FD06_OthersRunWhileTheDiskIsSlow) {
    auto f = made("a", "abc");
    slow_disk({kind::read});
    auto reading = copse::spawn([&] { return f.read_to_end(); });
    reached(1);
    for (int i = 0; i < 100; ++i) copse::yield();
    EXPECT_FALSE(reading.ready());
    gate.set(true);
    EXPECT_EQ(reading.get(), "abc");
}

TEST_P(IoFile, ThoseWhoUseThePositionComeOneAfterTheOther) {
    auto f = made("a", "");
    std::vector<copse::fiber<void>> writers;
    for (char c = 'a'; c < 'k'; ++c) writers.push_back(copse::spawn([&f, c] { f.write_all(std::string(1100000, c)); }));
    copse::join_all(writers);
    f.seek(0);
    const std::string all = f.read_to_end();
    ASSERT_EQ(all.size(), 11000000U);
    for (std::size_t i = 0; i < 10; ++i)
        EXPECT_TRUE(all.substr(i * 1100000, 1100000) == std::string(1100000, static_cast<char>('a' + i))) << i;
}

TEST_P(IoFile, ThoseWhoNameAnOffsetRunSideBySide) {
    auto f = made("a", "abcd");
    slow_disk({kind::read});
    std::vector<copse::fiber<std::string>> readers;
    for (unsigned i = 0; i < 4; ++i) {
        readers.push_back(copse::spawn([&f, i] {
            std::string one(1, '\0');
            f.read_at(i, writable_bytes(one));
            return one;
        }));
    }
    reached(4);
    EXPECT_EQ(begun, 4);
    gate.set(true);
    std::string all;
    for (auto& r : readers) all += r.get();
    EXPECT_EQ(all, "abcd");
}

TEST_P(IoFile, SeekIsRefusedWhileAFiberIsAtThePosition) {
    auto f = made("a", "abc");
    slow_disk({kind::read});
    auto reading = copse::spawn([&] { return f.read_to_end(); });
    reached(1);
    EXPECT_THROW(f.seek(0), copse::concurrent_use);
    gate.set(true);
    reading.get();
    f.seek(0);
}

// ---- Kills, time-outs, closing

TEST_P(IoFile, AKilledReaderLeavesTheCallBehind) {
    auto f = made("a", "abcdef");
    const std::size_t descriptors = open_descriptors();
    slow_disk({kind::read});
    auto reading = copse::spawn([&] {
        std::string gone_with_the_fiber(6, '\0');
        f.read(writable_bytes(gone_with_the_fiber));
    });
    reached(1);
    reading.kill();  // returns though the disk has not answered
    EXPECT_TRUE(reading.killed());
    EXPECT_EQ(f.position(), 0U);
    gate.set(true);
    std::string text(3, '\0');
    EXPECT_EQ(f.read(writable_bytes(text)), 3U);
    EXPECT_EQ(text, "abc") << "nothing was taken";
    f.close();
    until_idle();
    EXPECT_EQ(open_descriptors(), descriptors - 1);
}

TEST_P(IoFile, AKilledWriterIsWrittenNevertheless) {
    auto f = made("a", "......");
    slow_disk({kind::write});
    auto writing = copse::spawn([&] {
        std::string gone_with_the_fiber = "abc";
        f.write_all(gone_with_the_fiber);
    });
    reached(1);
    writing.kill();
    EXPECT_EQ(f.position(), 0U);
    EXPECT_EQ(all_of(f), "......");
    until_idle();
    EXPECT_EQ(all_of(f), "abc...");
}

TEST_P(IoFile, ACallThatHasNotBegunNeverDoes) {
    auto f = made("a", "......");
    slow_disk({kind::read});
    std::vector<copse::fiber<void>> busy;
    for (int i = 0; i < at_once(); ++i) {
        busy.push_back(copse::spawn([&] {
            std::string one(1, '\0');
            f.read_at(0, writable_bytes(one));
        }));
    }
    reached(at_once());
    auto writing = copse::spawn([&] { f.write_all_at(0, "abc"); });
    copse::yield();
    writing.kill();
    gate.set(true);
    copse::join_all(busy);
    EXPECT_EQ(all_of(f), "......");
}

TEST_P(IoFile, TimeOuts) {
    auto f = made("a", "abc");
    slow_disk({kind::read, kind::write, kind::sync});
    std::string text(3, '\0');
    const auto into = writable_bytes(text);
    EXPECT_THROW(f.read_for(into, 1ms), io::timed_out);
    EXPECT_THROW(f.read_exactly_for(into, 1ms), io::timed_out);
    EXPECT_THROW(f.read_at_for(0, into, 1ms), io::timed_out);
    EXPECT_THROW(f.read_at_until(0, into, copse::clock::now()), io::timed_out);
    EXPECT_THROW(f.write_all_for("x", 1ms), io::timed_out);
    EXPECT_THROW(f.write_all_at_for(0, "x", 1ms), io::timed_out);
    EXPECT_THROW(f.sync_for(1ms), io::timed_out);
    EXPECT_NE(text_of([&] { f.sync_for(1ms); }).find("sync of " + at("a")), std::string::npos);
    EXPECT_FALSE(copse::with_timeout(
        1ms, [&] { f.read_to_end(); }, copse::silent));
    gate.set(true);
    EXPECT_EQ(f.position(), 0U);
    EXPECT_EQ(f.read_for(into, 10s), 3U);
    EXPECT_EQ(text.substr(1), "bc") << "the first may be what a writer left behind wrote";
}

TEST_P(IoFile, TimeOutsOfWhatThreadsAlwaysDo) {
    auto f = made("a", "abc");
    const busy_threads all;
    const auto past = copse::clock::now();
    EXPECT_THROW(io::file::open_for(at("a"), 1ms), io::timed_out);
    EXPECT_THROW(io::file::open_until(at("b"), past, {.write = true, .create = true}), io::timed_out);
    EXPECT_THROW(f.size_for(1ms), io::timed_out);
    EXPECT_THROW(f.size_until(past), io::timed_out);
    EXPECT_THROW(f.truncate_for(1, 1ms), io::timed_out);
    EXPECT_THROW(f.truncate_until(1, past), io::timed_out);
    EXPECT_THROW(io::read_file_for(at("a"), 1ms), io::timed_out);
    EXPECT_THROW(io::read_file_until(at("a"), past), io::timed_out);
    EXPECT_THROW(io::write_file_for(at("a"), "x", 1ms), io::timed_out);
    EXPECT_THROW(io::write_file_until(at("a"), "x", past, {.atomic = true}), io::timed_out);
    EXPECT_NE(text_of([&] { f.truncate_for(1, 1ms); }).find("truncate of " + at("a")), std::string::npos);
    until_idle();
    EXPECT_EQ(io::read_file(at("a")), "abc") << "what had not begun never does";
    EXPECT_FALSE(fs::exists(at("b")));
}

TEST_P(IoFile, TimedFormsThatAreInTime) {
    io::write_file_for(at("a"), "abcdef", 10s);
    auto f = io::file::open_for(at("a"), 10s, {.read = true, .write = true});
    const auto later = copse::clock::now() + 10s;
    EXPECT_EQ(f.size_for(10s), 6U);
    f.truncate_until(5, later);
    EXPECT_EQ(f.size_until(later), 5U);
    f.truncate_for(4, 10s);
    EXPECT_EQ(f.read_to_end_for(10s), "abcd");
    f.seek(0);
    EXPECT_EQ(f.read_to_end_until(later), "abcd");
    f.seek(0);
    EXPECT_EQ(error_of([&] { f.read_to_end_for(10s, 3); }), std::errc::file_too_large);
    io::write_file_until(at("a"), "xyz", later, {.atomic = true});
    EXPECT_EQ(io::read_file_for(at("a"), 10s), "xyz");
    EXPECT_EQ(io::read_file_until(at("a"), later), "xyz");
    EXPECT_EQ(error_of([&] { io::read_file_for(at("a"), 10s, 2); }), std::errc::file_too_large);
    io::file::open_until(at("b"), later, {.write = true, .create = true});
    EXPECT_TRUE(fs::exists(at("b")));
}

TEST_P(IoFile, ATimeOutOfAReadToTheEnd) {
    auto f = made("a", "abc");
    slow_disk({kind::read});
    EXPECT_THROW(f.read_to_end_for(1ms), io::timed_out);
    EXPECT_THROW(f.read_to_end_until(copse::clock::now()), io::timed_out);
    auto reading = copse::spawn([&] { return f.read_to_end(); });
    copse::yield();
    EXPECT_NE(text_of([&] { f.read_to_end_for(1ms); }).find("before its turn came"), std::string::npos);
    gate.set(true);
    EXPECT_EQ(reading.get(), "abc") << "the position is where it was";
}

TEST_P(IoFile, ATimeOutWhileWaitingForItsTurn) {
    auto f = made("a", "abc");
    slow_disk({kind::read});
    auto reading = copse::spawn([&] { return f.read_to_end(); });
    reached(1);
    std::string text(3, '\0');
    EXPECT_THROW(f.read_for(writable_bytes(text), 1ms), io::timed_out);
    gate.set(true);
    EXPECT_EQ(reading.get(), "abc");
}

TEST_P(IoFile, CloseLetsRunningCallsEnd) {
    auto f = made("a", "abc");
    const std::size_t descriptors = open_descriptors();
    slow_disk({kind::read});
    auto reading = copse::spawn([&] { return f.read_to_end(); });
    reached(1);
    auto behind = copse::spawn([&] { return error_of([&] { f.read_to_end(); }); });
    copse::yield();
    f.close();
    EXPECT_FALSE(f.is_open());
    EXPECT_EQ(open_descriptors(), descriptors) << "the number cannot become another's";
    gate.set(true);
    EXPECT_EQ(reading.get(), "abc");
    EXPECT_EQ(behind.get(), std::errc::bad_file_descriptor);
    until_idle();
    EXPECT_EQ(open_descriptors(), descriptors - 1);
}

TEST_P(IoFile, AnOpenThatIsKilledLeavesNoDescriptor) {
    io::write_file(at("a"), "x");
    const std::size_t descriptors = open_descriptors();
    for (int i = 0; i < 50; ++i) {
        auto opening = copse::spawn([&] { return io::file::open(at("a")); });
        copse::yield();
        opening.kill();
    }
    until_idle();
    EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
