// Files, by threads or by io_uring: what is opened, read and written, whole files. Waits are in io_file_wait_test.cpp.

#include "fork_at_rest.hpp"
#include "io_file_fixture.hpp"
#include "sanitizer.hpp"
#include "scripted_stream.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

using namespace copse_test;
namespace io = copse::io;
namespace fs = std::filesystem;

namespace {

using IoFile = engine_fixture;

INSTANTIATE_TEST_SUITE_P(, IoFile, testing::Values(io::disk_engine::threads, io::disk_engine::io_uring), engine_name);

// ---- Opening

TEST_P(IoFile, ReadsWhatWasWritten) {
    auto f = io::file::open(at("a"), {.read = true, .write = true, .create = true});
    EXPECT_TRUE(f.is_open());
    EXPECT_GE(f.native_handle(), 0);
    f.write_all("many small trees");
    EXPECT_EQ(f.position(), 16U);
    EXPECT_EQ(f.size(), 16U);
    f.seek(5);
    std::string text(5, '\0');
    EXPECT_EQ(f.read(writable_bytes(text)), 5U);
    EXPECT_EQ(text, "small");
    EXPECT_EQ(f.read_to_end(), " trees");
    EXPECT_EQ(f.read(writable_bytes(text)), 0U);
    f.sync();
    f.close();
    EXPECT_FALSE(f);
    EXPECT_EQ(f.native_handle(), -1);
    EXPECT_EQ(error_of([&] { f.read(writable_bytes(text)); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { f.write_all("x"); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { f.size(); }), std::errc::bad_file_descriptor);
    f.close();
}

TEST_P(IoFile, Options) {
    made("a", "12345");
    EXPECT_EQ(io::file::open(at("a")).read_to_end(), "12345");
    EXPECT_EQ(error_of([&] { io::file::open(at("a")).write_all("x"); }), std::errc::bad_file_descriptor);
    io::file::open(at("a"), {.write = true}).write_all("abc");
    EXPECT_EQ(io::read_file(at("a")), "abc45");
    io::file::open(at("a"), {.write = true, .truncate = true});
    EXPECT_EQ(io::read_file(at("a")), "");
    EXPECT_EQ(error_of([&] { io::file::open(at("a"), {.write = true, .exclusive = true}); }), std::errc::file_exists);
    io::file::open(at("b"), {.write = true, .exclusive = true, .permissions = 0600});
    struct stat about {};
    ::stat(at("b").c_str(), &about);
    EXPECT_EQ(about.st_mode & 0777, 0600U);
}

TEST_P(IoFile, AppendingIgnoresThePosition) {
    made("a", "one ");
    auto f = io::file::open(at("a"), {.read = true, .append = true});
    f.write_all("two ");
    f.write_all("three");
    EXPECT_EQ(f.position(), 0U);
    EXPECT_EQ(f.read_to_end(), "one two three");
    EXPECT_THROW(f.write_all_at(0, "x"), std::invalid_argument);
}

TEST_P(IoFile, ATemporaryFileLeavesNoName) {
    auto f = io::file::open(directory.string(), {.temporary = true});
    f.write_all("x");
    EXPECT_EQ(all_of(f), "x");
    EXPECT_TRUE(fs::is_empty(directory));
}

TEST_P(IoFile, WhatCannotBeOpened) {
    EXPECT_EQ(error_of([&] { io::file::open(at("none")); }), std::errc::no_such_file_or_directory);
    EXPECT_NE(text_of([&] { io::file::open(at("none")); }).find("open of " + at("none")), std::string::npos);
    EXPECT_EQ(error_of([&] { io::file::open(directory.string()); }), std::errc::is_a_directory);
    ::mkfifo(at("fifo").c_str(), 0600);
    EXPECT_EQ(error_of([&] { io::file::open(at("fifo")); }), std::errc::invalid_seek)
        << "and nobody waits for a writer";
    EXPECT_EQ(error_of([&] { io::read_file(at("fifo")); }), std::errc::invalid_seek);
    EXPECT_THROW(io::file::open(std::string("a\0b", 3)), std::invalid_argument);
    EXPECT_THROW(io::file::open(at("a"), {.create = true}), std::invalid_argument);
    EXPECT_THROW(io::file::open(at("a"), {.truncate = true}), std::invalid_argument);
    EXPECT_THROW(io::file::open(at("a"), {.append = true, .temporary = true}), std::invalid_argument);
}

TEST_P(IoFile, AdoptsDescriptors) {
    const int fd = ::memfd_create("memory", MFD_CLOEXEC);
    EXPECT_EQ(::write(fd, "abcdef", 6), 6);
    ::lseek(fd, 2, SEEK_SET);
    auto f = io::file::adopt(fd);
    EXPECT_EQ(f.read_to_end(), "cdef");
    EXPECT_EQ(error_of([] { io::file::adopt(-1); }), std::errc::bad_file_descriptor);
    auto [reader, writer] = io::pipe();
    EXPECT_EQ(error_of([&w = writer] { io::file::adopt(w.native_handle()); }), std::errc::invalid_seek);
}

TEST_P(IoFile, MayBeMoved) {
    auto f = made("a", "x");
    io::file g = std::move(f);
    EXPECT_FALSE(f.is_open());
    EXPECT_EQ(all_of(g), "x");
    g = made("b", "y");
    EXPECT_EQ(all_of(g), "y");
}

// ---- Reading and writing

TEST_P(IoFile, Offsets) {
    auto f = made("a", "0123456789");
    std::string two(2, '\0');
    EXPECT_EQ(f.read_at(4, writable_bytes(two)), 2U);
    EXPECT_EQ(two, "45");
    EXPECT_EQ(f.read_at(9, writable_bytes(two)), 1U);
    EXPECT_EQ(f.read_at(10, writable_bytes(two)), 0U);
    f.write_all_at(12, "ab");
    EXPECT_EQ(all_of(f), std::string("0123456789\0\0ab", 14));
    EXPECT_EQ(f.position(), 0U);
    f.truncate(3);
    EXPECT_EQ(all_of(f), "012");
    constexpr std::uint64_t beyond = std::uint64_t{1} << 63;
    EXPECT_THROW(f.read_at(beyond, writable_bytes(two)), std::invalid_argument);
    EXPECT_THROW(f.read_at(beyond - 1, writable_bytes(two)), std::invalid_argument);
    EXPECT_THROW(f.write_all_at(beyond, two), std::invalid_argument);
    EXPECT_THROW(f.seek(beyond), std::invalid_argument);
    EXPECT_THROW(f.truncate(beyond), std::invalid_argument);
}

TEST_P(IoFile, ReadExactlyTakesAllOrNothing) {
    auto f = made("a", "abcde");
    std::string text(3, '\0');
    EXPECT_EQ(f.read_exactly(writable_bytes(text)), 3U);
    EXPECT_EQ(text, "abc");
    EXPECT_EQ(error_of([&] { f.read_exactly(writable_bytes(text)); }), std::errc::connection_aborted);
    EXPECT_EQ(f.position(), 3U);
    f.seek(5);
    EXPECT_EQ(f.read_exactly(writable_bytes(text)), 0U);
}

TEST_P(IoFile, LargeOnesGoInPieces) {
    const std::string lot = pattern(3 * 1024 * 1024 + 17);
    auto f = made("a", "");
    f.write_all(lot);
    f.seek(0);
    EXPECT_TRUE(f.read_to_end() == lot);
    std::string got(lot.size() + 5, '\0');
    EXPECT_EQ(f.read_at(0, writable_bytes(got)), lot.size());
    got.resize(lot.size());
    EXPECT_TRUE(got == lot);
    f.seek(0);
    EXPECT_EQ(error_of([&] { f.read_to_end(lot.size() - 1); }), std::errc::file_too_large);
    EXPECT_EQ(f.position(), 0U);
}

TEST_P(IoFile, ShortCountsAndInterruptions) {
    shaky_disk();
    const std::string lot = pattern(50000);
    auto f = made("a", "");
    f.write_all(lot);
    f.seek(0);
    EXPECT_TRUE(f.read_to_end() == lot);
    io::write_file(at("b"), lot, {.atomic = true});
    EXPECT_TRUE(io::read_file(at("b")) == lot);
}

TEST_P(IoFile, AFullDiskTellsHowMuchWasWritten) {
    full_disk(7);
    auto f = io::file::open(at("a"), {.write = true, .create = true});
    try {
        f.write_all("many small trees");
        FAIL();
    } catch (const io::transfer_error& e) {
        EXPECT_EQ(e.code(), std::errc::no_space_on_device);
        EXPECT_EQ(e.transferred(), 7U);
    }
    EXPECT_EQ(error_of([&] { f.write_all("x"); }), std::errc::no_space_on_device);
}

TEST_P(IoFile, ErrorsOfTheDisk) {
    auto f = made("a", "abc");
    broken_disk();
    EXPECT_EQ(error_of([&] { f.read_to_end(); }), std::errc::io_error);
    EXPECT_EQ(error_of([&] { f.sync(); }), std::errc::io_error);
    EXPECT_NE(text_of([&] { f.sync(); }).find("sync of " + at("a")), std::string::npos);
    EXPECT_EQ(error_of([&] { io::read_file(at("a")); }), std::errc::io_error);
}

// ---- Whole files

TEST_P(IoFile, WholeFiles) {
    const std::string lot = pattern(300000);
    io::write_file(at("a"), lot);
    EXPECT_TRUE(io::read_file(at("a")) == lot);
    EXPECT_TRUE(io::read_file(at("a"), 300000) == lot);
    EXPECT_EQ(error_of([&] { io::read_file(at("a"), 299999); }), std::errc::file_too_large);
    io::write_file(at("a"), "short", {.sync = true});
    EXPECT_EQ(io::read_file(at("a")), "short");
    io::write_file(at("empty"), "");
    EXPECT_EQ(io::read_file(at("empty")), "");
    EXPECT_FALSE(io::read_file("/proc/self/status").empty()) << "of which the size is 0";
    EXPECT_EQ(error_of([&] { io::read_file(at("none")); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(error_of([&] { io::write_file(at("none/a"), "x"); }), std::errc::no_such_file_or_directory);
    EXPECT_THROW(io::read_file(std::string("a\0b", 3)), std::invalid_argument);
}

TEST_P(IoFile, AtomicReplacement) {
    io::write_file(at("a"), "old", {.permissions = 0640});
    ::chmod(at("a").c_str(), 0604);
    const auto old = io::file::open(at("a"));
    io::write_file(at("a"), "new", {.atomic = true, .sync = true});
    EXPECT_EQ(io::read_file(at("a")), "new");
    std::string text(3, '\0');
    ::pread(old.native_handle(), text.data(), 3, 0);
    EXPECT_EQ(text, "old") << "who has it open goes on with the old one";
    struct stat about {};
    ::stat(at("a").c_str(), &about);
    EXPECT_EQ(about.st_mode & 0777, 0604U);
    EXPECT_EQ(std::distance(fs::directory_iterator(directory), {}), 1);
}

/// What is no regular file is not replaced by one, and an owner stays it.
TEST_P(IoFile, AnAtomicReplacementIsOfAFileByItsOwner) {
    ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
    EXPECT_EQ(error_of([&] { io::write_file(at("fifo"), "x", {.atomic = true}); }), std::errc::invalid_seek);
    EXPECT_NE(text_of([&] { io::write_file(at("fifo"), "x"); }).find("pipe_writer"), std::string::npos);
    struct stat about {};
    ::stat(at("fifo").c_str(), &about);
    EXPECT_TRUE(S_ISFIFO(about.st_mode));
    io::write_file(at("a"), "old");
    if (::chown(at("a").c_str(), 1234, 1234) != 0) return;  // who is not root cannot give it away
    io::write_file(at("a"), "new", {.atomic = true});
    ::stat(at("a").c_str(), &about);
    EXPECT_EQ(about.st_uid, 1234U);
    EXPECT_EQ(about.st_gid, 1234U);
}

TEST_P(IoFile, AnAtomicReplacementThatFailsChangesNothing) {
    io::write_file(at("a"), "old");
    full_disk(2);
    EXPECT_EQ(error_of([&] { io::write_file(at("a"), "new", {.atomic = true}); }), std::errc::no_space_on_device);
    healthy_disk();
    broken_disk();
    EXPECT_EQ(error_of([&] { io::write_file(at("a"), "new", {.atomic = true}); }), std::errc::io_error);
    EXPECT_EQ(error_of([&] { io::write_file(directory.string(), "x", {.atomic = true}); }), std::errc::is_a_directory);
    healthy_disk();
    EXPECT_EQ(io::read_file(at("a")), "old");
    EXPECT_EQ(std::distance(fs::directory_iterator(directory), {}), 1);
}

// ---- With the others

TEST_P(IoFile, IsCopiedFromAndTo) {
    const std::string lot = pattern(200000);
    auto from = made("a", lot);
    auto to = made("b", "");
    EXPECT_EQ(io::copy(from, to), 200000U);
    EXPECT_TRUE(io::read_file(at("b")) == lot);
}

TEST_P(IoFile, IsAStream) {
    io::buffered_stream out(made("a", ""));
    out.write("one\n");
    out.send_all({"two\n", "three"});
    out.shutdown(io::shut::write);
    std::string all;
    for (const std::string_view line : io::line_reader(io::file::open(at("a")))) all.append(line) += '.';
    EXPECT_EQ(all, "one.two.three.");
}

TEST_P(IoFile, AfterForkTheChildHasADiskOfItsOwn) {
    if (copse_test::thread_sanitized) GTEST_SKIP() << "ThreadSanitizer dies when a child makes threads";
    auto f = made("a", "abc");
    EXPECT_EQ(all_of(f), "abc");
    const pid_t child = fork_at_rest();
    if (child == 0) ::_exit(all_of(f) == "abc" && io::read_file(at("a")) == "abc" ? 0 : 1);
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST_P(IoFile, ManyAtOnce) {
    std::vector<copse::fiber<bool>> all;
    for (unsigned i = 0; i < 200; ++i) {
        all.push_back(copse::spawn([&, i] {
            const std::string name = at(("f" + std::to_string(i)).c_str());
            io::write_file(name, pattern(1000 + i, i));
            return io::read_file(name) == pattern(1000 + i, i);
        }));
    }
    for (auto& each : all) EXPECT_TRUE(each.get());
}

}  // namespace
