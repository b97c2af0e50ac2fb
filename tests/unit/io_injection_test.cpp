// Faults that the kernel shows rarely, put in its mouth: EINTR, EAGAIN, short counts, want of memory, at every call and by seed.

#include "exceptions.hpp"
#include "io_leak_check.hpp"
#include "io_system_calls.hpp"
#include "system_calls.hpp"

#include <copse/virtual_time.hpp>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::detail::sys;

namespace {

/// The kernel's table is back when the test ends.
class IoInjection : public io_leak_check {
protected:
    ~IoInjection() override { put_back_system_calls(); }
    std::array<std::byte, 4096> buffer{};
};

// ---- NT01: a fault in one call of three

std::mt19937 dice;

bool strike() { return dice() % 3 == 0; }
int interrupted() {
    errno = EINTR;
    return -1;
}
std::size_t shortened(std::size_t size) { return size < 2 ? size : 1 + dice() % (size - 1); }

ssize_t again() {
    errno = EAGAIN;
    return -1;
}

ssize_t shaky_recv(int fd, void* into, std::size_t size, int flags) {
    if (strike()) return interrupted();
    if (strike()) return again();
    return ::recv(fd, into, strike() ? shortened(size) : size, flags);
}
ssize_t shaky_send(int fd, const void* from, std::size_t size, int flags) {
    if (strike()) return interrupted();
    if (strike()) return again();
    return ::send(fd, from, strike() ? shortened(size) : size, flags);
}
int shaky_accept(int fd, sockaddr* from, socklen_t* size, int flags) {
    if (strike()) return interrupted();
    if (strike()) return static_cast<int>(again());
    if (strike()) {
        errno = ECONNABORTED;
        return -1;
    }
    return ::accept4(fd, from, size, flags);
}
int shaky_connect(int fd, const sockaddr* there, socklen_t size) {
    if (strike()) return interrupted();
    const int result = ::connect(fd, there, size);
    return result == 0 && strike() ? interrupted() : result;  // interrupted, and yet it goes on
}
int shaky_epoll_wait(int epoll, epoll_event* events, int n, int timeout) {
    if (strike()) return interrupted();
    return ::epoll_wait(epoll, events, strike() ? 1 : n, timeout);
}
int shaky_epoll_pwait2(int epoll, epoll_event* events, int n, const timespec* timeout, const sigset_t* mask) {
    if (strike()) return interrupted();
    return ::epoll_pwait2(epoll, events, n, timeout, mask);
}

class IoInjectionSeeds : public IoInjection, public testing::WithParamInterface<unsigned> {
protected:
    IoInjectionSeeds() {
        dice.seed(GetParam());
        sys.recv = shaky_recv;
        sys.send = shaky_send;
        sys.accept4 = shaky_accept;
        sys.connect = shaky_connect;
        sys.epoll_wait = shaky_epoll_wait;
        sys.epoll_pwait2 = shaky_epoll_pwait2;
        sys.truthful = false;
    }

    /// An echo there and back: what was sent, what the server saw, what came back.
    void expect_equal_streams(const std::string& where) {
        auto listener = io::listen(where);
        const std::string sent = pattern(100'000, GetParam());
        auto server = copse::spawn([&] {
            io::socket s = listener.accept_for(30s);
            std::string all;
            while (const std::size_t n = s.recv_for(buffer, 30s)) {
                const auto got = std::span<const std::byte>(buffer).first(n);
                all.append(reinterpret_cast<const char*>(got.data()), n);
                s.send_all_for(got, 30s);
            }
            s.shutdown(io::shut::write);
            return all;
        });
        auto client = io::connect_for(listener.local_endpoint(), 30s);
        auto writer = copse::spawn([&] {
            client.send_all_for(sent, 30s);
            client.shutdown(io::shut::write);
        });
        std::string back(sent.size(), '\0');
        EXPECT_EQ(client.recv_exactly_for(std::as_writable_bytes(std::span(back)), 30s), back.size());
        EXPECT_TRUE(back == sent);
        EXPECT_TRUE(server.get() == sent);
        std::array<std::byte, 1> none;
        EXPECT_EQ(client.recv_for(none, 30s), 0U);
        writer.get();
    }
};

TEST_P(IoInjectionSeeds, Fault_NT01_StreamsAreEqualWhateverTheCallsSay) {
    expect_equal_streams("127.0.0.1:0");
    expect_equal_streams("unix:@copse-injection-" + std::to_string(::getpid()) + "-" + std::to_string(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Seeds, IoInjectionSeeds, testing::Range(1U, 33U));

// What the kernel itself may do at any time needs no warning.
TEST_F(IoInjection, Fault_NT01_InterruptionsAreNotSeen) {
    for (unsigned seed = 1; seed <= 16; ++seed) {
        put_back_system_calls();
        dice.seed(seed);
        sys.recv = [](int fd, void* into, std::size_t size, int flags) {
            return strike() ? interrupted() : ::recv(fd, into, size, flags);
        };
        sys.send = [](int fd, const void* from, std::size_t size, int flags) {
            return strike() ? interrupted() : ::send(fd, from, size, flags);
        };
        sys.epoll_wait = shaky_epoll_wait;
        auto [left, right] = tcp_pair();
        const std::string sent = pattern(300'000, seed);
        auto writer = copse::spawn([&, &s = left] {
            s.send_all(sent);
            s.close();
        });
        EXPECT_TRUE(recv_to_end(right) == sent) << "seed " << seed;
        writer.get();
    }
}

TEST_F(IoInjection, AgainParksUntilTheNextEvent) {
    static int lies;
    lies = 1;
    sys.recv = [](int fd, void* into, std::size_t size, int flags) {
        if (lies-- > 0) return static_cast<ssize_t>((errno = EAGAIN, -1));
        return ::recv(fd, into, size, flags);
    };
    auto [left, right] = io::socketpair();
    left.send_all("abc");
    auto reader = copse::spawn([&, &right = right] { return right.recv(buffer); });
    while (lies > 0) copse::yield();
    copse::yield();
    left.send_all("def");
    EXPECT_EQ(reader.get(), 6U);
}

// ---- NT05

int aborted_connections;

TEST_F(IoInjection, Fault_NT05_ConnectionsThatFailedBeforeAcceptArePassedOver) {
    for (const int error :
         {ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH}) {
        static int which;
        which = error;
        aborted_connections = 10;
        sys.accept4 = [](int fd, sockaddr* from, socklen_t* size, int flags) {
            if (aborted_connections-- > 0) return errno = which, -1;
            return ::accept4(fd, from, size, flags);
        };
        auto [left, right] = tcp_pair();
        left.send_all("abc");
        EXPECT_EQ(right.recv(buffer), 3U);
        EXPECT_LT(aborted_connections, 0);
    }
}

TEST_F(IoInjection, Fault_NT05_EndlessFailuresOfAcceptReachTheCaller) {
    auto listener = io::listen("127.0.0.1:0");
    sys.accept4 = [](int, sockaddr*, socklen_t*, int) { return errno = ENETDOWN, -1; };
    auto client = io::connect(listener.local_endpoint());
    EXPECT_EQ(error_of([&] { listener.accept(); }), std::errc::network_down);
    EXPECT_EQ(error_of([&] { listener.try_accept(); }), std::errc::network_down);
}

// Rule 137: 10 ms, doubling to 1 s, from the start after a success.
TEST_F(IoInjection, Fault_NT05_ServerPausesLongerAndLonger) {
    copse::virtual_time time;
    const error_recorder errors;
    static std::vector<std::chrono::nanoseconds> attempts;
    static bool broken;
    static copse::virtual_time* clock;
    attempts.clear();
    broken = true;
    clock = &time;
    sys.accept4 = [](int fd, sockaddr* from, socklen_t* size, int flags) {
        if (!broken) return ::accept4(fd, from, size, flags);
        attempts.push_back(clock->elapsed());
        return errno = EPERM, -1;
    };
    io::stream_server server("127.0.0.1:0", [](io::socket s) { s.send_all("bye"); });
    server.start();
    auto client = io::connect(server.local_endpoint());
    copse::sleep(5s);
    std::vector<std::chrono::nanoseconds> gaps;
    for (std::size_t i = 1; i < attempts.size(); ++i) gaps.push_back(attempts[i] - attempts[i - 1]);
    EXPECT_EQ(gaps, (std::vector<std::chrono::nanoseconds>{10ms, 20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1s, 1s, 1s}));
    EXPECT_EQ(errors.count(), 5U) << "at most once a second";

    broken = false;
    EXPECT_EQ(recv_to_end(client), "bye");
    broken = true;
    attempts.clear();
    auto next = io::connect(server.local_endpoint());
    copse::sleep(15ms);
    EXPECT_EQ(attempts.size(), 2U) << "the first pause is short again";
    server.stop();
    EXPECT_TRUE(server.stop_for(1s));
}

// ---- NT06

int starving;

TEST_F(IoInjection, Fault_NT06_WantOfMemoryIsWaitedOut) {
    copse::virtual_time time;
    for (const int error : {ENOBUFS, ENOMEM}) {
        static int which;
        which = error;
        starving = 5;
        sys.send = [](int fd, const void* from, std::size_t size, int flags) -> ssize_t {
            if (starving-- > 0) return errno = which, -1;
            return ::send(fd, from, size, flags);
        };
        auto [left, right] = io::socketpair();
        left.send_all("abc");
        EXPECT_EQ(right.recv(buffer), 3U);
        starving = 1000;
        EXPECT_EQ(error_of([&, &s = left] { s.send("x"); }).value(), error) << "not for ever";
        starving = 1000;
        EXPECT_EQ(error_of([&, &s = left] { s.send_for("x", 5ms); }).value(), error) << "nor beyond its time";
    }
    EXPECT_EQ(time.elapsed(), 2 * (31ms + 255ms + 3ms));
}

// ---- FD10, FD11, FD18

int refusals;

TEST_F(IoInjection, Fault_FD10_RefusedRegistrationReachesTheCallerAndLeavesNothing) {
    for (const int error : {ENOSPC, ENOMEM}) {
        static int which;
        which = error;
        auto [left, right] = io::socketpair();
        sys.epoll_ctl = [](int epoll, int op, int fd, epoll_event* event) {
            if (refusals-- > 0) return errno = which, -1;
            return ::epoll_ctl(epoll, op, fd, event);
        };
        refusals = 1;
        EXPECT_EQ(error_of([&, &s = right] { s.recv(buffer); }).value(), error);
        const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        refusals = 1;
        EXPECT_EQ(error_of([fd] { io::wait_readable(fd); }).value(), error);
        EXPECT_EQ(copse::hub::current().stats().watching, 0U);
        refusals = 0;
        ::eventfd_write(fd, 1);
        io::wait_readable(fd);
        left.send_all("abc");
        EXPECT_EQ(right.recv(buffer), 3U);
        io::notify_closing(fd);
        ::close(fd);
    }
}

TEST_F(IoInjection, Fault_FD11_InterruptedWaitsAreNotSeen) {
    static int storms;
    storms = 1000;
    sys.epoll_wait = [](int epoll, epoll_event* events, int n, int timeout) {
        return storms-- > 0 ? interrupted() : ::epoll_wait(epoll, events, n, timeout);
    };
    sys.epoll_pwait2 = [](int epoll, epoll_event* events, int n, const timespec* timeout, const sigset_t* mask) {
        return storms-- > 0 ? interrupted() : ::epoll_pwait2(epoll, events, n, timeout, mask);
    };
    auto [left, right] = io::socketpair();
    auto writer = copse::spawn([&, &left = left] { left.send_all("abc"); });
    EXPECT_EQ(right.recv_for(buffer, 10s), 3U);
    storms = 1000;
    EXPECT_THROW(right.recv_for(buffer, 2ms), io::timed_out);
    writer.get();
}

TEST_F(IoInjection, Fault_FD18_NanosecondWaitMayBeForbidden) {
    for (const int error : {ENOSYS, EPERM}) {
        std::thread([error] {
            static int which;
            which = error;
            sys.epoll_pwait2 = [](int, epoll_event*, int, const timespec*, const sigset_t*) {
                return errno = which, -1;
            };
            auto [left, right] = io::socketpair();
            const auto start = copse::clock::now();
            std::array<std::byte, 1> one;
            EXPECT_THROW(right.recv_for(one, 1500us), io::timed_out);
            EXPECT_GE(copse::clock::now() - start, 1500us);
        }).join();
    }
}

// ---- connect

TEST_F(IoInjection, ConnectThatIsInterruptedGoesOn) {
    static int calls;
    calls = 0;
    sys.connect = [](int fd, const sockaddr* there, socklen_t size) {
        const int result = ::connect(fd, there, size);
        return ++calls == 1 ? interrupted() : result;
    };
    auto listener = io::listen("127.0.0.1:0");
    auto client = io::connect(listener.local_endpoint());
    client.send_all("abc");
    io::socket server = listener.accept();
    EXPECT_EQ(server.recv(buffer), 3U);
}

TEST_F(IoInjection, Fault_NT08_ErrorThatComesAfterInProgressIsExact) {
    for (const int error : {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT}) {
        static int which;
        which = error;
        sys.connect = [](int, const sockaddr*, socklen_t) { return errno = EINPROGRESS, -1; };
        sys.getsockopt = [](int fd, int level, int name, void* value, socklen_t* size) {
            if (name != SO_ERROR) return ::getsockopt(fd, level, name, value, size);
            *static_cast<int*>(value) = which;
            return 0;
        };
        const std::string text = text_of([] { io::connect("127.0.0.1:9"); });
        EXPECT_NE(text.find("to 127.0.0.1:9: " + std::generic_category().message(error)), std::string::npos) << text;
    }
}

TEST_F(IoInjection, Fault_NT08_OneTimeForAllAddresses) {
    copse::virtual_time time;
    sys.connect = [](int fd, const sockaddr*, socklen_t) {
        // As a black hole would: it is under way, for ever. A listener's queue is what has no event for us here.
        static_cast<void>(fd);
        return errno = EINPROGRESS, -1;
    };
    sys.epoll_ctl = [](int epoll, int op, int fd, epoll_event* event) {
        epoll_event silent{};
        if (event != nullptr) silent.data = event->data;
        silent.events = static_cast<std::uint32_t>(EPOLLET) | EPOLLONESHOT;
        return ::epoll_ctl(epoll, op, fd, event == nullptr ? nullptr : &silent);
    };
    EXPECT_THROW(io::connect_for("localhost:9", 10s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 10s);
}

int addresses_tried;

TEST_F(IoInjection, Fault_NT08_TheTimeRunsOnFromAddressToAddress) {
    copse::virtual_time time;
    addresses_tried = 0;
    sys.connect = [](int fd, const sockaddr* there, socklen_t size) {
        if (addresses_tried++ != 0) return errno = EINPROGRESS, -1;
        copse::sleep(4s);  // the first says no, late
        static_cast<void>(fd), static_cast<void>(there), static_cast<void>(size);
        return errno = ECONNREFUSED, -1;
    };
    sys.epoll_ctl = [](int epoll, int op, int fd, epoll_event* event) {
        epoll_event silent{};
        if (event != nullptr) silent.data = event->data;
        silent.events = static_cast<std::uint32_t>(EPOLLET) | EPOLLONESHOT;
        return ::epoll_ctl(epoll, op, fd, event == nullptr ? nullptr : &silent);
    };
    EXPECT_THROW(io::connect_for("localhost:9", 10s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 10s);
}

// ---- the cost of a wait that does not park

int epoll_calls;

TEST_F(IoInjection, CallsThatNeedNotParkCostNothingBesides) {
    auto [left, right] = tcp_pair();
    left.send_all(std::string(1000, 'x'));
    EXPECT_EQ(right.recv(std::span(buffer).first(10)), 10U);
    sys.epoll_ctl = [](int epoll, int op, int fd, epoll_event* event) {
        return ++epoll_calls, ::epoll_ctl(epoll, op, fd, event);
    };
    sys.epoll_wait = [](int epoll, epoll_event* events, int n, int t) {
        return ++epoll_calls, ::epoll_wait(epoll, events, n, t);
    };
    epoll_calls = 0;
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(right.recv_for(std::span(buffer).first(10), 1h), 10U);
        EXPECT_EQ(right.send("y"), 1U);
    }
    EXPECT_EQ(epoll_calls, 0);
    EXPECT_EQ(copse::hub::current().stats().timers, 0U);
}

// 2.0 system calls a request: one receive, one send, nothing to learn that there is no more.
int receives;

TEST_F(IoInjection, ShortReceiveIsBelieved) {
    auto [left, right] = tcp_pair();
    auto server = copse::spawn([&, &right = right] {
        std::array<std::byte, 4096> mine;
        while (const std::size_t n = right.recv(mine)) right.send_all(std::span<const std::byte>(mine).first(n));
    });
    sys.recv = [](int fd, void* into, std::size_t size, int flags) {
        return ++receives, ::recv(fd, into, size, flags);
    };
    receives = 0;
    for (int i = 0; i < 100; ++i) {
        left.send_all("ping");
        EXPECT_EQ(left.recv(buffer), 4U);
    }
    EXPECT_EQ(receives, 200);
    left.close();
    server.get();
}

}  // namespace
