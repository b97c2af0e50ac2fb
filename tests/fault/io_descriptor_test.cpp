// Descriptors that are closed, replaced, duplicated, of strange kinds, or many: the FD rows of the fault list.
// FD09 is in io_stream_server_test.cpp, FD10, FD11 and FD18 in io_injection_test.cpp.

#include "at_end.hpp"
#include "exceptions.hpp"
#include "io_leak_check.hpp"
#include "sanitizer.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <set>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

/// Closes it as a careful program does.
class descriptor {
public:
    explicit descriptor(int fd) : fd_(fd) {}
    descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    descriptor& operator=(descriptor&&) = delete;
    ~descriptor() { close(); }
    int get() const { return fd_; }
    void close() {
        if (fd_ < 0) return;
        io::notify_closing(fd_);
        ::close(std::exchange(fd_, -1));
    }

private:
    int fd_;
};

struct pipe_ends {
    descriptor reader;
    descriptor writer;
};

pipe_ends make_pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    return {descriptor(ends[0]), descriptor(ends[1])};
}

void put(int fd) { EXPECT_EQ(::write(fd, "x", 1), 1); }
bool take(int fd) {
    char c = 0;
    return ::read(fd, &c, 1) == 1;
}

class IoDescriptor : public io_leak_check {
protected:
    std::array<std::byte, 4096> buffer{};
};

// ---- FD01 to FD05: who has the number now?

TEST_F(IoDescriptor, Fault_FD01_CloseWakesEveryWaiterBeforeTheNumberIsUsedAgain) {
    auto [left, right] = tcp_pair();
    const int number = right.native_handle();
    int seen_as = -2;
    auto reader = copse::spawn([&, &right = right] {
        const auto error = error_of([&, &right = right] { right.recv(buffer); });
        seen_as = right.native_handle();
        return error;
    });
    copse::yield();
    right.close();
    auto [next, peer] = io::socketpair();  // has the number, before the waiter has run
    EXPECT_TRUE(next.native_handle() == number || peer.native_handle() == number);
    peer.send_all("for the next owner");
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(seen_as, -1);
    EXPECT_EQ(recv_text(next), "for the next owner");
}

TEST_F(IoDescriptor, Fault_FD01_NotifiedWaitersOfANumberWakeToo) {
    auto p = make_pipe();
    auto q = make_pipe();
    while (::write(q.writer.get(), buffer.data(), buffer.size()) > 0) {}
    std::vector<copse::fiber<std::error_condition>> waiters;
    for (int i = 0; i < 3; ++i) {
        waiters.push_back(copse::spawn(
            [&, fd = p.reader.get()] { return error_of([&] { io::wait_readable(fd, io::sharing::many); }); }));
        waiters.push_back(copse::spawn(
            [&, fd = q.writer.get()] { return error_of([&] { io::wait_writable(fd, io::sharing::many); }); }));
    }
    copse::yield();
    EXPECT_EQ(copse::hub::current().stats().watching, 6U);
    p.reader.close();
    q.writer.close();
    EXPECT_EQ(copse::hub::current().stats().watching, 0U);
    for (auto& w : waiters) EXPECT_EQ(w.get(), std::errc::bad_file_descriptor);
}

TEST_F(IoDescriptor, Fault_FD02_ClosedBehindOurBackAndUsedAgain) {
    auto q = make_pipe();
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    const descriptor other_writer(ends[1]);
    const int number = ends[0];
    auto waiter = copse::spawn([&] { return error_of([&] { io::wait_readable(number); }); });
    copse::yield();
    const descriptor newcomer(::dup2(q.reader.get(), number));
    put(q.writer.get());
    for (int i = 0; i < 200; ++i) copse::yield();
    EXPECT_FALSE(waiter.ready()) << "it was not woken by the newcomer's event";
    io::wait_readable(number);  // works for the newcomer, and tells the one who waits in vain
    EXPECT_EQ(waiter.get(), std::errc::bad_file_descriptor);
    put(q.writer.get());
    io::wait_readable(number);
}

TEST_F(IoDescriptor, Fault_FD02_SocketClosedBehindItsBackTouchesNobodyElse) {
    auto [left, right] = tcp_pair();
    const int number = right.native_handle();
    EXPECT_THROW(right.recv_for(buffer, 1ms), io::timed_out);
    auto p = make_pipe();
    const descriptor newcomer(::dup2(p.reader.get(), number));
    put(p.writer.get());
    io::notify_closing(number);
    EXPECT_EQ(error_of([&, &s = right] { s.recv(buffer); }), std::errc::bad_file_descriptor);
    right.close();
    EXPECT_TRUE(take(number)) << "the pipe is still open";
}

TEST_F(IoDescriptor, Fault_FD03_DuplicateGoesOnAfterTheOriginalIsClosed) {
    auto p = make_pipe();
    const int number = p.reader.get();
    const descriptor duplicate(::dup(number));
    auto waiter = copse::spawn([&] { return error_of([&] { io::wait_readable(number); }); });
    copse::yield();
    p.reader.close();
    EXPECT_EQ(waiter.get(), std::errc::bad_file_descriptor);
    auto q = make_pipe();
    const descriptor newcomer(::dup2(q.reader.get(), number));
    auto next = copse::spawn([&] { io::wait_readable(number); });
    for (int i = 0; i < 20; ++i) {
        put(p.writer.get());
        for (int j = 0; j < 100; ++j) copse::yield();
    }
    EXPECT_FALSE(next.ready()) << "what the duplicate hears is none of its business";
    put(q.writer.get());
    next.get();
}

// The worst case: nobody said that the number was closed, and its registration cannot be removed.
TEST_F(IoDescriptor, Fault_FD03_RegistrationThatCannotBeRemovedIsLeftBehind) {
    auto [left, right] = io::socketpair();
    const int number = right.native_handle();
    EXPECT_THROW(right.recv_for(buffer, 1ms), io::timed_out);
    const descriptor duplicate(::dup(number));
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ASSERT_EQ(::dup2(ends[0], number), number);  // closes it: epoll goes on reporting the duplicate under this number
    ::close(ends[0]);
    auto next = io::socket::adopt(number);
    auto peer = io::socket::adopt(ends[1]);
    auto reader = copse::spawn([&] { return next.recv(buffer); });
    for (int i = 0; i < 20; ++i) {
        left.send_all("x");
        for (int j = 0; j < 100; ++j) copse::yield();
    }
    EXPECT_FALSE(reader.ready());
    peer.send_all("abc");
    EXPECT_EQ(reader.get(), 3U);
    EXPECT_EQ(error_of([&, &s = right] { s.recv(buffer); }), std::errc::bad_file_descriptor);
}

TEST_F(IoDescriptor, Fault_FD04_Dup2OverAParkedDescriptor) {
    auto p = make_pipe();
    auto q = make_pipe();
    const int number = p.reader.get();
    auto waiter = copse::spawn([&] { return error_of([&] { io::wait_readable(number); }); });
    copse::yield();
    io::notify_closing(number);
    ASSERT_EQ(::dup2(q.reader.get(), number), number);
    EXPECT_EQ(waiter.get(), std::errc::bad_file_descriptor);
    auto next = copse::spawn([&] { io::wait_readable(number); });
    copse::yield();
    EXPECT_FALSE(next.ready());
    put(q.writer.get());
    next.get();
}

TEST_F(IoDescriptor, Fault_FD04_Dup2WithoutAWordIsRepairedAtTheNextWait) {
    auto p = make_pipe();
    auto q = make_pipe();
    const int number = p.reader.get();
    auto waiter = copse::spawn([&] { return error_of([&] { io::wait_readable(number); }); });
    copse::yield();
    ASSERT_EQ(::dup2(q.reader.get(), number), number);
    put(q.writer.get());
    io::wait_readable(number);
    EXPECT_EQ(waiter.get(), std::errc::bad_file_descriptor);
}

std::set<int> all_of_kind(const std::string& link_wanted) {
    std::set<int> found;
    for (int fd = 0; fd < 1024; ++fd) {
        std::error_code none;
        if (std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), none) == link_wanted) found.insert(fd);
    }
    return found;
}

/// The one that is there now and was not before.
int added(const std::set<int>& before, const std::set<int>& now) {
    for (const int fd : now) {
        if (!before.contains(fd)) return fd;
    }
    return -1;
}

void lose_epoll_and_go_on() {
    const auto epolls = all_of_kind("anon_inode:[eventpoll]");
    const auto eventfds = all_of_kind("anon_inode:[eventfd]");
    auto p = make_pipe();
    auto [left, right] = io::socketpair();
    const int epoll = added(epolls, all_of_kind("anon_inode:[eventpoll]"));
    const int wakeup = added(eventfds, all_of_kind("anon_inode:[eventfd]"));
    ASSERT_GE(wakeup, 0);
    ASSERT_LT(wakeup, epoll) << "whoever closes all from some number on takes both, or epoll";
    const error_recorder errors;
    std::array<std::byte, 16> mine;
    auto by_number = copse::spawn([&] { io::wait_readable(p.reader.get()); });
    auto by_socket = copse::spawn([&, &s = right] { return s.recv(mine); });
    copse::yield();
    for (const int fd : {wakeup, epoll})
        ASSERT_EQ(::close_range(static_cast<unsigned>(fd), static_cast<unsigned>(fd), 0), 0);

    put(p.writer.get());
    by_number.get();
    left.send_all("abc");
    EXPECT_EQ(by_socket.get(), 3U);
    copse::event done;
    std::thread([&, hub = copse::hub::current().handle()] { hub.post([&] { done.set(); }); }).join();
    done.wait();  // it can be woken, too
    EXPECT_EQ(errors.count(), 1U) << "one warning";
}

// In a thread of its own: it is that thread's reactor that loses its descriptors.
TEST_F(IoDescriptor, Fault_FD05_CloseRangeThatEatsEpoll) { std::thread(lose_epoll_and_go_on).join(); }

void lose_epoll_while_nobody_waits() {
    const auto epolls = all_of_kind("anon_inode:[eventpoll]");
    const auto eventfds = all_of_kind("anon_inode:[eventfd]");
    auto listener = io::listen("127.0.0.1:0");
    EXPECT_THROW(listener.accept_for(0ms), io::timed_out);  // registered
    const int epoll = added(epolls, all_of_kind("anon_inode:[eventpoll]"));
    const int wakeup = added(eventfds, all_of_kind("anon_inode:[eventfd]"));
    const error_recorder errors;
    for (const int fd : {wakeup, epoll})
        ASSERT_EQ(::close_range(static_cast<unsigned>(fd), static_cast<unsigned>(fd), 0), 0);
    auto client = copse::spawn([&] {
        auto connection = io::connect(listener.local_endpoint());
        connection.send_all("abc");
        return recv_to_end(connection);
    });
    auto served = listener.accept();
    std::array<std::byte, 3> got;
    EXPECT_EQ(served.connection.recv_exactly(got), 3U);
    served.connection.send_all("d");
    served.connection.close();
    EXPECT_EQ(client.get(), "d");
    EXPECT_EQ(errors.count(), 1U) << "one warning";
}

TEST_F(IoDescriptor, Fault_FD05_LossIsNoticedByWhoRegisters) { std::thread(lose_epoll_while_nobody_waits).join(); }

void lose_epoll_while_polling() {
    const auto epolls = all_of_kind("anon_inode:[eventpoll]");
    const auto eventfds = all_of_kind("anon_inode:[eventfd]");
    auto p = make_pipe();
    auto [left, right] = tcp_pair();
    std::array<pollfd, 2> both{{{p.reader.get(), POLLIN, 0}, {right.native_handle(), POLLIN, 0}}};
    auto poller = copse::spawn([&] { return io::poll(both); });
    for (int i = 0; i < 3; ++i) copse::yield();
    const int epoll = added(epolls, all_of_kind("anon_inode:[eventpoll]"));
    const int wakeup = added(eventfds, all_of_kind("anon_inode:[eventfd]"));
    const error_recorder errors;
    for (const int fd : {wakeup, epoll})
        ASSERT_EQ(::close_range(static_cast<unsigned>(fd), static_cast<unsigned>(fd), 0), 0);
    copse::sleep(2ms);  // the hub looks, and notices
    EXPECT_EQ(errors.count(), 1U) << "one warning";
    left.send_all("x");
    EXPECT_EQ(poller.get(), 1U);
    EXPECT_EQ(both[1].revents, POLLIN);
    ASSERT_EQ(::write(p.writer.get(), "x", 1), 1);
    EXPECT_EQ(io::poll(both), 2U);
}

TEST_F(IoDescriptor, Fault_FD05_LossWhileSeveralArePolled) { std::thread(lose_epoll_while_polling).join(); }

// ---- FK01

TEST_F(IoDescriptor, Fault_FK01_ChildOfAForkDisturbsNobody) {
    auto [left, right] = tcp_pair();
    auto p = make_pipe();
    auto by_socket = copse::spawn([&, &s = right] { return s.recv(buffer); });
    auto by_number = copse::spawn([&] { io::wait_readable(p.reader.get()); });
    copse::yield();
    const pid_t forked = ::fork();
    if (forked == 0) {
        auto [mine, other] = io::socketpair();
        mine.send_all("abc");
        std::array<std::byte, 3> got;
        const bool works = other.recv_exactly_for(got, 10s) == 3;
        right.close();
        io::notify_closing(p.reader.get());
        ::_exit(works ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(forked, &status, 0), forked);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(copse::hub::current().stats().watching, 2U);
    left.send_all("abc");
    put(p.writer.get());
    EXPECT_EQ(by_socket.get(), 3U);
    by_number.get();
}

// ---- FD01, FD04: the number of a socket that another thread closed, or that was replaced

TEST_F(IoDescriptor, Fault_FD01_NumberOfASocketClosedElsewhereCanBeWaitedFor) {
    auto [left, right] = io::socketpair();
    EXPECT_THROW(left.recv_for(buffer, 0ms), io::timed_out);  // registered
    const int number = left.native_handle();
    std::thread([&, &left = left] { left.close(); }).join();
    auto p = make_pipe();
    ASSERT_EQ(p.reader.get(), number);
    auto waiter = copse::spawn([&] { io::wait_readable_for(p.reader.get(), 10s); });
    copse::yield();
    EXPECT_FALSE(waiter.ready());
    put(p.writer.get());
    waiter.get();
}

TEST_F(IoDescriptor, Fault_FD04_SecondFiberDoesNotReadFromAStranger) {
    auto [left, right] = io::socketpair();
    auto [stranger, other] = io::socketpair();
    auto first = copse::spawn([&, &left = left] { return error_of([&] { left.recv(buffer); }); });
    copse::yield();
    const descriptor kept(::fcntl(left.native_handle(), F_DUPFD_CLOEXEC, 0));
    ASSERT_GE(::dup3(stranger.native_handle(), left.native_handle(), O_CLOEXEC), 0);
    other.send_all("secret");
    EXPECT_EQ(error_of([&, &left = left] { left.recv_for(buffer, 10s); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(first.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(::close(left.native_handle()), 0);  // nobody's any more
}

// ---- FD06 to FD08

TEST_F(IoDescriptor, Fault_FD06_WhatEpollRefusesIsAlwaysReady) {
    std::FILE* regular = std::tmpfile();
    const descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const descriptor zero(::open("/dev/zero", O_RDWR | O_CLOEXEC));
    const descriptor directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const descriptor memory(::memfd_create("copse", MFD_CLOEXEC));
    for (const int fd : {::fileno(regular), null.get(), zero.get(), directory.get(), memory.get()}) {
        for (int i = 0; i < 3; ++i) {
            io::wait_readable(fd);
            io::wait_writable_for(fd, 0s);
        }
    }
    std::fclose(regular);
}

TEST_F(IoDescriptor, Fault_FD06_AlwaysReadyLetsOthersRun) {
    const descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    int turns = 0;
    bool done = false;
    auto other = copse::spawn([&] {
        while (!done) {
            ++turns;
            copse::yield();
        }
    });
    for (int i = 0; i < 1000; ++i) io::wait_readable(null.get());
    EXPECT_GE(turns, 1000 / 129);
    done = true;
    other.join();
}

TEST_F(IoDescriptor, Fault_FD06_NumberOfAFileMayBecomeAPipesLater) {
    int number = -1;
    {
        const descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
        number = null.get();
        io::wait_readable(number);
    }
    const auto p = make_pipe();
    ASSERT_EQ(p.reader.get(), number);
    EXPECT_THROW(io::wait_readable_for(number, 0s), io::timed_out);
}

TEST_F(IoDescriptor, Fault_FD07_EpollInItselfIsRefused) {
    std::thread([] {
        const auto epolls = all_of_kind("anon_inode:[eventpoll]");
        auto pair = io::socketpair();
        const int own = added(epolls, all_of_kind("anon_inode:[eventpoll]"));
        ASSERT_GE(own, 0);
        EXPECT_EQ(error_of([own] { io::wait_readable(own); }), std::errc::invalid_argument);
        const descriptor outer(::epoll_create1(EPOLL_CLOEXEC));
        epoll_event event{EPOLLIN, {}};
        ASSERT_EQ(::epoll_ctl(outer.get(), EPOLL_CTL_ADD, own, &event), 0);
        EXPECT_EQ(error_of([&] { io::wait_readable(outer.get()); }), std::errc::too_many_symbolic_link_levels);
        EXPECT_EQ(copse::hub::current().stats().watching, 0U);
        ASSERT_EQ(::epoll_ctl(outer.get(), EPOLL_CTL_DEL, own, nullptr), 0);
    }).join();
}

TEST_F(IoDescriptor, Fault_FD08_ReaderAndWriterTogether) {
    auto [left, right] = tcp_pair();
    const std::string much = pattern(4 * 1024 * 1024);
    auto writer = copse::spawn([&, &s = left] { s.send_all(much); });
    auto reader = copse::spawn([&, &s = left] { return s.recv(buffer); });
    copse::yield();
    right.send_all("abc");
    EXPECT_EQ(reader.get(), 3U);
    std::string got(much.size(), '\0');
    right.recv_exactly(std::as_writable_bytes(std::span(got)));
    EXPECT_TRUE(got == much);
    writer.get();
}

TEST_F(IoDescriptor, Fault_FD08_ThousandReadersWakeOneByOneInOrder) {
    const descriptor counter(::eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC));
    const int readers = up_to(1000);
    std::vector<int> order;
    std::vector<copse::fiber<void>> fibers;
    for (int i = 0; i < readers; ++i) {
        fibers.push_back(copse::spawn([&, i] {
            eventfd_t one = 0;
            do {
                io::wait_readable(counter.get(), io::sharing::many);
            } while (::eventfd_read(counter.get(), &one) != 0);
            order.push_back(i);
        }));
    }
    copse::yield();
    EXPECT_EQ(copse::hub::current().stats().watching, static_cast<std::size_t>(readers));
    ::eventfd_write(counter.get(), 1);
    while (order.empty()) copse::yield();
    for (int i = 0; i < 200; ++i) copse::yield();
    EXPECT_EQ(order, std::vector<int>{0}) << "one event wakes one reader, the one that has waited longest";
    ::eventfd_write(counter.get(), static_cast<eventfd_t>(readers - 1));
    copse::join_all(fibers);
    EXPECT_EQ(order.size(), static_cast<std::size_t>(readers));
}

// ---- FD12

TEST_F(IoDescriptor, Fault_FD12_HangUpAndErrorWakeBothDirections) {
    const auto both_wake = [&](auto connect, auto break_it) {
        auto [left, right] = connect();
        while (left.try_send(std::string(65536, 'x'))) {}
        auto reader = copse::spawn([&, &s = left] { static_cast<void>(error_of([&] { s.recv(buffer); })); });
        auto writer = copse::spawn([&, &s = left] { return error_of([&] { s.send("x"); }); });
        copse::yield();
        EXPECT_EQ(copse::hub::current().stats().watching, 2U);
        break_it(right);
        reader.get();
        return writer.get();
    };
    EXPECT_EQ(both_wake([] { return io::socketpair(); }, [](io::socket& s) { s.close(); }), std::errc::broken_pipe);
    const auto reset =
        both_wake([] { return tcp_pair(); }, [](io::socket& s) { s.set_option(io::linger(0s)), s.close(); });
    EXPECT_TRUE(reset == std::errc::broken_pipe || reset == std::errc::connection_reset) << reset.message();
}

TEST_F(IoDescriptor, Fault_FD12_HangUpOfAPipeWakesByNumber) {
    auto p = make_pipe();
    auto reader = copse::spawn([&] { io::wait_readable(p.reader.get()); });  // EPOLLHUP alone
    copse::yield();
    p.writer.close();
    reader.get();
    auto q = make_pipe();
    while (::write(q.writer.get(), buffer.data(), buffer.size()) > 0) {}
    auto writer = copse::spawn([&] { io::wait_writable(q.writer.get()); });  // EPOLLERR alone
    copse::yield();
    q.reader.close();
    writer.get();
}

TEST_F(IoDescriptor, Fault_FD13_HighNumbersWork) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const auto highest = static_cast<int>(std::min<rlim_t>(limit.rlim_max, 1U << 20)) - 1;
    const rlimit all{limit.rlim_max, limit.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &all), 0);
    {
        auto p = make_pipe();
        const descriptor high(::dup2(p.reader.get(), highest));
        ASSERT_EQ(high.get(), highest);
        auto reader = copse::spawn([&] { io::wait_readable(high.get()); });
        copse::yield();
        put(p.writer.get());
        reader.get();
    }
    setrlimit(RLIMIT_NOFILE, &limit);
}

// ---- FD15: one of each kind

int other_end = -1;  // of a pty, FIFO or epoll
pid_t child = -1;    // of a pidfd

struct kind {
    const char* name;
    std::function<int()> open;  // -1: this machine has none
    std::function<void(int)> make_ready;

    friend void PrintTo(const kind& k, std::ostream* out) { *out << k.name; }
};

class IoDescriptorKinds : public IoDescriptor, public testing::WithParamInterface<kind> {
protected:
    void TearDown() override {
        if (other_end >= 0) ::close(std::exchange(other_end, -1));
        if (child > 0) ::waitpid(std::exchange(child, -1), nullptr, 0);
        IoDescriptor::TearDown();
    }
};

TEST_P(IoDescriptorKinds, Fault_FD15_IsWaitedFor) {
    const descriptor d(GetParam().open());
    if (d.get() < 0) GTEST_SKIP() << GetParam().name << ": " << std::generic_category().message(errno);
    EXPECT_THROW(io::wait_readable_for(d.get(), 0s), io::timed_out);
    auto reader = copse::spawn([&] { io::wait_readable(d.get()); });
    copse::yield();
    EXPECT_FALSE(reader.ready());
    GetParam().make_ready(d.get());
    reader.get();
    io::wait_readable(d.get());
}

int open_timer() { return ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC); }
void expire(int fd) {
    const itimerspec soon{{}, {0, 1}};
    ::timerfd_settime(fd, 0, &soon, nullptr);
}

// The signal stays blocked, and must not be pending: nobody reads the one that the test before has sent.
int open_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    const timespec at_once{};
    while (::sigtimedwait(&set, nullptr, &at_once) == SIGUSR2) {}
    return ::signalfd(-1, &set, SFD_CLOEXEC);
}
void signal_self(int) { ::pthread_kill(::pthread_self(), SIGUSR2); }

int open_watch() {
    const int fd = ::inotify_init1(IN_CLOEXEC);
    ::inotify_add_watch(fd, "/proc/self/exe", IN_ACCESS | IN_OPEN);
    return fd;
}
void touch(int) { ::close(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)); }

int open_child() {
    child = ::fork();
    if (child == 0) {
        for (;;) ::pause();
    }
    return static_cast<int>(syscall(SYS_pidfd_open, child, 0));
}
void end_child(int) { ::kill(child, SIGKILL); }

int open_pty() {
    int master = -1;
    ::openpty(&master, &other_end, nullptr, nullptr, nullptr);
    return master;
}

int open_fifo() {
    const std::string name = testing::TempDir() + "copse-fifo-" + std::to_string(::getpid());
    ::mkfifo(name.c_str(), 0600);
    const int fd = ::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    other_end = ::open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    ::unlink(name.c_str());
    return fd;
}
void put_in_other_end(int) { put(other_end); }

int open_routes() { return ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE); }
void ask_for_links(int fd) {
    struct {
        nlmsghdr header;
        rtgenmsg family;
    } request{{sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {AF_UNSPEC}};
    EXPECT_GT(::send(fd, &request, sizeof request, 0), 0);
}

int open_datagrams() {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const io::endpoint here = io::endpoint::loopback(0);
    EXPECT_EQ(::bind(fd, here.native(), here.native_size()), 0);
    return fd;
}
void send_to_self(int fd) {
    sockaddr_storage self{};
    socklen_t size = sizeof self;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&self), &size);
    EXPECT_EQ(::sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&self), size), 1);
}

int open_packets() { return ::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_LOOPBACK)); }
void send_packet(int fd) {
    sockaddr_ll there{};
    there.sll_family = AF_PACKET;
    there.sll_protocol = htons(ETH_P_LOOPBACK);
    there.sll_ifindex = static_cast<int>(::if_nametoindex("lo"));
    there.sll_halen = ETH_ALEN;
    EXPECT_EQ(::sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&there), sizeof there), 1);
}

int open_vsock() {
    const int fd = ::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_vm here{};
    here.svm_family = AF_VSOCK;
    here.svm_cid = VMADDR_CID_LOCAL;
    here.svm_port = VMADDR_PORT_ANY;
    if (fd < 0 || (::bind(fd, reinterpret_cast<sockaddr*>(&here), sizeof here) == 0 && ::listen(fd, 1) == 0)) return fd;
    ::close(fd);
    return -1;
}
void connect_to(int fd) {
    sockaddr_vm there{};
    socklen_t size = sizeof there;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&there), &size);
    other_end = ::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ::connect(other_end, reinterpret_cast<sockaddr*>(&there), sizeof there);
}

int open_epoll() {
    const int fd = ::epoll_create1(EPOLL_CLOEXEC);
    other_end = ::eventfd(0, EFD_CLOEXEC);
    epoll_event event{EPOLLIN, {}};
    ::epoll_ctl(fd, EPOLL_CTL_ADD, other_end, &event);
    return fd;
}
void count_in_other_end(int) { ::eventfd_write(other_end, 1); }

const kind kinds[] = {
    {"eventfd", [] { return ::eventfd(0, EFD_CLOEXEC); }, [](int fd) { ::eventfd_write(fd, 1); }},
    {"timerfd", open_timer, expire},
    {"signalfd", open_signals, signal_self},
    {"inotify", open_watch, touch},
    {"pidfd", open_child, end_child},
    {"pty", open_pty, put_in_other_end},
    {"fifo", open_fifo, put_in_other_end},
    {"netlink", open_routes, ask_for_links},
    {"udp", open_datagrams, send_to_self},
    {"packet", open_packets, send_packet},
    {"vsock", open_vsock, connect_to},
    {"epoll", open_epoll, count_in_other_end},
};

std::string name_of_kind(const testing::TestParamInfo<kind>& chosen) { return chosen.param.name; }

INSTANTIATE_TEST_SUITE_P(All, IoDescriptorKinds, testing::ValuesIn(kinds), name_of_kind);

// ---- FD19

TEST_F(IoDescriptor, Fault_FD19_AllReadyAtOnceAndTimersOnTime) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const rlimit all{limit.rlim_max, limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &all);
    const int wanted = std::min<int>(up_to(19'500), static_cast<int>(std::min<rlim_t>(limit.rlim_max, 20'000)) - 500);
    {
        std::vector<descriptor> many;
        many.reserve(static_cast<std::size_t>(wanted));
        for (int i = 0; i < wanted; ++i) {
            const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
            if (fd < 0) break;
            many.emplace_back(fd);
        }
        ASSERT_GT(static_cast<int>(many.size()), wanted / 2);
        int awake = 0;
        std::vector<copse::fiber<void>> fibers;
        for (const auto& d : many) {
            fibers.push_back(copse::spawn({.stack_size = 16 * 1024}, [&awake, fd = d.get()] {
                io::wait_readable(fd);
                ++awake;
            }));
        }
        copse::yield();
        ASSERT_EQ(copse::hub::current().stats().watching, many.size());
        int awake_at_timer = -1;
        auto timer = copse::spawn([&] {
            copse::sleep(1ns);
            awake_at_timer = awake;
        });
        copse::yield();
        for (const auto& d : many) ::eventfd_write(d.get(), 1);
        timer.join();
        EXPECT_LE(awake_at_timer, 2 * 512) << "a timer waits for two lots of events at most";
        copse::join_all(fibers);
        EXPECT_EQ(awake, static_cast<int>(many.size()));
    }
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace
