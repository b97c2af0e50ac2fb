// Descriptors that are closed, replaced, duplicated, or many: the FD rows of the fault list.
// FD05 and FD07 are in io_epoll_test.cpp, FD15 in io_descriptor_kinds_test.cpp, FD09 in io_stream_server_limit_test.cpp, FD10,
// FD11 and FD18 in io_injection_test.cpp.

#include "fork_at_rest.hpp"
#include "io_descriptors.hpp"
#include "sanitizer.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoDescriptor = descriptor_fixture;

// ---- FD01 to FD04: who has the number now?

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

// ---- FK01

TEST_F(IoDescriptor, Fault_FK01_ChildOfAForkDisturbsNobody) {
    auto [left, right] = tcp_pair();
    auto p = make_pipe();
    auto by_socket = copse::spawn([&, &s = right] { return s.recv(buffer); });
    auto by_number = copse::spawn([&] { io::wait_readable(p.reader.get()); });
    copse::yield();
    const pid_t forked = fork_at_rest();
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

// ---- FD06, FD08

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
