// Waiting for descriptors by number, and the table behind it.

#include "entry_table.hpp"
#include "io_leak_check.hpp"

#include <copse/virtual_time.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

/// A pipe, closed at the end as a careful program does it.
class pipe_ends {
public:
    pipe_ends() { EXPECT_EQ(::pipe2(ends_, O_NONBLOCK | O_CLOEXEC), 0); }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;
    ~pipe_ends() {
        for (const int fd : ends_) {
            io::notify_closing(fd);
            ::close(fd);
        }
    }
    int reader() const { return ends_[0]; }
    int writer() const { return ends_[1]; }
    void put(char c = 'x') const { EXPECT_EQ(::write(writer(), &c, 1), 1); }
    bool take() const {
        char c = 0;
        return ::read(reader(), &c, 1) == 1;
    }
    void fill() const {
        const std::string block(4096, 'x');
        while (::write(writer(), block.data(), block.size()) > 0) {}
    }

private:
    int ends_[2];
};

using IoWait = io_leak_check;

TEST_F(IoWait, ParksUntilReadable) {
    const pipe_ends p;
    auto reader = copse::spawn([&] {
        io::wait_readable(p.reader());
        return p.take();
    });
    copse::yield();
    EXPECT_EQ(copse::hub::current().stats().watching, 1U);
    p.put();
    EXPECT_TRUE(reader.get());
}

TEST_F(IoWait, ParksUntilWritable) {
    const pipe_ends p;
    io::wait_writable(p.writer());
    p.fill();
    auto writer = copse::spawn([&] { io::wait_writable(p.writer()); });
    copse::yield();
    EXPECT_FALSE(writer.ready());
    while (p.take()) {}
    writer.get();
}

// Readiness of a foreign descriptor is never remembered: whoever else reads it, the next wait asks anew.
TEST_F(IoWait, IsCorrectWhateverOthersDo) {
    const pipe_ends p;
    for (int round = 0; round < 3; ++round) {
        p.put();
        io::wait_readable(p.reader());
        io::wait_readable(p.reader());  // still is
        EXPECT_TRUE(p.take());
        EXPECT_THROW(io::wait_readable_for(p.reader(), 0s), io::timed_out);
    }
}

TEST_F(IoWait, IsCorrectForASocketsDescriptorToo) {
    auto [left, right] = io::socketpair();
    left.send_all("ab");
    std::array<std::byte, 1> one;
    EXPECT_EQ(right.recv(one), 1U);  // that there is more is remembered
    char c = 0;
    EXPECT_EQ(::read(right.native_handle(), &c, 1), 1);
    EXPECT_THROW(io::wait_readable_for(right.native_handle(), 1ms), io::timed_out);
    left.send_all("c");
    io::wait_readable(right.native_handle());
    EXPECT_EQ(right.recv(one), 1U);
    io::wait_writable(left.native_handle());
}

TEST_F(IoWait, TimeIsUp) {
    copse::virtual_time time;
    const pipe_ends p;
    EXPECT_THROW(io::wait_readable_for(p.reader(), 1h), io::timed_out);
    EXPECT_EQ(time.elapsed(), 1h);
    EXPECT_THROW(io::wait_readable_until(p.reader(), copse::clock::now() + 1h), io::timed_out);
    EXPECT_EQ(time.elapsed(), 2h);
    p.fill();
    EXPECT_THROW(io::wait_writable_for(p.writer(), 1h), io::timed_out);
    EXPECT_THROW(io::wait_writable_until(p.writer(), copse::clock::now() - 1h), io::timed_out);
    EXPECT_EQ(time.elapsed(), 3h);
    io::wait_readable_for(p.reader(), 0s);
}

TEST_F(IoWait, SecondWaiterIsRefusedUnlessBothShare) {
    const pipe_ends p;
    auto alone = copse::spawn([&] { io::wait_readable(p.reader()); });
    copse::yield();
    EXPECT_THROW(io::wait_readable(p.reader()), copse::concurrent_use);
    EXPECT_THROW(io::wait_readable(p.reader(), io::sharing::many), copse::concurrent_use);
    alone.kill();
    auto sharing = copse::spawn([&] { io::wait_readable(p.reader(), io::sharing::many); });
    copse::yield();
    EXPECT_THROW(io::wait_readable(p.reader()), copse::concurrent_use);
    sharing.kill();
}

TEST_F(IoWait, BothDirectionsOfOneDescriptor) {
    int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    auto reader = copse::spawn([&] { io::wait_readable(fd); });
    copse::yield();
    io::wait_writable(fd);
    EXPECT_FALSE(reader.ready()) << "the reader stayed armed";
    EXPECT_EQ(::eventfd_write(fd, 1), 0);
    reader.get();
    io::notify_closing(fd);
    ::close(fd);
}

TEST_F(IoWait, KilledWaiterLeavesNothing) {
    const pipe_ends p;
    auto reader = copse::spawn([&] { io::wait_readable(p.reader()); });
    copse::yield();
    reader.kill();
    EXPECT_EQ(copse::hub::current().stats().watching, 0U);
    p.put();
    io::wait_readable(p.reader());
}

TEST_F(IoWait, NoDescriptorIsAnError) {
    const int closed = ::eventfd(0, EFD_CLOEXEC);
    ::close(closed);
    for (const int fd : {-1, closed, 1'000'000'000, INT_MAX}) {
        EXPECT_EQ(error_of([fd] { io::wait_readable(fd); }), std::errc::bad_file_descriptor) << fd;
        EXPECT_EQ(error_of([fd] { io::wait_writable(fd); }), std::errc::bad_file_descriptor) << fd;
        io::notify_closing(fd);
    }
}

TEST_F(IoWait, MayNotBeCalledInTheHub) {
    const pipe_ends p;
    bool refused = false;
    copse::event done;
    copse::hub::current().post([&] {
        try {
            io::wait_readable(p.reader());
        } catch (const copse::blocking_in_hub&) {
            refused = true;
        }
        done.set();
    });
    done.wait();
    EXPECT_TRUE(refused);
}

TEST_F(IoWait, EveryThreadHasItsReactor) {
    const pipe_ends p;
    auto here = copse::spawn([&] { io::wait_readable(p.reader()); });
    copse::yield();
    std::thread([&] {
        auto there = copse::spawn([&] { io::wait_readable(p.reader()); });
        copse::yield();
        p.put();
        there.get();
    }).join();
    here.get();
}

TEST_F(IoWait, OtherThreadsWakeAHubThatSleepsInEpoll) {
    const pipe_ends p;
    auto watching = copse::spawn([&] { io::wait_readable(p.reader()); });
    int posted = 0;
    std::thread poster([&, hub = copse::hub::current().handle()] {
        for (int i = 0; i < 1000; ++i) hub.post([&] { ++posted; });
        hub.post([&] { p.put(); });
    });
    watching.get();
    EXPECT_EQ(posted, 1000);
    poster.join();
}

TEST(IoEntryTable, HighNumbersCostLittle) {
    io::detail::entry_table table;
    EXPECT_EQ(table.find(-1), nullptr);
    EXPECT_EQ(table.find(0), nullptr);
    EXPECT_EQ(table.find(INT_MAX), nullptr);
    for (const int fd : {0, 1, 255, 256, 1 << 20, (1 << 20) + 77'777}) {
        io::detail::entry& e = table.at(fd);
        EXPECT_EQ(e.fd, fd);
        EXPECT_EQ(&table.at(fd), &e);
        EXPECT_EQ(table.find(fd), &e);
        table.peer_of(e).size = static_cast<socklen_t>(fd % 28);
        EXPECT_EQ(table.peer_of(table.at(fd)).size, static_cast<socklen_t>(fd % 28));
    }
    int entries = 0;
    table.for_each([&](io::detail::entry&) { ++entries; });
    EXPECT_EQ(entries, 4 * 256);
}

}  // namespace
