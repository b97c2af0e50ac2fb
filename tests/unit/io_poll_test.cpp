// poll: what it says of each kind of descriptor, who wakes, and what becomes of numbers that are closed. HK07, FD02, FD03,
// FD06, FD08, FD10, FD12.

#include "exceptions.hpp"
#include "io_foreign_pipe.hpp"
#include "io_leak_check.hpp"
#include "io_system_calls.hpp"
#include "system_calls.hpp"

#include <copse/virtual_time.hpp>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::detail::sys;

namespace {

class IoPoll : public io_leak_check {
protected:
    ~IoPoll() override { put_back_system_calls(); }
};

std::size_t watching() { return copse::hub::current().stats().watching; }

/// What one descriptor has, waiting for it.
short poll_one(int fd, short events) {
    pollfd one[] = {{fd, events, 0}};
    EXPECT_EQ(io::poll(one), 1U);
    return one[0].revents;
}

TEST_F(IoPoll, WhatIsReadyIsToldAtOnce) {
    const foreign_pipe p;
    p.put();
    pollfd both[] = {{p.reader(), POLLIN, -1}, {p.writer(), POLLIN | POLLOUT, -1}};
    EXPECT_EQ(io::poll(both), 2U);
    EXPECT_EQ(both[0].revents, POLLIN);
    EXPECT_EQ(both[1].revents, POLLOUT);
}

TEST_F(IoPoll, ParksOnceForAll) {
    std::vector<foreign_pipe> pipes(1000);
    std::vector<pollfd> all;
    for (const auto& p : pipes) all.push_back({p.reader(), POLLIN, 0});
    auto poller = copse::spawn([&] { return io::poll(all); });
    copse::yield();
    copse::yield();
    EXPECT_EQ(watching(), 1U);
    pipes[700].put();
    pipes[3].put();
    EXPECT_EQ(poller.get(), 2U);
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].revents, i == 3 || i == 700 ? POLLIN : 0) << i;
    EXPECT_EQ(watching(), 0U);
}

// Of every kind of descriptor it says what poll(2) says.
TEST_F(IoPoll, Fault_HK07_AnswersAsTheKernelDoes) {
    foreign_pipe empty, full, with_data, hung_up, broken;
    full.fill();
    with_data.put();
    hung_up.close_writer();
    broken.close_reader();
    auto [left, right] = tcp_pair();
    auto [urgent_sender, urgent] = tcp_pair();
    urgent_sender.send(as_bytes("!"), MSG_OOB);
    io::wait_readable(urgent.native_handle());
    auto [gone, ended] = io::socketpair();
    gone.close();
    auto [half, half_peer] = tcp_pair();
    half.shutdown(io::shut::write);
    EXPECT_EQ(recv_to_end(half_peer), "");
    auto listener = io::listen("127.0.0.1:0");
    io::socket unconnected(AF_INET);
    const io::descriptor file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    const io::descriptor directory(::open("/", O_RDONLY | O_CLOEXEC));
    const io::descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const io::descriptor event(::eventfd(0, EFD_CLOEXEC));
    const io::descriptor timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    const io::descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
    const int closed = ::dup(0);
    ::close(closed);

    const std::vector<int> numbers{empty.reader(),
                                   empty.writer(),
                                   full.reader(),
                                   full.writer(),
                                   with_data.reader(),
                                   with_data.writer(),
                                   hung_up.reader(),
                                   broken.writer(),
                                   left.native_handle(),
                                   right.native_handle(),
                                   urgent.native_handle(),
                                   ended.native_handle(),
                                   half.native_handle(),
                                   half_peer.native_handle(),
                                   listener.native_handle(),
                                   unconnected.native_handle(),
                                   file.get(),
                                   directory.get(),
                                   null.get(),
                                   event.get(),
                                   timer.get(),
                                   epoll.get(),
                                   closed,
                                   -1,
                                   -7,
                                   1'000'000'000};
    for (const int events : {0, POLLIN, POLLOUT, POLLIN | POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLRDBAND,
                             POLLWRNORM, POLLIN | POLLPRI | POLLOUT | POLLRDHUP, 0x7000}) {
        std::vector<pollfd> ours;
        for (const int fd : numbers) ours.push_back({fd, static_cast<short>(events), -1});
        std::vector<pollfd> kernels = ours;
        const int n = ::poll(kernels.data(), kernels.size(), 0);
        EXPECT_EQ(io::poll_for(ours, 0s), static_cast<std::size_t>(n));
        for (std::size_t i = 0; i < ours.size(); ++i) {
            EXPECT_EQ(ours[i].revents, kernels[i].revents) << "number " << i << ", events " << events;
            EXPECT_EQ(ours[i].fd, kernels[i].fd);
        }
    }
}

TEST_F(IoPoll, Fault_HK07_OneDescriptorManyTimes) {
    const foreign_pipe p;
    std::vector<pollfd> all(1100, pollfd{p.reader(), POLLIN, 0});
    all[5].events = 0;
    auto poller = copse::spawn([&] { return io::poll(all); });
    copse::yield();
    copse::yield();
    p.put();
    EXPECT_EQ(poller.get(), 1099U);
}

TEST_F(IoPoll, WithoutDescriptorsItSleeps) {
    copse::virtual_time time;
    EXPECT_EQ(io::poll_for({}, 1h), 0U);
    EXPECT_EQ(time.elapsed(), 1h);
    pollfd passed_over[] = {{-1, POLLIN, 7}};
    EXPECT_EQ(io::poll_for(passed_over, 1h), 0U);
    EXPECT_EQ(passed_over[0].revents, 0);
    EXPECT_EQ(time.elapsed(), 2h);
    EXPECT_THROW(io::poll({}), copse::would_block_forever) << "nobody could ever wake it";
}

TEST_F(IoPoll, TimeIsUp) {
    copse::virtual_time time;
    const foreign_pipe p;
    pollfd one[] = {{p.reader(), POLLIN, 0}};
    EXPECT_EQ(io::poll_for(one, 1h), 0U);
    EXPECT_EQ(time.elapsed(), 1h);
    EXPECT_EQ(io::poll_until(one, copse::clock::now() + 1h), 0U);
    EXPECT_EQ(time.elapsed(), 2h);
    EXPECT_EQ(io::poll_until(one, copse::clock::now() - 1h), 0U);
    EXPECT_EQ(io::poll_for(one, -1h), 0U);
    EXPECT_EQ(time.elapsed(), 2h);
    copse::timeout limit(1s);
    EXPECT_THROW(io::poll(one), copse::timeout_expired);
    EXPECT_EQ(time.elapsed(), 2h + 1s);
    p.put();
    EXPECT_EQ(io::poll_for(one, 1h), 1U);
    EXPECT_EQ(time.elapsed(), 2h + 1s);
}

TEST_F(IoPoll, TimeStopsWhileSomethingIsReadyAtTheDeadline) {
    copse::virtual_time time;
    const foreign_pipe p;
    copse::spawn([&] {
        copse::sleep(1h);
        p.put();
    });
    copse::yield();
    pollfd one[] = {{p.reader(), POLLIN, 0}};
    EXPECT_EQ(io::poll_for(one, 1h), 1U) << "asked once more";
}

// Decision 7.
TEST_F(IoPoll, NoTimeMeansOneTurnForTheOthers) {
    const foreign_pipe p;
    pollfd one[] = {{p.reader(), POLLIN, 0}};
    copse::spawn([&] {
        log("other");
        copse::yield();
        log("other again");
    });
    EXPECT_EQ(io::poll_for(one, 0s), 0U);
    log("main");
    copse::yield();
    EXPECT_EQ(log.text(), "other main other again");
}

TEST_F(IoPoll, Fault_FD08_SeveralWaitForOneDescriptor) {
    const foreign_pipe p;
    const auto poller = [&] { return poll_one(p.reader(), POLLIN); };
    auto first = copse::spawn(poller);
    auto second = copse::spawn(poller);
    auto waiter = copse::spawn([&] { io::wait_readable(p.reader()); });
    auto writer = copse::spawn([&] { return poll_one(p.writer(), POLLOUT); });
    copse::yield();
    copse::yield();
    EXPECT_EQ(watching(), 3U) << "the waiter wants no other waiter, but polls are none";
    EXPECT_EQ(writer.get(), POLLOUT);
    p.put();
    EXPECT_EQ(first.get(), POLLIN);
    EXPECT_EQ(second.get(), POLLIN);
    waiter.get();
}

TEST_F(IoPoll, WhoWakesTooLateWaitsOn) {
    const foreign_pipe p;
    auto fast = copse::spawn([&] {
        poll_one(p.reader(), POLLIN);
        EXPECT_TRUE(p.take());
    });
    auto slow = copse::spawn([&] { return poll_one(p.reader(), POLLIN); });
    copse::yield();
    copse::yield();
    p.put();
    fast.get();
    copse::yield();
    EXPECT_FALSE(slow.ready());
    p.put();
    EXPECT_EQ(slow.get(), POLLIN);
}

TEST_F(IoPoll, EventsThatNobodyAskedForWakeNobody) {
    auto [left, right] = tcp_pair();
    auto poller = copse::spawn([&, fd = right.native_handle()] { return poll_one(fd, POLLPRI); });
    copse::yield();
    copse::yield();
    left.send_all("x");
    EXPECT_EQ(recv_text(right), "x");
    EXPECT_FALSE(poller.ready());
    left.send(as_bytes("!"), MSG_OOB);
    EXPECT_EQ(poller.get(), POLLPRI);
}

// Sockets remember; poll does not believe it, and spoils nothing.
TEST_F(IoPoll, SocketsOfThisLibrary) {
    auto [left, right] = tcp_pair();
    const int fd = right.native_handle();
    for (int round = 0; round < 3; ++round) {
        auto poller = copse::spawn([&] { return poll_one(fd, POLLIN); });
        auto reader = copse::spawn([&] { return poll_one(fd, POLLIN); });
        copse::yield();
        copse::yield();
        left.send_all("x");
        EXPECT_EQ(poller.get(), POLLIN);
        EXPECT_EQ(reader.get(), POLLIN);
        pollfd one[] = {{fd, POLLIN, 0}};
        EXPECT_EQ(io::poll_for(one, 0s), 1U);
        EXPECT_EQ(recv_text(right), "x");
        EXPECT_EQ(io::poll_for(one, 0s), 0U);
    }
    auto receiver = copse::spawn([&right = right] { return recv_text(right); });
    auto poller = copse::spawn([&] { return poll_one(fd, POLLIN | POLLRDHUP); });
    copse::yield();
    copse::yield();
    left.close();
    EXPECT_EQ(receiver.get(), "");
    EXPECT_EQ(poller.get(), POLLIN | POLLRDHUP);
}

TEST_F(IoPoll, ASocketWithoutRoomBecomesWritable) {
    auto [left, right] = tcp_pair();
    const std::string block(64 * 1024, 'x');
    while (left.try_send(as_bytes(block))) {}
    auto poller = copse::spawn([fd = left.native_handle()] { return poll_one(fd, POLLOUT); });
    copse::yield();
    copse::yield();
    EXPECT_EQ(watching(), 1U);
    auto reader = copse::spawn([&right = right] {
        while (!recv_text(right).empty()) {}
    });
    EXPECT_EQ(poller.get(), POLLOUT);
    left.close();
    reader.get();
}

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

// Who looks all the time starves nobody, and sees what the others do.
TEST_F(IoPoll, SpinnersLetOthersRun) {
    const foreign_pipe p;
    auto other = copse::spawn([&] {
        copse::sleep(1ms);
        p.put();
    });
    pollfd one[] = {{p.reader(), POLLIN, 0}};
    while (io::poll_for(one, 0s) == 0) {}
    EXPECT_TRUE(other.ready() || one[0].revents == POLLIN);
    other.get();
}

}  // namespace
