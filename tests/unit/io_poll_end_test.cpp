// poll: kills, errors, and numbers that are closed and used again. FD02, FD03, FD10, FD12.

#include "io_foreign_pipe.hpp"
#include "io_poll_fixture.hpp"
#include "system_calls.hpp"

#include <copse/virtual_time.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::detail::sys;

namespace {

using IoPoll = poll_fixture;

TEST_F(IoPoll, Fault_FD12_ErrorsNeedNotBeAskedFor) {
    auto [left, right] = tcp_pair();
    auto poller = copse::spawn([fd = right.native_handle()] { return poll_one(fd, 0); });
    copse::yield();
    copse::yield();
    left.set_option(io::linger(0s));
    left.close();
    EXPECT_EQ(poller.get(), POLLERR | POLLHUP);
}

TEST_F(IoPoll, KilledPollerLeavesNothing) {
    std::vector<foreign_pipe> pipes(3);
    auto [left, right] = io::socketpair();
    pollfd all[] = {{pipes[0].reader(), POLLIN, 0}, {pipes[1].reader(), POLLIN, 0}, {right.native_handle(), POLLIN, 0}};
    auto poller = copse::spawn([&] { io::poll(all); });
    copse::yield();
    copse::yield();
    EXPECT_EQ(watching(), 1U);
    poller.kill();
    EXPECT_EQ(watching(), 0U);
    pipes[1].put();
    left.send_all("x");
    EXPECT_EQ(recv_text(right), "x");
    EXPECT_EQ(poll_one(pipes[1].reader(), POLLIN), POLLIN);
    auto unstarted = copse::spawn([&] { io::poll(all); });
    copse::yield();
    unstarted.kill();  // while it gives the others their turn
}

// A kill that comes after the event is thrown by the next wait: nothing is lost (decision 3).
TEST_F(IoPoll, AKillAfterTheEventWaits) {
    const foreign_pipe p;
    short got = 0;
    auto poller = copse::spawn([&] {
        got = poll_one(p.reader(), POLLIN);
        copse::yield();
        got = -1;
    });
    copse::yield();
    copse::yield();
    p.put();
    io::wait_readable(p.reader());  // the same event made both ready, the poller last
    poller.kill();
    EXPECT_EQ(got, POLLIN);
}

TEST_F(IoPoll, ClosingASocketWakesItsPollers) {
    const foreign_pipe p;
    auto [left, right] = io::socketpair();
    const int number = right.native_handle();
    pollfd two[] = {{p.reader(), POLLIN, 0}, {number, POLLIN, 0}};
    auto poller = copse::spawn([&] { return io::poll(two); });
    copse::yield();
    copse::yield();
    right.close();
    const int reuse = ::eventfd(1, EFD_CLOEXEC);  // it is readable
    EXPECT_EQ(reuse, number);
    EXPECT_EQ(poller.get(), 1U);
    EXPECT_EQ(two[0].revents, 0);
    EXPECT_EQ(two[1].fd, number);
    EXPECT_EQ(two[1].revents, POLLNVAL) << "the new holder of the number is not asked about";
    close_with_notice(reuse);
}

// Each place is answered for itself, and neither sees the new holder of the number.
TEST_F(IoPoll, Fault_FD02_ClosingANumberThatStandsTwice) {
    auto [reader, writer] = io::pipe();
    const int number = reader.native_handle();
    pollfd three[] = {{number, POLLIN, 0}, {writer.native_handle(), 0, 0}, {number, POLLPRI, 0}};
    auto poller = copse::spawn([&] { return io::poll(three); });
    copse::yield();
    copse::yield();
    EXPECT_EQ(watching(), 1U);
    reader.close();
    const int reuse = ::eventfd(1, EFD_CLOEXEC);  // it is readable
    EXPECT_EQ(reuse, number);
    EXPECT_EQ(poller.get(), 3U);
    EXPECT_EQ(three[0].revents, POLLNVAL);
    EXPECT_EQ(three[1].revents, POLLERR) << "its reader has gone";
    EXPECT_EQ(three[2].revents, POLLNVAL);
    EXPECT_EQ(three[2].fd, number);
    close_with_notice(reuse);
}

TEST_F(IoPoll, NoticeOfClosingWakesThePollersOfAForeignDescriptor) {
    const foreign_pipe other;
    foreign_pipe p;
    const int number = p.reader();
    const int duplicate = ::dup(number);  // FD03: it would keep the registration alive
    pollfd two[] = {{other.reader(), POLLIN, 0}, {number, POLLIN, 0}};
    auto poller = copse::spawn([&] { return io::poll(two); });
    copse::yield();
    copse::yield();
    p.close_reader();
    EXPECT_EQ(poller.get(), 1U);
    EXPECT_EQ(two[1].revents, POLLNVAL);
    p.put();
    EXPECT_EQ(poll_one(duplicate, POLLIN), POLLIN);
    close_with_notice(duplicate);
}

TEST_F(IoPoll, Fault_FD02_ANumberClosedWithoutAWordAndUsedAgain) {
    auto pair = io::socketpair();
    auto fresh = std::make_unique<foreign_pipe>();
    for (const bool owned : {false, true}) {
        const io::descriptor spare(::eventfd(0, EFD_CLOEXEC));
        const int number = owned ? pair.first.native_handle() : ::fcntl(spare.get(), F_DUPFD_CLOEXEC, 0);
        pollfd one[] = {{number, owned ? short{POLLIN} : short{POLLPRI}, 0}};
        auto early = copse::spawn([&] { return io::poll(one); });
        copse::yield();
        copse::yield();
        ::dup2(fresh->reader(), number);  // closes the old one
        fresh->put();
        EXPECT_EQ(poll_one(number, POLLIN), POLLIN) << "the new holder is looked at";
        EXPECT_TRUE(fresh->take());
        auto late = copse::spawn([&] { return poll_one(number, POLLIN); });
        copse::yield();
        copse::yield();
        EXPECT_EQ(early.get(), 1U) << "the new wait finds out that the old one waits for nothing";
        EXPECT_EQ(one[0].revents, POLLNVAL);
        fresh->put();
        EXPECT_EQ(late.get(), POLLIN);
        EXPECT_TRUE(fresh->take());
        close_with_notice(number);
    }
    if (pair.first.is_open()) pair.first.close();
}

TEST_F(IoPoll, Fault_FD10_EpollWithoutMemoryIsAnErrorAndNoMore) {
    const foreign_pipe one, two;
    pollfd both[] = {{one.reader(), POLLIN, 0}, {two.reader(), POLLIN, 0}};
    static int calls;
    calls = 0;
    sys.epoll_ctl = [](int epoll, int op, int fd, epoll_event* event) {
        return ++calls == 2 ? (errno = ENOSPC, -1) : ::epoll_ctl(epoll, op, fd, event);
    };
    EXPECT_EQ(error_of([&] { io::poll(both); }), std::errc::no_space_on_device);
    EXPECT_EQ(watching(), 0U);
    put_back_system_calls();
    two.put();
    EXPECT_EQ(io::poll(both), 1U);
}

// What happens to the descriptors while they are gathered makes nobody ready who is running.
TEST_F(IoPoll, Fault_FD02_ClosedByAnotherThreadWhileItBegins) {
    copse::virtual_time time;
    auto [left, right] = tcp_pair();
    static int closed;
    static int calls;
    closed = right.native_handle();
    EXPECT_THROW(io::wait_readable_for(closed, 0s), io::timed_out);  // registered
    pollfd twice[] = {{closed, POLLIN, 0}, {closed, POLLIN, 0}};
    calls = 0;
    sys.epoll_ctl = [](int epoll, int op, int fd, epoll_event* event) {
        if (fd != closed || ++calls == 1) return ::epoll_ctl(epoll, op, fd, event);
        return errno = op == EPOLL_CTL_MOD ? ENOENT : EBADF, -1;
    };
    EXPECT_EQ(io::poll(twice), 2U);
    EXPECT_GE(calls, 3);
    EXPECT_EQ(twice[0].revents, POLLNVAL);
    put_back_system_calls();
    const auto before = time.elapsed();
    copse::sleep(1h);
    EXPECT_EQ(time.elapsed() - before, 1h);
    EXPECT_EQ(watching(), 0U);
    ::close(closed);  // the socket has been told that its number is somebody else's
}

TEST_F(IoPoll, AnInterruptedCallIsMadeAgain) {
    const foreign_pipe p;
    p.put();
    static int lies;
    lies = 3;
    sys.poll = [](pollfd* fds, nfds_t n, int timeout) {
        return lies-- > 0 ? (errno = EINTR, -1) : ::poll(fds, n, timeout);
    };
    EXPECT_EQ(poll_one(p.reader(), POLLIN), POLLIN);
}

TEST_F(IoPoll, MoreDescriptorsThanThereCanBe) {
    std::vector<pollfd> all(5'000'000, pollfd{-1, 0, 0});
    EXPECT_EQ(error_of([&] { io::poll_for(all, 0s); }), std::errc::invalid_argument);
    EXPECT_NE(text_of([&] { io::poll_for(all, 0s); }).find("poll of 5000000 descriptors"), std::string::npos);
}

TEST_F(IoPoll, MayNotBeCalledInTheHub) {
    const foreign_pipe p;
    bool refused = false;
    copse::event done;
    copse::hub::current().post([&] {
        try {
            poll_one(p.reader(), POLLIN);
        } catch (const copse::blocking_in_hub&) {
            refused = true;
        }
        done.set();
    });
    done.wait();
    EXPECT_TRUE(refused);
}

}  // namespace
