// Terminals and FIFOs, whose other end comes late or goes early: FD16, FD17. FD14 is in unit/io_pipe_test.cpp.

#include "io_leak_check.hpp"

#include <copse/virtual_time.hpp>

#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

std::string read_text(io::pipe_reader& from) {
    std::array<char, 100> text{};
    const std::size_t n = from.read(std::as_writable_bytes(std::span(text)));
    return {text.data(), n};
}

/// A FIFO in a folder of its own.
class IoFifo : public io_leak_check {
protected:
    IoFifo() {
        char name[] = "/tmp/copse-fifo-XXXXXX";
        folder_ = ::mkdtemp(name);
        path = folder_ + "/fifo";
        EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    }
    ~IoFifo() override { std::filesystem::remove_all(folder_); }

    std::string path;

private:
    std::string folder_;
};

class IoTerminal : public io_leak_check {
protected:
    IoTerminal() { EXPECT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0); }

    int master = -1;
    int slave = -1;
};

// ---- FD16

TEST_F(IoTerminal, Fault_FD16_TheEndOfTheOtherSideIsTheEnd) {
    auto screen = io::pipe_reader::adopt(master);
    EXPECT_EQ(::write(slave, "last", 4), 4);
    EXPECT_EQ(read_text(screen), "last");
    auto reading = copse::spawn([&] { return read_text(screen); });
    copse::yield();
    EXPECT_FALSE(reading.ready()) << "the other side is open";
    ::close(slave);
    EXPECT_EQ(reading.get(), "");
    EXPECT_EQ(screen.read_to_end(), "") << "again";
}

TEST_F(IoTerminal, Fault_FD16_OfABorrowedOneToo) {
    auto screen = io::pipe_reader::borrow(master);
    ::close(slave);
    EXPECT_EQ(screen.read_to_end(), "");
    ::close(master);
}

TEST_F(IoTerminal, Fault_FD16_ItGoesOnWhenSomebodyComesBack) {
    auto screen = io::pipe_reader::adopt(master);
    std::array<char, 64> name{};
    ASSERT_EQ(::ttyname_r(slave, name.data(), name.size()), 0);
    ::close(slave);
    EXPECT_EQ(read_text(screen), "");
    slave = ::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    EXPECT_EQ(::write(slave, "back", 4), 4);
    EXPECT_EQ(read_text(screen), "back");
    ::close(slave);
}

// ---- FD17

TEST_F(IoFifo, Fault_FD17_AReaderWaitsForTheFirstWriter) {
    auto reader = io::pipe_reader::open(path);
    auto reading = copse::spawn([&] { return reader.read_to_end(); });
    copse::yield();
    EXPECT_FALSE(reading.ready()) << "nobody was there yet: that is no end";
    io::pipe_writer::open(path).write_all("many small trees");
    EXPECT_EQ(reading.get(), "many small trees");

    auto asking = io::pipe_reader::open(path);
    std::array<std::byte, 10> buffer{};
    EXPECT_EQ(asking.try_read(buffer), std::nullopt);
    io::pipe_writer::open(path).write_all("trees");
    EXPECT_EQ(asking.try_read(buffer), 5U);
    EXPECT_EQ(asking.try_read(buffer), 0U);
}

TEST_F(IoFifo, Fault_FD17_AWriterWhoSaysNothingIsTheEnd) {
    auto reader = io::pipe_reader::open(path);
    auto reading = copse::spawn([&] { return reader.read_to_end(); });
    copse::yield();
    io::pipe_writer::open(path).close();
    EXPECT_EQ(reading.get(), "");
}

TEST_F(IoFifo, Fault_FD17_AWriterWaitsForAReaderAndOthersRun) {
    auto writing = copse::spawn([&] { io::pipe_writer::open(path).write_all("hello"); });
    copse::yield();
    EXPECT_FALSE(writing.ready());
    auto reader = io::pipe_reader::open(path);
    EXPECT_EQ(reader.read_to_end(), "hello");
    writing.get();
}

/// `cat fifo`, say: the kernel keeps it in open(2) until a writer comes.
TEST_F(IoFifo, Fault_FD17_AReaderThatBlocksIsFound) {
    std::string read;
    std::thread blocking([&] {
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        std::array<char, 10> text{};
        for (ssize_t n = 0; (n = ::read(fd, text.data(), text.size())) > 0;)
            read.append(text.data(), static_cast<std::size_t>(n));
        ::close(fd);
    });
    io::pipe_writer::open(path).write_all("found");
    blocking.join();
    EXPECT_EQ(read, "found");
}

TEST_F(IoFifo, Fault_FD17_NobodyReadsForTooLong) {
    copse::virtual_time time;
    EXPECT_EQ(text_of([&] { io::pipe_writer::open_for(path, 10s); }),
              "open of " + path + ", which nobody has open for reading: " + std::strerror(ETIMEDOUT));
    EXPECT_EQ(time.elapsed(), 10s);
    auto killed = copse::spawn([&] { io::pipe_writer::open(path); });
    copse::sleep(10s);
    killed.kill();
    EXPECT_EQ(time.elapsed(), 20s);
}

TEST_F(IoFifo, Fault_FD17_WhatIsNoFifoIsRefused) {
    EXPECT_EQ(error_of([] { io::pipe_reader::open("/dev/null"); }), std::errc::invalid_argument);
    EXPECT_EQ(error_of([] { io::pipe_writer::open("/dev/null"); }), std::errc::invalid_argument);
    EXPECT_EQ(error_of([&] { io::pipe_reader::open(path + "/x"); }), std::errc::not_a_directory);
    EXPECT_EQ(error_of([&] { io::pipe_writer::open(path + "2"); }), std::errc::no_such_file_or_directory);
    EXPECT_THROW(io::pipe_reader::open(std::string("a\0b", 3)), std::invalid_argument);
}

}  // namespace
