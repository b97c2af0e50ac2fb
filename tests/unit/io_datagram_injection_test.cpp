// What the kernel shows rarely, put in its mouth, for the calls that move messages. NT01, NT06.

#include "io_leak_check.hpp"
#include "io_system_calls.hpp"
#include "system_calls.hpp"

#include <copse/virtual_time.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <random>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::detail::real_system_calls;
using io::detail::sys;

namespace {

std::mt19937 dice;

bool strike() { return dice() % 3 == 0; }
int refused_with(int error) {
    errno = error;
    return -1;
}

class IoDatagramInjection : public io_leak_check {
protected:
    ~IoDatagramInjection() override { put_back_system_calls(); }
    std::array<std::byte, 4096> buffer{};
};

class IoDatagramInjectionSeeds : public IoDatagramInjection, public testing::WithParamInterface<unsigned> {
protected:
    IoDatagramInjectionSeeds() {
        dice.seed(GetParam());
        sys.recvfrom = [](int fd, void* into, std::size_t size, int flags, sockaddr* from,
                          socklen_t* from_size) -> ssize_t {
            if (strike()) return refused_with(EINTR);
            return strike() ? refused_with(EAGAIN) : ::recvfrom(fd, into, size, flags, from, from_size);
        };
        sys.sendto = [](int fd, const void* from, std::size_t size, int flags, const sockaddr* there,
                        socklen_t there_size) -> ssize_t {
            if (strike()) return refused_with(EINTR);
            return strike() ? refused_with(EAGAIN) : ::sendto(fd, from, size, flags, there, there_size);
        };
        sys.recvmmsg = [](int fd, mmsghdr* m, unsigned n, int flags) {
            if (strike()) return refused_with(EINTR);
            return strike() ? refused_with(EAGAIN) : ::recvmmsg(fd, m, strike() ? 1 : n, flags, nullptr);
        };
        sys.sendmmsg = [](int fd, mmsghdr* m, unsigned n, int flags) {
            if (strike()) return refused_with(EINTR);
            return strike() ? refused_with(EAGAIN) : ::sendmmsg(fd, m, strike() ? 1 : n, flags);
        };
        sys.truthful = false;
    }

    /// Datagrams there one by one, and back in batches: loopback loses none that there is room for.
    void expect_all_arrive(const char* where) {
        constexpr std::size_t count = 100;
        auto server =
            where == std::string("unix:") ? io::bind_datagram(io::endpoint::unnamed()) : io::bind_datagram(where);
        auto client =
            where == std::string("unix:") ? io::bind_datagram(io::endpoint::unnamed()) : io::bind_datagram(where);
        auto echo = copse::spawn([&] {
            std::array<std::array<std::byte, 8>, 10> room;
            std::vector<io::datagram_slot> slots;
            for (auto& each : room) slots.push_back({each});
            for (std::size_t done = 0; done < count;) {
                const std::size_t n = server.recv_many_for(slots, 30s);
                std::vector<io::outgoing_datagram> back;
                for (std::size_t i = 0; i < n; ++i) back.push_back({slots[i].bytes(), slots[i].received.from});
                for (std::size_t sent = 0; sent < n;) sent += server.send_many_for(std::span(back).subspan(sent), 30s);
                done += n;
            }
        });
        auto writer = copse::spawn([&] {
            for (std::size_t i = 0; i < count; ++i) client.send_to_for(std::to_string(i), server.local_endpoint(), 30s);
        });
        for (std::size_t i = 0; i < count; ++i) {
            const io::datagram d = client.recv_from_for(buffer, 30s);
            EXPECT_EQ(std::string(reinterpret_cast<const char*>(buffer.data()), d.size), std::to_string(i));
            EXPECT_EQ(d.from, server.local_endpoint());
        }
        writer.get();
        echo.get();
    }
};

TEST_P(IoDatagramInjectionSeeds, Fault_NT01_DatagramsArriveWhateverTheCallsSay) {
    expect_all_arrive("127.0.0.1:0");
    expect_all_arrive("unix:");
}

INSTANTIATE_TEST_SUITE_P(Seeds, IoDatagramInjectionSeeds, testing::Range(1U, 17U));

int left;

TEST_F(IoDatagramInjection, Fault_NT06_WantOfMemoryIsWaitedOut) {
    copse::virtual_time time;
    for (const int error : {ENOBUFS, ENOMEM}) {
        static int which;
        which = error;
        sys.sendto = [](int fd, const void* from, std::size_t size, int flags, const sockaddr* there,
                        socklen_t there_size) -> ssize_t {
            return left-- > 0 ? refused_with(which) : ::sendto(fd, from, size, flags, there, there_size);
        };
        auto server = io::bind_datagram("127.0.0.1:0");
        left = 5;
        server.send_to("abc", server.local_endpoint());
        EXPECT_EQ(server.recv_from(buffer).size, 3U);
        left = 1000;
        EXPECT_EQ(error_of([&] { server.send_to("x", server.local_endpoint()); }).value(), error) << "not for ever";
        EXPECT_EQ(error_of([&] { server.try_send_to("x", server.local_endpoint()); }).value(), error);
    }
}

// A send that has room makes one call, reads no clock and arms no timer.
TEST_F(IoDatagramInjection, OneAtATimeIsOneCallEach) {
    static int calls;
    auto server = io::bind_datagram("127.0.0.1:0");
    server.send_to("x", server.local_endpoint());
    server.recv_from(buffer);
    server.send_to("x", server.local_endpoint());
    sys.recvfrom = [](int fd, void* into, std::size_t size, int flags, sockaddr* from, socklen_t* from_size) {
        return ++calls, ::recvfrom(fd, into, size, flags, from, from_size);
    };
    sys.sendto = [](int fd, const void* from, std::size_t size, int flags, const sockaddr* there,
                    socklen_t there_size) { return ++calls, ::sendto(fd, from, size, flags, there, there_size); };
    sys.epoll_ctl = [](int epoll, int op, int fd, epoll_event* event) {
        ADD_FAILURE() << "no epoll_ctl is needed";
        return real_system_calls.epoll_ctl(epoll, op, fd, event);
    };
    calls = 0;
    for (int i = 0; i < 50; ++i) {
        server.recv_from_for(buffer, 1h);
        server.send_to_for("x", server.local_endpoint(), 1h);
    }
    EXPECT_EQ(calls, 100);
    put_back_system_calls();
}

TEST_F(IoDatagramInjection, ManyAreOneCall) {
    static int calls;
    sys.recvmmsg = [](int fd, mmsghdr* m, unsigned n, int flags) {
        return ++calls, ::recvmmsg(fd, m, n, flags, nullptr);
    };
    sys.sendmmsg = [](int fd, mmsghdr* m, unsigned n, int flags) { return ++calls, ::sendmmsg(fd, m, n, flags); };
    auto [one, two] = io::socketpair(SOCK_DGRAM);
    const std::string x = "x";
    const std::vector<io::outgoing_datagram> out(50, {as_bytes(x)});
    calls = 0;
    EXPECT_EQ(one.send_many(out), 50U);
    EXPECT_EQ(calls, 1);
    std::vector<std::array<std::byte, 1>> room(50);
    std::vector<io::datagram_slot> slots;
    for (auto& each : room) slots.push_back({each});
    two.try_recv_from({}, MSG_PEEK);
    EXPECT_EQ(two.recv_many(slots), 50U);
    EXPECT_LE(calls, 3) << "one, or two if it had to learn first that there is something";
}

}  // namespace
