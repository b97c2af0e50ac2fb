// The descriptors that a hub sleeps on: lost, or waited for by themselves. FD05, FD07.

#include "exceptions.hpp"
#include "io_descriptors.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <thread>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoDescriptor = descriptor_fixture;

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

}  // namespace
