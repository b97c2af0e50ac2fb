// Networks that reset, refuse, run out and fall silent: the NT rows of the fault list.
// NT01, NT05, NT06 and what of NT08 the kernel does not show on demand are in io_injection_test.cpp, NT24 in io_stream_server_test.cpp.

#include "exceptions.hpp"
#include "io_leak_check.hpp"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

class IoNetwork : public io_leak_check {
protected:
    std::array<std::byte, 4096> buffer{};
};

/// Its close is a reset.
void reset(io::socket& s) {
    s.set_option(io::linger(0s));
    s.close();
}

// ---- NT02

std::atomic<int> signals_seen;

class signal_storm {
public:
    signal_storm() {
        struct sigaction count {};
        count.sa_handler = [](int) { signals_seen.fetch_add(1, std::memory_order_relaxed); };  // and no SA_RESTART
        ::sigaction(SIGALRM, &count, &before_);
        const itimerval often{{0, 100}, {0, 100}};
        ::setitimer(ITIMER_REAL, &often, nullptr);
    }
    signal_storm(const signal_storm&) = delete;
    signal_storm& operator=(const signal_storm&) = delete;
    ~signal_storm() {
        const itimerval never{};
        ::setitimer(ITIMER_REAL, &never, nullptr);
        ::sigaction(SIGALRM, &before_, nullptr);
    }

private:
    struct sigaction before_ {};
};

TEST_F(IoNetwork, Fault_NT02_SignalStormDuringATransferIsNotSeen) {
    const signal_storm storm;
    signals_seen = 0;
    while (signals_seen < 100) {
        auto listener = io::listen("127.0.0.1:0");
        auto writer = copse::spawn([&] {
            auto client = io::connect(listener.local_endpoint());
            client.send_all(pattern(4 * 1024 * 1024));
        });
        io::socket server = listener.accept();
        EXPECT_TRUE(recv_to_end(server) == pattern(4 * 1024 * 1024));
        EXPECT_THROW(listener.accept_for(2ms), io::timed_out);
        writer.get();
    }
}

// ---- NT03

TEST_F(IoNetwork, Fault_NT03_WritingToAPeerThatIsGoneIsNoSignal) {
    struct sigaction now {};
    ::sigaction(SIGPIPE, nullptr, &now);
    ASSERT_EQ(now.sa_handler, SIG_DFL) << "the test would prove nothing";
    auto [left, right] = io::socketpair();
    right.close();
    EXPECT_EQ(error_of([&, &s = left] { s.send("x"); }), std::errc::broken_pipe);
    EXPECT_EQ(error_of([&, &s = left] { s.send_all("x"); }), std::errc::broken_pipe);
    EXPECT_EQ(error_of([&, &s = left] { s.try_send("x"); }), std::errc::broken_pipe);
    auto [client, server] = tcp_pair();
    client.shutdown(io::shut::write);
    EXPECT_EQ(error_of([&, &s = client] { s.send("x"); }), std::errc::broken_pipe);
    ::sigaction(SIGPIPE, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_DFL);
}

// ---- NT04

TEST_F(IoNetwork, Fault_NT04_ResetWhileReading) {
    auto [left, right] = tcp_pair();
    auto reader = copse::spawn([&, &s = right] { return error_of([&] { s.recv(buffer); }); });
    copse::yield();
    reset(left);
    EXPECT_EQ(reader.get(), std::errc::connection_reset);
    EXPECT_EQ(copse::hub::current().stats().watching, 0U);
    EXPECT_EQ(right.recv(buffer), 0U) << "the kernel tells of it once";
}

TEST_F(IoNetwork, Fault_NT04_ResetInTheMiddleTellsHowMuchCame) {
    auto [left, right] = tcp_pair();
    left.send_all("abc");
    std::size_t came = 0;
    auto reader = copse::spawn([&, &s = right] {
        try {
            s.recv_exactly(buffer);
        } catch (const io::transfer_error& e) {
            came = e.transferred();
            return e.code().default_error_condition();
        }
        return std::error_condition();
    });
    while (copse::hub::current().stats().watching != 0) copse::yield();
    copse::yield();
    reset(left);
    EXPECT_EQ(reader.get(), std::errc::connection_reset);
    EXPECT_EQ(came, 3U);
}

TEST_F(IoNetwork, Fault_NT04_ResetWhileWriting) {
    auto [left, right] = tcp_pair();
    const std::string much(64 * 1024 * 1024, 'x');
    std::size_t went = 0;
    auto writer = copse::spawn([&, &s = left] {
        try {
            s.send_all(much);
        } catch (const io::transfer_error& e) {
            went = e.transferred();
            return e.code().default_error_condition();
        }
        return std::error_condition();
    });
    copse::yield();
    reset(right);
    const auto error = writer.get();
    EXPECT_TRUE(error == std::errc::connection_reset || error == std::errc::broken_pipe) << error.message();
    EXPECT_GT(went, 0U);
    EXPECT_LT(went, much.size());
}

TEST_F(IoNetwork, Fault_NT04_ResetBeforeAccept) {
    auto listener = io::listen("127.0.0.1:0");
    auto client = io::connect(listener.local_endpoint());
    reset(client);
    auto [server, peer] = listener.accept();  // Linux hands it out all the same
    EXPECT_FALSE(peer.empty());
    EXPECT_EQ(error_of([&, &s = server] { s.recv(buffer); }), std::errc::connection_reset);
}

// ---- NT07

TEST_F(IoNetwork, Fault_NT07_HalfClosedBothWays) {
    auto [left, right] = tcp_pair();
    left.shutdown(io::shut::write);
    EXPECT_EQ(right.recv(buffer), 0U);
    right.send_all("still here");
    EXPECT_EQ(recv_text(left), "still here");
    right.shutdown(io::shut::write);
    EXPECT_EQ(left.recv(buffer), 0U);
    EXPECT_EQ(left.recv(buffer), 0U);
    EXPECT_EQ(error_of([&, &s = left] { s.send("x"); }), std::errc::broken_pipe);
}

TEST_F(IoNetwork, Fault_NT07_ShutdownTwice) {
    auto [left, right] = tcp_pair();
    left.shutdown(io::shut::write);
    left.shutdown(io::shut::write);
    left.shutdown(io::shut::read);
    EXPECT_EQ(left.recv(buffer), 0U) << "our own end";
    auto [u, v] = io::socketpair();
    u.shutdown(io::shut::both);
    u.shutdown(io::shut::both);
    EXPECT_EQ(v.recv(buffer), 0U);
    EXPECT_EQ(u.recv(buffer), 0U);
}

TEST_F(IoNetwork, Fault_NT07_UnconnectedIsNotConnected) {
    io::socket s(AF_INET);
    EXPECT_EQ(error_of([&] { static_cast<void>(s.peer_endpoint()); }), std::errc::not_connected);
    EXPECT_EQ(error_of([&] { s.recv(buffer); }), std::errc::not_connected);
    EXPECT_EQ(error_of([&] { s.send("x"); }), std::errc::broken_pipe);
    EXPECT_EQ(error_of([&] { s.accept(); }), std::errc::invalid_argument);
    EXPECT_EQ(error_of([&] { s.shutdown(io::shut::both); }), std::errc::not_connected);
}

// ---- what is pending when the reason to wake up has gone

/// Fills the buffers between the two ends.
void fill(io::socket& from) {
    const std::string much(65536, 'x');
    while (from.try_send(much)) continue;
    while (from.try_send("x")) continue;
}

// The half-close wakes reader and writer; the reader, who comes first, kills the writer, who still cannot send.
TEST_F(IoNetwork, KillReachesWhoWasWokenForNothing) {
    auto [left, right] = io::socketpair();
    fill(left);
    auto writer = copse::spawn([&, &left = left] { left.send_all("goodbye"); });
    auto reader = copse::spawn([&, &left = left] {
        EXPECT_EQ(recv_to_end(left), "");
        return writer.kill_for(10s);
    });
    copse::yield();
    right.shutdown(io::shut::write);
    EXPECT_TRUE(reader.get());
    EXPECT_TRUE(writer.killed());
}

// A look into another queue of the socket says nothing of the ordinary one.
TEST_F(IoNetwork, EmptyErrorQueueDoesNotHideWhatIsThere) {
    auto [left, right] = tcp_pair();
    auto reader = copse::spawn([&, &left = left] { return left.recv(std::span(buffer).first(1)); });
    copse::yield();
    right.send_all("abc");
    EXPECT_EQ(reader.get(), 1U);
    EXPECT_FALSE(left.try_recv(buffer, MSG_ERRQUEUE));
    EXPECT_EQ(left.recv_for(buffer, 10s), 2U);
}

// ---- NT08

TEST_F(IoNetwork, Fault_NT08_RefusedIsExactAndNamesTheTarget) {
    for (const char* family : {"127.0.0.1:0", "[::1]:0"}) {
        auto listener = io::listen(family);
        const io::endpoint nobody = listener.local_endpoint();
        listener.close();
        EXPECT_EQ(error_of([&] { io::connect(nobody); }), std::errc::connection_refused);
        const std::string text = text_of([&] { io::connect(nobody); });
        EXPECT_NE(text.find("to " + to_string(nobody)), std::string::npos) << text;
    }
    EXPECT_EQ(error_of([] { io::connect("unix:@copse-nobody-listens-here"); }), std::errc::connection_refused);
    EXPECT_EQ(error_of([] { io::connect("unix:/no/such/socket"); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(error_of([] { io::listen("192.0.2.1:0"); }), std::errc::address_not_available);
}

TEST_F(IoNetwork, Fault_NT08_BlackHoleTimesOut) {
    auto listener = io::listen("127.0.0.1:0", {.backlog = 0});
    auto first = io::connect(listener.local_endpoint());  // the queue is full now: what follows is not answered
    EXPECT_THROW(io::connect_for(listener.local_endpoint(), 20ms), io::timed_out);
    const copse::timeout scope(20ms);
    EXPECT_THROW(io::connect(listener.local_endpoint()), copse::timeout_expired);
}

TEST_F(IoNetwork, Fault_NT08_FullUnixListenerIsWaitedFor) {
    auto listener = io::listen("unix:@copse-full-" + std::to_string(::getpid()), {.backlog = 0});
    auto first = io::connect(listener.local_endpoint());
    EXPECT_THROW(io::connect_for(listener.local_endpoint(), 5ms), io::timed_out);
    auto second = copse::spawn([&] { return io::connect(listener.local_endpoint()); });
    copse::yield();
    EXPECT_FALSE(second.ready());
    listener.accept();
    auto connected = second.get();
    io::socket server = listener.accept();
    connected.send_all("abc");
    EXPECT_EQ(server.recv(buffer), 3U);
}

TEST_F(IoNetwork, Fault_NT08_SelfConnectIsRefused) {
    io::socket s(AF_INET);
    s.bind("127.0.0.1:0");
    const io::endpoint self = s.local_endpoint();
    EXPECT_EQ(error_of([&] { s.connect(self); }), std::errc::connection_refused);
    EXPECT_EQ(error_of([&] { s.recv(buffer); }), std::errc::not_connected);
}

TEST_F(IoNetwork, Fault_NT08_ConnectOfAConnectedOneChangesNothing) {
    auto listener = io::listen("127.0.0.1:0");
    auto client = io::connect(listener.local_endpoint());
    EXPECT_EQ(error_of([&] { client.connect(listener.local_endpoint()); }), std::errc::already_connected);
    client.send_all("abc");
    io::socket server = listener.accept();
    EXPECT_EQ(server.recv(buffer), 3U);
}

TEST_F(IoNetwork, Fault_NT08_KilledConnectLeavesNothing) {
    auto listener = io::listen("127.0.0.1:0", {.backlog = 0});
    auto first = io::connect(listener.local_endpoint());
    auto connecting = copse::spawn([&] { io::connect(listener.local_endpoint()); });
    copse::yield();
    EXPECT_EQ(copse::hub::current().stats().watching, 1U);
    connecting.kill();
    EXPECT_TRUE(connecting.killed());
}

// ---- with a network of one's own

/// Runs `f` in a thread that has a network namespace with nothing but lo. False if this machine does not allow that.
bool in_own_network(const std::function<void()>& f) {
    bool possible = false;
    std::thread([&] {
        if (::unshare(CLONE_NEWNET) != 0) return;
        const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ifreq lo{};
        std::string("lo").copy(lo.ifr_name, IFNAMSIZ - 1);
        lo.ifr_flags = IFF_UP | IFF_RUNNING;
        possible = ::ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
        ::close(fd);
        if (possible) f();
    }).join();
    return possible;
}

bool set_port_range(int first, int last) {
    std::ofstream file("/proc/sys/net/ipv4/ip_local_port_range");
    file << first << ' ' << last << std::flush;
    return file.good();
}

TEST_F(IoNetwork, Fault_NT08_UnreachableIsExact) {
    const bool ran = in_own_network([] {
        EXPECT_EQ(error_of([] { io::connect("192.0.2.1:80"); }), std::errc::network_unreachable);
        EXPECT_EQ(error_of([] { io::connect("[2001:db8::1]:80"); }), std::errc::network_unreachable);
    });
    if (!ran) GTEST_SKIP() << "no network namespace can be made here";
}

TEST_F(IoNetwork, Fault_NT08_SelfConnectByChanceIsRefused) {
    bool narrowed = false;
    const bool ran = in_own_network([&] {
        narrowed = set_port_range(40'000, 40'000);
        if (!narrowed) return;
        EXPECT_EQ(error_of([] { io::connect("127.0.0.1:40000"); }), std::errc::connection_refused);
    });
    if (!ran || !narrowed) GTEST_SKIP() << "no network namespace with few ports can be made here";
}

TEST_F(IoNetwork, Fault_NT09_PortsThatRunOutAndComeBack) {
    bool narrowed = false;
    const bool ran = in_own_network([&] {
        narrowed = set_port_range(40'000, 40'049);
        if (!narrowed) return;
        auto listener = io::listen("127.0.0.1:80");
        std::vector<io::socket> clients;
        std::error_condition end;
        while (clients.size() < 60 && !end) {
            end = error_of([&] { clients.push_back(io::connect(listener.local_endpoint())); });
        }
        EXPECT_EQ(end, std::errc::address_not_available);
        EXPECT_LE(clients.size(), 50U);
        EXPECT_GE(clients.size(), 20U);
        reset(clients.back());
        clients.pop_back();
        clients.push_back(io::connect(listener.local_endpoint()));
        clients.back().send_all("works again");
    });
    if (!ran || !narrowed) GTEST_SKIP() << "no network namespace with few ports can be made here";
}

// ---- NT13, small

TEST_F(IoNetwork, Fault_NT13_ManyConnectionsLeaveNothing) {
    io::stream_server server("127.0.0.1:0", [](io::socket s) { s.send_all(recv_text(s)); });
    server.start();
    for (int i = 0; i < 2000; ++i) {
        auto client = io::connect(server.local_endpoint());
        client.send_all("x");
        ASSERT_EQ(client.recv(buffer), 1U);
        reset(client);
    }
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.stats().accepted, 2000U);
}

}  // namespace
