// Files into sockets. NT01, NT03.

#include "exceptions.hpp"
#include "io_leak_check.hpp"
#include "io_system_calls.hpp"
#include "system_calls.hpp"

#include <copse/virtual_time.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <limits>
#include <random>
#include <string>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::detail::real_system_calls;
using io::detail::sys;

namespace {

/// An anonymous file, open.
class file {
public:
    explicit file(const std::string& content) : fd_(::memfd_create("copse-test", MFD_CLOEXEC)) {
        EXPECT_EQ(::write(fd_.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
    }
    int fd() const { return fd_.get(); }

private:
    io::descriptor fd_;
};

class IoSendFile : public io_leak_check {
protected:
    ~IoSendFile() override { put_back_system_calls(); }

    /// Sends it all over a stream and gives what arrived.
    static std::string sent_through(int fd, std::uint64_t offset, std::uint64_t count, std::uint64_t expected) {
        auto [left, right] = tcp_pair();
        auto writer = copse::spawn([&, &s = left] {
            EXPECT_EQ(s.send_file_for(fd, offset, count, 30s), expected);
            s.close();
        });
        std::string all = recv_to_end(right);
        writer.get();
        return all;
    }
};

TEST_F(IoSendFile, AllOfItOrAPart) {
    const std::string content = pattern(3 << 20);
    const file f(content);
    const off_t position = ::lseek(f.fd(), 0, SEEK_CUR);
    EXPECT_TRUE(sent_through(f.fd(), 0, io::socket::whole_file, content.size()) == content);
    EXPECT_TRUE(sent_through(f.fd(), 1000, 5000, 5000) == content.substr(1000, 5000));
    EXPECT_TRUE(sent_through(f.fd(), content.size() - 10, 5000, 10) == content.substr(content.size() - 10));
    EXPECT_EQ(sent_through(f.fd(), content.size() + 10, 10, 0), "");
    EXPECT_EQ(sent_through(f.fd(), 0, 0, 0), "");
    EXPECT_EQ(::lseek(f.fd(), 0, SEEK_CUR), position) << "the file's own position is not touched";
    auto [left, right] = io::socketpair();
    EXPECT_EQ(left.send_file(file("short").fd()), 5U);
    EXPECT_EQ(recv_text(right), "short");
    EXPECT_EQ(left.send_file_until(f.fd(), 0, 3, copse::clock::now() + 1s), 3U);
}

TEST_F(IoSendFile, ParksWhileTheReaderIsSlow) {
    copse::virtual_time time;
    const std::string content = pattern(4 << 20);
    const file f(content);
    auto [left, right] = io::socketpair();
    std::size_t sent = 0;
    try {
        left.send_file_for(f.fd(), 0, io::socket::whole_file, 2s);
        ADD_FAILURE() << "nobody reads";
    } catch (const io::timed_out& e) {
        sent = e.transferred();
    }
    EXPECT_EQ(time.elapsed(), 2s);
    ASSERT_GT(sent, 0U);
    std::string got(sent, '\0');
    right.recv_exactly(std::as_writable_bytes(std::span(got)));
    EXPECT_TRUE(got == content.substr(0, sent));
    auto writer = copse::spawn([&, &s = left] { s.send_file(f.fd()); });
    copse::yield();
    EXPECT_EQ(copse::hub::current().stats().watching, 1U);
    writer.kill();
    EXPECT_EQ(copse::hub::current().stats().watching, 0U);
}

TEST_F(IoSendFile, AFileThatIsCutMeanwhileSendsLess) {
    const file f(pattern(8 << 20));
    auto [left, right] = io::socketpair();
    auto writer = copse::spawn([&, &s = left] {
        const auto n = s.send_file(f.fd(), 0, 8 << 20);
        s.close();
        return n;
    });
    copse::yield();
    ASSERT_EQ(::ftruncate(f.fd(), 1000), 0);
    const std::string got = recv_to_end(right);
    EXPECT_EQ(writer.get(), got.size());
    EXPECT_LT(got.size(), std::size_t{8} << 20);
}

TEST_F(IoSendFile, WhatTheKernelCannotMoveIsRead) {
    const std::string content = pattern(100'000);
    const file f(content);
    for (const int error : {EINVAL, ENOSYS}) {
        static int which;
        which = error;
        sys.sendfile = [](int, int, off_t*, std::size_t) -> ssize_t { return errno = which, -1; };
        EXPECT_TRUE(sent_through(f.fd(), 0, io::socket::whole_file, content.size()) == content);
        EXPECT_TRUE(sent_through(f.fd(), 17, 50'000, 50'000) == content.substr(17, 50'000));
    }
    put_back_system_calls();
    const io::descriptor proc(::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC));
    std::string begin(6, '\0');
    ASSERT_EQ(::pread(proc.get(), begin.data(), begin.size(), 0), 6);
    EXPECT_EQ(sent_through(proc.get(), 0, 6, 6), begin);
}

TEST_F(IoSendFile, BadFilesAreNamed) {
    auto [left, right] = io::socketpair();
    EXPECT_EQ(error_of([&, &s = left] { s.send_file(-1, 0, 1); }), std::errc::bad_file_descriptor);
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const io::descriptor one(ends[0]);
    const io::descriptor two(ends[1]);
    EXPECT_EQ(error_of([&, &s = left] { s.send_file(ends[0]); }), std::errc::invalid_seek);
    const io::descriptor folder(::open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY));
    const std::string text = text_of([&, &s = left] { s.send_file(folder.get()); });
    EXPECT_NE(text.find("reading fd " + std::to_string(folder.get()) + ": Is a directory"), std::string::npos) << text;
    EXPECT_THROW(left.send_file(0, std::numeric_limits<std::uint64_t>::max()), std::invalid_argument);
    left.close();
    EXPECT_EQ(error_of([&, &s = left] { s.send_file(folder.get()); }), std::errc::bad_file_descriptor);
}

TEST_F(IoSendFile, Fault_NT03_APeerThatIsGoneIsNoSignal) {
    struct sigaction now {};
    ::sigaction(SIGPIPE, nullptr, &now);
    ASSERT_EQ(now.sa_handler, SIG_DFL) << "the test would prove nothing";
    const file f("many small trees");
    auto [left, right] = io::socketpair();
    right.close();
    EXPECT_EQ(error_of([&, &s = left] { s.send_file(f.fd()); }), std::errc::broken_pipe);
    auto [client, server] = tcp_pair();
    client.shutdown(io::shut::write);
    EXPECT_EQ(error_of([&, &s = client] { s.send_file(f.fd()); }), std::errc::broken_pipe);

    sigset_t mask;
    sigset_t pending;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    EXPECT_EQ(sigismember(&mask, SIGPIPE), 0) << "the mask is as before";
    sigset_t sigpipe;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, nullptr);
    EXPECT_EQ(error_of([&, &s = client] { s.send_file(f.fd()); }), std::errc::broken_pipe);
    sigpending(&pending);
    EXPECT_EQ(sigismember(&pending, SIGPIPE), 0) << "none is left behind";
    ::raise(SIGPIPE);
    EXPECT_EQ(error_of([&, &s = client] { s.send_file(f.fd()); }), std::errc::broken_pipe);
    sigpending(&pending);
    EXPECT_EQ(sigismember(&pending, SIGPIPE), 1) << "the program's own is kept";
    const timespec at_once{};
    sigtimedwait(&sigpipe, nullptr, &at_once);
    pthread_sigmask(SIG_UNBLOCK, &sigpipe, nullptr);
}

// What the kernel does when the peer goes in the middle of a call: a part is sent and told, and the signal raised.
TEST_F(IoSendFile, Fault_NT03_NorIsOneThatGoesInTheMiddle) {
    static volatile std::sig_atomic_t signals;
    signals = 0;
    struct sigaction counting {};
    counting.sa_handler = [](int) { signals = signals + 1; };
    struct sigaction before {};
    ::sigaction(SIGPIPE, &counting, &before);
    sys.sendfile = [](int to, int from, off_t* offset, std::size_t) {
        const ssize_t n = real_system_calls.sendfile(to, from, offset, 5);
        ::raise(SIGPIPE);
        return n;
    };
    const file f("many small trees");
    auto [left, right] = io::socketpair();
    EXPECT_EQ(left.send_file(f.fd()), 16U);
    sigset_t pending;
    sigpending(&pending);
    EXPECT_EQ(signals, 0);
    EXPECT_EQ(sigismember(&pending, SIGPIPE), 0) << "none is left behind";
    ::sigaction(SIGPIPE, &before, nullptr);
}

TEST_F(IoSendFile, AFileThatCannotBeReadOnTellsHowFarItCame) {
    const file f(pattern(100'000));
    static int reads;
    reads = 0;
    sys.sendfile = [](int, int, off_t*, std::size_t) -> ssize_t { return errno = EINVAL, -1; };
    sys.pread = [](int fd, void* into, std::size_t size, off_t offset) -> ssize_t {
        if (++reads == 2) return errno = EIO, -1;
        return ::pread(fd, into, size, offset);
    };
    auto [left, right] = io::socketpair();
    std::size_t told = 0;
    try {
        left.send_file(f.fd());
    } catch (const io::transfer_error& e) {
        EXPECT_EQ(e.code(), std::errc::io_error);
        told = e.transferred();
    }
    left.close();
    EXPECT_GT(told, 0U);
    EXPECT_EQ(recv_to_end(right).size(), told);
}

std::mt19937 dice;

TEST_F(IoSendFile, Fault_NT01_StreamsAreEqualWhateverTheCallsSay) {
    const std::string content = pattern(50'000);
    const file f(content);
    for (unsigned seed = 1; seed <= 16; ++seed) {
        for (const bool moved : {true, false}) {
            dice.seed(seed);
            sys.truthful = false;
            sys.sendfile = [](int to, int from, off_t* offset, std::size_t size) -> ssize_t {
                if (dice() % 3 == 0) return errno = dice() % 2 == 0 ? EINTR : EAGAIN, -1;
                return ::sendfile(to, from, offset, 1 + dice() % size % 10'000);
            };
            if (!moved) sys.sendfile = [](int, int, off_t*, std::size_t) -> ssize_t { return errno = EINVAL, -1; };
            sys.pread = [](int fd, void* into, std::size_t size, off_t offset) -> ssize_t {
                if (dice() % 3 == 0) return errno = EINTR, -1;
                return ::pread(fd, into, 1 + dice() % size, offset);
            };
            sys.send = [](int fd, const void* from, std::size_t size, int flags) -> ssize_t {
                if (dice() % 3 == 0) return errno = dice() % 2 == 0 ? EINTR : EAGAIN, -1;
                return ::send(fd, from, 1 + dice() % size, flags);
            };
            EXPECT_TRUE(sent_through(f.fd(), 0, io::socket::whole_file, content.size()) == content) << seed << moved;
            put_back_system_calls();
        }
    }
}

}  // namespace
