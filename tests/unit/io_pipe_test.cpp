// Pipes: reading, writing, ends of streams, and descriptors that are borrowed.

#include "exceptions.hpp"
#include "io_leak_check.hpp"

#include <copse/virtual_time.hpp>

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <limits>
#include <thread>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

std::string read_text(io::pipe_reader& from, std::size_t most = 64 * 1024) {
    std::string text(most, '\0');
    text.resize(from.read(std::as_writable_bytes(std::span(text))));
    return text;
}

std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

/// The capacity is that of the kernel, all of it used.
void fill(io::pipe_writer& w) {
    const std::string block(4096, 'x');
    while (w.try_write(block)) {}
}

/// Both numbers, blocking, as others would share them.
struct shared_pipe {
    shared_pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
    shared_pipe(const shared_pipe&) = delete;
    shared_pipe& operator=(const shared_pipe&) = delete;
    ~shared_pipe() {
        for (const int fd : ends) {
            io::notify_closing(fd);
            ::close(fd);
        }
    }
    void close_writer() {
        ::close(ends[1]);
        ends[1] = ::fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
    }
    int ends[2];
};

bool is_nonblocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

using IoPipe = io_leak_check;

TEST_F(IoPipe, IsNoFile) {
    auto [reader, writer] = io::pipe();
    const int fd = reader.native_handle();
    EXPECT_EQ(text_of([&] { io::file::adopt(fd); }),
              "adopt of fd " + std::to_string(fd) +
                  ", a pipe, terminal or socket: pipe_reader, pipe_writer and socket are for those: Illegal seek");
}

TEST_F(IoPipe, ReaderParksUntilThereIsSomething) {
    auto [reader, writer] = io::pipe();
    auto& r = reader;
    auto reading = copse::spawn([&r] { return read_text(r); });
    copse::yield();
    EXPECT_EQ(copse::hub::current().stats().watching, 1U);
    EXPECT_EQ(writer.write("many small trees"), 16U);
    EXPECT_EQ(reading.get(), "many small trees");
}

TEST_F(IoPipe, WriterParksWhileItIsFull) {
    auto [reader, writer] = io::pipe();
    auto& w = writer;
    const std::string sent = pattern(1 << 20);
    auto writing = copse::spawn([&] {
        w.write_all(sent);
        w.close();
    });
    copse::yield();
    EXPECT_FALSE(writing.ready());
    EXPECT_TRUE(reader.read_to_end() == sent);
    writing.get();
}

TEST_F(IoPipe, EndOfStream) {
    auto [reader, writer] = io::pipe();
    writer.write_all("abc");
    writer.close();
    std::string buffer(2, '\0');
    EXPECT_EQ(reader.read_exactly(bytes_of(buffer)), 2U);
    EXPECT_EQ(buffer, "ab");
    EXPECT_EQ(read_text(reader), "c");
    EXPECT_EQ(read_text(reader), "");
    EXPECT_TRUE(reader.read_pooled().empty());
    EXPECT_EQ(reader.read_exactly(bytes_of(buffer)), 0U);
    EXPECT_EQ(reader.try_read(bytes_of(buffer)), 0U);
}

TEST_F(IoPipe, EndInTheMiddleTellsHowMuchWasRead) {
    auto [reader, writer] = io::pipe();
    writer.write_all("abc");
    writer.close();
    std::string buffer(5, '\0');
    try {
        reader.read_exactly(bytes_of(buffer));
        FAIL();
    } catch (const io::transfer_error& e) {
        EXPECT_EQ(e.code(), std::errc::connection_aborted);
        EXPECT_EQ(e.transferred(), 3U);
    }
}

TEST_F(IoPipe, TryNeverParks) {
    auto [reader, writer] = io::pipe();
    std::string buffer(8, '\0');
    EXPECT_EQ(reader.try_read(bytes_of(buffer)), std::nullopt);
    EXPECT_EQ(writer.try_write("ab"), 2U);
    EXPECT_EQ(reader.try_read(bytes_of(buffer)), 2U);
    fill(writer);
    EXPECT_EQ(writer.try_write("ab"), std::nullopt);
}

TEST_F(IoPipe, ReadToEndHasALimit) {
    auto [reader, writer] = io::pipe();
    writer.write_all("abcdef");
    writer.close();
    EXPECT_EQ(error_of([&r = reader] { r.read_to_end(5); }), std::errc::file_too_large);
}

// NT03: EPIPE, and nobody gets SIGPIPE, whatever is done with it.
TEST_F(IoPipe, Fault_NT03_NobodyReadsIsEpipeWithoutASignal) {
    for (const auto disposition : {SIG_DFL, SIG_IGN}) {
        const auto before = ::signal(SIGPIPE, disposition);
        auto [reader, writer] = io::pipe();
        reader.close();
        EXPECT_EQ(error_of([&w = writer] { w.write("x"); }), std::errc::broken_pipe);
        EXPECT_EQ(error_of([&w = writer] { w.write_all("x"); }), std::errc::broken_pipe);
        sigset_t set;
        ::sigpending(&set);
        EXPECT_FALSE(sigismember(&set, SIGPIPE));
        ::pthread_sigmask(SIG_BLOCK, nullptr, &set);
        EXPECT_FALSE(sigismember(&set, SIGPIPE));
        EXPECT_EQ(::signal(SIGPIPE, before), disposition);
    }
}

TEST_F(IoPipe, Fault_NT03_ASigpipeThatWasPendingStaysPending) {
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
    ::raise(SIGPIPE);
    auto [reader, writer] = io::pipe();
    reader.close();
    EXPECT_EQ(error_of([&w = writer] { w.write("x"); }), std::errc::broken_pipe);
    ::sigpending(&pending);
    EXPECT_TRUE(sigismember(&pending, SIGPIPE));
    int taken = 0;
    ::sigwait(&pipe, &taken);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    EXPECT_EQ(taken, SIGPIPE);
}

TEST_F(IoPipe, AWaitingWriterSeesThatNobodyReads) {
    auto [reader, writer] = io::pipe();
    auto& w = writer;
    fill(w);
    auto writing = copse::spawn([&] { return error_of([&] { w.write_all("x"); }); });
    copse::yield();
    reader.close();
    EXPECT_EQ(writing.get(), std::errc::broken_pipe);
}

TEST_F(IoPipe, TimeIsUp) {
    copse::virtual_time time;
    auto [reader, writer] = io::pipe();
    auto& r = reader;
    auto& w = writer;
    std::string buffer(8, '\0');
    EXPECT_THROW(r.read_for(bytes_of(buffer), 1h), io::timed_out);
    EXPECT_THROW(r.read_until(bytes_of(buffer), copse::clock::now() + 1h), io::timed_out);
    EXPECT_THROW(r.read_pooled_for(1h), io::timed_out);
    EXPECT_EQ(time.elapsed(), 3h);
    EXPECT_THROW(r.read_for(bytes_of(buffer), 0s), io::timed_out);
    EXPECT_THROW(r.read_for(bytes_of(buffer), -1s), io::timed_out);
    EXPECT_THROW(r.read_for(bytes_of(buffer), std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())),
                 copse::invalid_duration);
    w.write("abc");
    try {
        r.read_exactly_for(bytes_of(buffer), 1h);
        FAIL();
    } catch (const io::timed_out& e) {
        EXPECT_EQ(e.transferred(), 3U);
    }
    fill(w);
    EXPECT_THROW(w.write_for("x", 1h), io::timed_out);
    EXPECT_THROW(w.write_all_for("x", 1h), io::timed_out);
    EXPECT_EQ(time.elapsed(), 6h);
}

TEST_F(IoPipe, KilledTakesNothing) {
    auto [reader, writer] = io::pipe();
    auto& r = reader;
    auto reading = copse::spawn([&r] { read_text(r); });
    copse::yield();
    reading.kill();
    writer.write("abc");
    EXPECT_EQ(read_text(r), "abc");
}

TEST_F(IoPipe, KillAndDataAtOnceLoseNothing) {
    auto [reader, writer] = io::pipe();
    auto& r = reader;
    std::string got;
    auto reading = copse::spawn([&] { got = read_text(r); });
    copse::yield();
    writer.write("abc");
    writer.close();
    copse::hub::current().driver().poll();  // the wait is satisfied
    reading.kill();
    got += r.read_to_end();
    EXPECT_EQ(got, "abc");
}

TEST_F(IoPipe, CloseWakesWithEbadf) {
    auto [reader, writer] = io::pipe();
    auto& r = reader;
    auto reading = copse::spawn([&r] { return error_of([&] { read_text(r); }); });
    copse::yield();
    r.close();
    EXPECT_EQ(reading.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { read_text(r); }), std::errc::bad_file_descriptor);
    r.close();
    EXPECT_FALSE(r);
    EXPECT_EQ(r.native_handle(), -1);
}

TEST_F(IoPipe, OneFiberForEachEnd) {
    auto [reader, writer] = io::pipe();
    auto& r = reader;
    auto first = copse::spawn([&r] { return read_text(r); });
    copse::yield();
    EXPECT_THROW(read_text(r), copse::concurrent_use);
    writer.write("x");
    EXPECT_EQ(first.get(), "x");
}

TEST_F(IoPipe, BelongsToItsThreadAndMovesByNumber) {
    auto [reader, writer] = io::pipe();
    auto& r = reader;
    std::thread([&r] { EXPECT_THROW(read_text(r), copse::wrong_thread); }).join();
    writer.write_all("abc");
    const int fd = r.release();
    EXPECT_FALSE(r.is_open());
    std::thread([fd] {
        auto mine = io::pipe_reader::adopt(fd);
        EXPECT_EQ(read_text(mine), "abc");
    }).join();
}

TEST_F(IoPipe, AdoptsWhatItCanRead) {
    shared_pipe p;
    EXPECT_EQ(error_of([&] { io::pipe_reader::adopt(p.ends[1]); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { io::pipe_writer::adopt(p.ends[0]); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([] { io::pipe_reader::adopt(-1); }), std::errc::bad_file_descriptor);
    const int file = ::memfd_create("copse", MFD_CLOEXEC);
    EXPECT_EQ(::write(file, "abc", 3), 3);
    ::lseek(file, 0, SEEK_SET);
    auto reader = io::pipe_reader::adopt(file);
    EXPECT_EQ(reader.read_to_end(), "abc");
}

// FD14: the open file is as it was.
TEST_F(IoPipe, Fault_FD14_BorrowedStaysBlockingAndOpen) {
    shared_pipe p;
    {
        auto reader = io::pipe_reader::borrow(p.ends[0]);
        auto writer = io::pipe_writer::borrow(p.ends[1]);
        auto reading = copse::spawn([&] { return read_text(reader); });
        copse::yield();
        EXPECT_FALSE(reading.ready());
        writer.write_all("abc");
        EXPECT_EQ(reading.get(), "abc");
        EXPECT_FALSE(is_nonblocking(p.ends[0]));
        EXPECT_FALSE(is_nonblocking(p.ends[1]));
    }
    EXPECT_GE(::fcntl(p.ends[0], F_GETFD), 0);
}

TEST_F(IoPipe, Fault_FD14_BorrowedMovesMuch) {
    shared_pipe p;
    auto reader = io::pipe_reader::borrow(p.ends[0]);
    auto writer = io::pipe_writer::borrow(p.ends[1]);
    const std::string sent = pattern(300'000);
    auto writing = copse::spawn([&] {
        writer.write_all(sent);
        p.close_writer();
    });
    EXPECT_TRUE(reader.read_to_end() == sent);
    writing.get();
}

// Another one who reads the same open file was faster: nobody blocks.
TEST_F(IoPipe, Fault_FD14_BorrowedIsRightWhateverOthersDo) {
    copse::virtual_time time;
    shared_pipe p;
    auto reader = io::pipe_reader::borrow(p.ends[0]);
    std::string buffer(8, '\0');
    EXPECT_EQ(reader.try_read(bytes_of(buffer)), std::nullopt);
    char c = 0;
    EXPECT_EQ(::write(p.ends[1], "a", 1), 1);
    EXPECT_EQ(::read(p.ends[0], &c, 1), 1);
    EXPECT_THROW(reader.read_for(bytes_of(buffer), 1h), io::timed_out);
    auto writer = io::pipe_writer::borrow(p.ends[1]);
    fill(writer);
    EXPECT_THROW(writer.write_for("x", 1h), io::timed_out);
}

TEST_F(IoPipe, Fault_FD14_BorrowedFileAndTerminal) {
    const int file = ::memfd_create("copse", MFD_CLOEXEC);
    auto to_file = io::pipe_writer::borrow(file);
    to_file.write_all(pattern(10'000));
    ::lseek(file, 0, SEEK_SET);
    EXPECT_TRUE(io::pipe_reader::borrow(file).read_to_end() == pattern(10'000));
    ::close(file);

    int keyboard = -1;
    int terminal = -1;
    ASSERT_EQ(::openpty(&keyboard, &terminal, nullptr, nullptr, nullptr), 0);
    auto from_terminal = io::pipe_reader::borrow(terminal);
    auto reading = copse::spawn([&] { return read_text(from_terminal); });
    copse::yield();
    EXPECT_FALSE(reading.ready());
    EXPECT_EQ(::write(keyboard, "hello\n", 6), 6);
    EXPECT_EQ(reading.get(), "hello\n");
    EXPECT_FALSE(is_nonblocking(terminal));
    for (const int fd : {keyboard, terminal}) {
        io::notify_closing(fd);
        ::close(fd);
    }
}

TEST_F(IoPipe, BorrowRefusesWhatIsNone) {
    EXPECT_EQ(error_of([] { io::pipe_reader::borrow(-1); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([] { io::pipe_writer::borrow(100'000); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(io::standard_input().native_handle(), 0);
}

}  // namespace
