// poll: what it says of each kind of descriptor, who wakes, when time is up. HK07, FD06, FD08.

#include "io_foreign_pipe.hpp"
#include "io_poll_fixture.hpp"

#include <copse/virtual_time.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoPoll = poll_fixture;

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
