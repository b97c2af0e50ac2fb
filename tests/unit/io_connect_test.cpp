// Connecting to names, listening on both families, listeners that share a port. NT08.

#include "exceptions.hpp"
#include "io_leak_check.hpp"
#include "io_system_calls.hpp"
#include "name_lookup.hpp"
#include "system_calls.hpp"

#include <copse/virtual_time.hpp>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <set>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::detail::sys;

namespace {

struct attempt {
    int family;
    std::chrono::nanoseconds when;
    friend bool operator==(const attempt&, const attempt&) = default;
};

// "localhost" is 127.0.0.1, then ::1: here are their networks.
std::vector<attempt> attempts;
copse::virtual_time* clock_of_test;
int black_hole;  // the family whose packets vanish
int refusing;    // the family where nobody listens
bool all_refuse;

class IoConnect : public io_leak_check {
protected:
    IoConnect() {
        attempts.clear();
        black_hole = refusing = AF_UNSPEC;
        all_refuse = false;
    }
    ~IoConnect() override { put_back_system_calls(); }

    void watch(copse::virtual_time& time) {
        clock_of_test = &time;
        sys.connect = [](int fd, const sockaddr* there, socklen_t size) {
            if (holes.count(fd) != 0) return errno = EINPROGRESS, -1;  // asked how far it is
            attempts.push_back({there->sa_family, clock_of_test->elapsed()});
            if (all_refuse || there->sa_family == refusing) return errno = ECONNREFUSED, -1;
            if (there->sa_family == black_hole) {
                holes.insert(fd);
                return errno = EINPROGRESS, -1;
            }
            return ::connect(fd, there, size);
        };
        // Of a socket in a black hole epoll never says anything.
        sys.epoll_ctl = [](int epoll, int op, int fd, epoll_event* event) {
            if (event == nullptr || holes.count(fd) == 0) return ::epoll_ctl(epoll, op, fd, event);
            epoll_event silent{};
            silent.data = event->data;
            silent.events = static_cast<std::uint32_t>(EPOLLET) | EPOLLONESHOT;
            return ::epoll_ctl(epoll, op, fd, &silent);
        };
        sys.close = [](int fd) {
            holes.erase(fd);
            return ::close(fd);
        };
    }

    static std::string localhost(const io::socket& listener) {
        return "localhost:" + std::to_string(listener.local_endpoint().port());
    }

    static std::set<int> holes;
};
std::set<int> IoConnect::holes;

TEST_F(IoConnect, TheFirstAddressIsEnoughIfItAnswers) {
    copse::virtual_time time;
    auto listener = io::listen("127.0.0.1:0");
    watch(time);
    auto client = io::connect(localhost(listener));
    EXPECT_EQ(client.peer_endpoint(), listener.local_endpoint());
    EXPECT_EQ(attempts.front(), (attempt{AF_INET, 0s}));
    for (const attempt& a : attempts) EXPECT_EQ(a.family, AF_INET);
    EXPECT_EQ(time.elapsed(), 0s);
}

TEST_F(IoConnect, TheNextStartsAfterAQuarterOfASecond) {
    copse::virtual_time time;
    auto listener = io::listen("[::1]:0");
    watch(time);
    black_hole = AF_INET;
    auto client = io::connect(localhost(listener));
    EXPECT_EQ(client.peer_endpoint(), listener.local_endpoint());
    ASSERT_GE(attempts.size(), 2U);
    EXPECT_EQ(attempts[0], (attempt{AF_INET, 0s}));
    EXPECT_EQ(attempts[1], (attempt{AF_INET6, 250ms}));
    EXPECT_EQ(time.elapsed(), 250ms);
    EXPECT_EQ(copse::hub::current().stats().watching, 0U) << "the loser has gone";
}

TEST_F(IoConnect, TheNextStartsAtOnceWhenOneHasFailed) {
    copse::virtual_time time;
    auto listener = io::listen("[::1]:0");
    watch(time);
    refusing = AF_INET;
    auto client = io::connect(localhost(listener));
    EXPECT_EQ(client.peer_endpoint(), listener.local_endpoint());
    EXPECT_EQ(time.elapsed(), 0s);
}

TEST_F(IoConnect, OneThatFailsLateDoesNotEndTheOthers) {
    copse::virtual_time time;
    watch(time);
    black_hole = AF_INET;
    refusing = AF_INET6;
    EXPECT_THROW(io::connect_for("localhost:9", 10s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 10s);
    EXPECT_EQ(attempts, (std::vector<attempt>{{AF_INET, 0s}, {AF_INET6, 250ms}}));
}

TEST_F(IoConnect, Fault_NT08_TheNextStartsAtOnceAlsoWhileAnEarlierOneHangs) {
    copse::virtual_time time;
    auto listener = io::listen("unix:@copse-connect-" + std::to_string(::getpid()));
    watch(time);
    black_hole = AF_INET6;
    refusing = AF_INET;
    auto client = io::detail::connect_to_one_of(
        {io::endpoint::loopback(9, AF_INET6), io::endpoint::loopback(9), listener.local_endpoint()}, {});
    EXPECT_EQ(client.peer_endpoint(), listener.local_endpoint());
    EXPECT_EQ(attempts, (std::vector<attempt>{{AF_INET6, 0s}, {AF_INET, 250ms}, {AF_UNIX, 250ms}}));
    EXPECT_EQ(copse::hub::current().stats().watching, 0U) << "the losers have gone";
}

TEST_F(IoConnect, AddressesThatAreNotAllowedArePassedOver) {
    copse::virtual_time time;
    auto listener = io::listen("[::1]:0");
    watch(time);
    const io::connect_options only_six{.allow_address = [](const io::endpoint& e) { return e.family() == AF_INET6; }};
    auto client = io::connect(localhost(listener), only_six);
    EXPECT_EQ(client.peer_endpoint(), listener.local_endpoint());
    EXPECT_EQ(attempts.front(), (attempt{AF_INET6, 0s}));
    for (const attempt& a : attempts) EXPECT_EQ(a.family, AF_INET6);
    EXPECT_TRUE(io::connect_for(localhost(listener), 1s, only_six).is_open());
    EXPECT_TRUE(io::connect_until(localhost(listener), copse::clock::now() + 1s, only_six).is_open());
    EXPECT_TRUE(io::connect(to_string(listener.local_endpoint()), io::connect_options()).is_open());
}

TEST_F(IoConnect, TheTimeIsForWhoAllowsToo) {
    const copse::virtual_time time;
    const io::connect_options slow{.allow_address = [](const io::endpoint&) {
        copse::sleep(1h);
        return true;
    }};
    const std::string said = text_of([&] { io::connect_for("127.0.0.1:9", 2s, slow); });
    EXPECT_EQ(said.find("connect_options::allow_address"), 0U) << said;
    EXPECT_EQ(time.elapsed(), 2s);
}

TEST_F(IoConnect, IfNoneIsAllowedNothingIsSent) {
    copse::virtual_time time;
    watch(time);
    const io::connect_options none{.allow_address = [](const io::endpoint&) { return false; }};
    EXPECT_EQ(error_of([&] { io::connect("localhost:9", none); }), std::errc::permission_denied);
    const std::string text = text_of([&] { io::connect("localhost:9", none); });
    EXPECT_NE(text.find("localhost:9"), std::string::npos) << text;
    EXPECT_NE(text.find("127.0.0.1:9"), std::string::npos) << text;
    EXPECT_EQ(error_of([&] { io::connect("127.0.0.1:9", none); }), std::errc::permission_denied);
    EXPECT_TRUE(attempts.empty());
}

TEST_F(IoConnect, WhenAllFailTheErrorIsTheLast) {
    copse::virtual_time time;
    watch(time);
    all_refuse = true;
    const std::string text = text_of([] { io::connect("localhost:9"); });
    EXPECT_NE(text.find("to [::1]:9: Connection refused"), std::string::npos) << text;
    EXPECT_EQ(attempts.size(), 2U);
}

TEST_F(IoConnect, KilledAttemptsLeaveNothing) {
    copse::virtual_time time;
    watch(time);
    black_hole = AF_INET;
    const std::size_t before = open_descriptors();
    auto connecting = copse::spawn([] { io::connect("localhost:9"); });
    copse::sleep(100ms);
    EXPECT_EQ(copse::hub::current().stats().watching, 1U);
    connecting.kill();
    EXPECT_TRUE(connecting.killed());
    EXPECT_EQ(copse::hub::current().stats().watching, 0U);
    EXPECT_EQ(open_descriptors(), before);
    auto timed = copse::spawn([] {
        const copse::timeout soon(50ms);
        io::connect("localhost:9");
    });
    EXPECT_NE(what_is_thrown_by([&] { timed.get(); }), "nothing");
    EXPECT_EQ(copse::hub::current().stats().watching, 0U);
}

TEST_F(IoConnect, TheHubCannotConnect) {
    const error_recorder errors;
    bool done = false;
    copse::hub::current().post([&] {
        done = true;
        io::connect("localhost:9");
    });
    while (!done) copse::yield();
    ASSERT_EQ(errors.count(), 1U);
    EXPECT_THROW(std::rethrow_exception(errors[0].exception), copse::blocking_in_hub);
}

// ---- both families

TEST_F(IoConnect, OneListenerForBothFamilies) {
    auto listener = io::listen("[::]:0");
    const auto port = listener.local_endpoint().port();
    auto four = io::connect(io::endpoint::loopback(port));
    auto [by_four, from_four] = listener.accept();
    EXPECT_EQ(from_four.address(), "::ffff:127.0.0.1");
    EXPECT_EQ(from_four.port(), four.local_endpoint().port());
    auto six = io::connect(io::endpoint::loopback(port, AF_INET6));
    auto [by_six, from_six] = listener.accept();
    EXPECT_EQ(from_six, six.local_endpoint());

    auto only = io::listen("[::]:0", {.v6_only = true});
    const auto other = only.local_endpoint().port();
    EXPECT_EQ(error_of([&] { io::connect(io::endpoint::loopback(other)); }), std::errc::connection_refused);
    auto beside = io::listen(io::endpoint::any(other));  // so IPv4 is free for another one
}

// ---- several hubs

TEST_F(IoConnect, ListenersOfSeveralThreadsShareAPort) {
    auto first = io::listen("127.0.0.1:0", {.reuse_port = true});
    const io::endpoint where = first.local_endpoint();
    EXPECT_EQ(error_of([&] { io::listen(where); }), std::errc::address_in_use) << "it has to be asked for";
    constexpr int clients = 200;
    std::atomic<int> served[2] = {0, 0};
    std::atomic<int> ready = 0;
    std::atomic<bool> over = false;
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&, i] {
            auto listener = io::listen(where, {.reuse_port = true});
            ++ready;
            while (!over) {
                try {
                    io::socket s = listener.accept_for(10ms);
                    s.send_all("x");
                    ++served[i];
                } catch (const io::timed_out&) {}
            }
        });
    }
    while (ready != 2) copse::sleep(1ms);
    first.close();
    int answers = 0;
    for (int i = 0; i < clients; ++i) {
        auto client = io::connect(where);
        std::array<std::byte, 1> one;
        answers += static_cast<int>(client.recv_for(one, 10s));
    }
    over = true;
    for (auto& t : threads) t.join();
    EXPECT_EQ(answers, clients);
    EXPECT_EQ(served[0] + served[1], clients);
    EXPECT_GT(served[0], 0) << "the kernel shares them out";
    EXPECT_GT(served[1], 0);
}

TEST_F(IoConnect, DatagramSocketsOfSeveralThreadsShareAPort) {
    auto one = io::bind_datagram("127.0.0.1:0", {.reuse_port = true});
    auto two = io::bind_datagram(one.local_endpoint(), {.reuse_port = true});
    for (int i = 0; i < 64; ++i) {
        auto client = io::bind_datagram("127.0.0.1:0");
        client.send_to("x", one.local_endpoint());
    }
    int first = 0;
    int second = 0;
    std::array<std::byte, 1> room;
    while (one.try_recv(room)) ++first;
    while (two.try_recv(room)) ++second;
    EXPECT_EQ(first + second, 64);
    EXPECT_GT(first, 0);
    EXPECT_GT(second, 0);
}

}  // namespace
