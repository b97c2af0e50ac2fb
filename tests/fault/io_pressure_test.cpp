// Peers that take nothing, give too much, come all at once, or set what a socket has beside the usual: NT11, NT12, NT14, NT17,
// NT20, NT25.

#include "io_leak_check.hpp"

#include <copse/virtual_time.hpp>

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoPressure = io_leak_check;

int unread(const io::socket& s) {
    int bytes = 0;
    EXPECT_EQ(::ioctl(s.native_handle(), FIONREAD, &bytes), 0);
    return bytes;
}

// ---- NT11: who takes nothing

TEST_F(IoPressure, Fault_NT11_ASenderParksAndItsTimeRunsOut) {
    copse::virtual_time time;
    auto [client, server] = tcp_pair();
    const std::string much = pattern(16 << 20);
    std::size_t taken = 0;
    try {
        client.send_all_for(much, 30s);
        ADD_FAILURE() << "the kernel took 16 MiB for somebody who reads nothing";
    } catch (const io::timed_out& e) {
        taken = e.transferred();
    }
    EXPECT_EQ(time.elapsed(), 30s);
    EXPECT_GT(taken, 0U);
    EXPECT_LT(taken, much.size());
    // What was told as taken arrives, and not a byte more.
    client.shutdown(io::shut::write);
    const std::string arrived = recv_to_end(server);
    EXPECT_EQ(arrived.size(), taken);
    EXPECT_TRUE(std::string_view(much).starts_with(arrived));
}

/// What a server writes for one who reads nothing waits in the kernel, not in the program; others are served meanwhile.
TEST_F(IoPressure, Fault_NT11_ServersServeTheOthers) {
    const std::string answer = pattern(4 << 20);
    io::stream_server server("127.0.0.1:0", [&](io::socket s) {
        if (recv_text(s) == "much") {
            s.send_all(answer);
        } else {
            s.send_all("little");
        }
    });
    server.start();
    auto lazy = io::connect(server.local_endpoint());
    lazy.send_all("much");
    while (unread(lazy) == 0) copse::sleep(1ms);
    for (int i = 0; i < 20; ++i) {
        auto quick = io::connect(server.local_endpoint());
        quick.send_all("x");
        EXPECT_EQ(recv_to_end(quick), "little");
    }
    EXPECT_EQ(server.connections(), 1U);
    EXPECT_TRUE(recv_to_end(lazy) == answer);
    EXPECT_TRUE(server.stop_for(10s));
}

// ---- NT12: who gives without end

/// A line without end is given up at its limit; the rest stays with the peer, who has to wait.
TEST_F(IoPressure, Fault_NT12_AnEndlessLineIsReadToItsLimit) {
    auto [client, server] = tcp_pair();
    server.set_option(io::receive_buffer(4096));
    std::size_t sent = 0;
    auto flood = copse::spawn([&, &out = client] {
        const std::string some(1024, 'x');
        for (;;) {
            out.send_all(some);
            sent += some.size();
        }
    });
    io::buffered_stream reader(std::move(server));
    EXPECT_EQ(error_of([&] { reader.read_line(10'000); }), std::errc::message_size);
    const std::size_t before = sent;
    while (copse::hub::current().stats().ready != 0) copse::yield();
    EXPECT_LT(sent - before, 16U << 20) << "the peer waits: its bytes are in nobody's memory";
    EXPECT_FALSE(flood.ready());
    flood.kill();
}

TEST_F(IoPressure, Fault_NT12_EverythingHasALimit) {
    auto [client, server] = tcp_pair();
    auto flood = copse::spawn([&, &out = client] {
        const std::string some(64 * 1024, 'x');
        for (;;) out.send_all(some);
    });
    io::any_stream from(std::move(server));
    EXPECT_EQ(error_of([&] { io::buffered_stream(std::move(from)).read_to_end(1 << 20); }), std::errc::file_too_large);
    EXPECT_NE(error_of([&] { flood.get(); }), std::error_condition()) << "its peer has gone";
}

// ---- NT14: all at once

/// More than the backlog holds: the kernel lets the rest try again, and each is served.
TEST_F(IoPressure, Fault_NT14_ABurstBeyondTheBacklogIsServed) {
    constexpr std::size_t burst = 250;  // the kernel's clients come again after a second, whatever the clock here says
    std::size_t turns = 0;
    bool over = false;
    io::stream_server server(io::listen("127.0.0.1:0", {.backlog = 128}),
                             [](io::socket s) { s.send_all(recv_text(s)); },
                             {.max_connections = 0, .max_per_address = 0});
    server.start();
    auto others = copse::spawn([&] {
        while (!over) {
            ++turns;
            copse::sleep(1ms);
        }
    });
    copse::group clients;
    std::size_t served = 0;
    for (std::size_t i = 0; i < burst; ++i) {
        clients.spawn([&] {
            auto client = io::connect(server.local_endpoint());
            client.send_all("x");
            served += recv_to_end(client) == "x";
        });
    }
    clients.join();
    over = true;
    others.join();
    EXPECT_EQ(served, burst);
    EXPECT_GT(turns, 3U) << "timers have gone on meanwhile";
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.stats().accepted, burst);
}

// ---- NT17: what a socket has beside the usual

TEST_F(IoPressure, Fault_NT17_AnUrgentByteStaysOutOfTheStream) {
    auto [client, server] = tcp_pair();
    client.send_all("ab");
    EXPECT_EQ(::send(client.native_handle(), "!", 1, MSG_OOB), 1);
    client.send_all("cd");
    client.shutdown(io::shut::write);
    io::wait_readable(server.native_handle());
    char urgent = 0;
    EXPECT_EQ(::recv(server.native_handle(), &urgent, 1, MSG_OOB), 1);
    EXPECT_EQ(urgent, '!');
    EXPECT_EQ(recv_to_end(server), "abcd");
}

TEST_F(IoPressure, Fault_NT17_LookingAheadTakesNothing) {
    auto [client, server] = tcp_pair();
    client.send_all("abc");
    io::wait_readable(server.native_handle());
    std::array<char, 8> seen{};
    EXPECT_EQ(::recv(server.native_handle(), seen.data(), seen.size(), MSG_PEEK), 3);
    EXPECT_EQ(recv_text(server), "abc");
}

TEST_F(IoPressure, Fault_NT17_LingerOfZeroIsAReset) {
    auto [client, server] = tcp_pair();
    auto reading = copse::spawn([&, &from = server] { recv_text(from); });
    copse::yield();
    client.set_option(io::linger(0s));
    client.close();
    EXPECT_EQ(error_of([&] { reading.get(); }), std::errc::connection_reset);
}

/// A low-water mark of the kernel's is what readiness means.
TEST_F(IoPressure, Fault_NT17_ReadinessRespectsTheLowWaterMark) {
    copse::virtual_time time;
    auto [client, server] = tcp_pair();
    const int mark = 10;
    ASSERT_EQ(::setsockopt(server.native_handle(), SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark), 0);
    client.send_all("123456789");
    EXPECT_THROW(io::wait_readable_for(server.native_handle(), 1s), io::timed_out);
    client.send_all("0");
    io::wait_readable_for(server.native_handle(), 1s);
    EXPECT_EQ(recv_text(server), "1234567890");
}

// ---- NT20: two families of addresses

TEST_F(IoPressure, Fault_NT20_BothFamiliesByOneListener) {
    auto listener = io::listen("[::]:0");
    const std::uint16_t port = listener.local_endpoint().port();
    auto four = io::connect(io::endpoint::loopback(port));
    auto accepted = listener.accept();
    EXPECT_EQ(to_string(accepted.peer), "[::ffff:127.0.0.1]:" + std::to_string(four.local_endpoint().port()));
    EXPECT_TRUE(accepted.peer.is_loopback());
    auto mapped = io::connect(io::endpoint::parse("[::ffff:127.0.0.1]:" + std::to_string(port)));
    EXPECT_EQ(listener.accept().peer.port(), mapped.local_endpoint().port());
    auto six = io::connect(io::endpoint::loopback(port, AF_INET6));
    EXPECT_EQ(listener.accept().peer, six.local_endpoint());
}

TEST_F(IoPressure, Fault_NT20_OneFamilyIsOne) {
    auto listener = io::listen("[::]:0", {.v6_only = true});
    const std::uint16_t port = listener.local_endpoint().port();
    EXPECT_EQ(error_of([&] { io::connect(io::endpoint::loopback(port)); }), std::errc::connection_refused);
    io::connect(io::endpoint::loopback(port, AF_INET6));
}

TEST_F(IoPressure, Fault_NT20_ALinkLocalAddressNeedsItsZone) {
    EXPECT_EQ(to_string(io::endpoint::parse("[fe80::1%lo]:7")), "[fe80::1%lo]:7");
    EXPECT_THROW(io::endpoint::parse("[fe80::1%no-such-zone]:7"), std::invalid_argument);
    EXPECT_EQ(error_of([] { io::connect("[fe80::1]:7"); }), std::errc::invalid_argument);
}

// ---- NT25: addresses that are none

TEST_F(IoPressure, Fault_NT25_APeerWithoutANameHasAnEmptyAddress) {
    auto listener = io::listen("unix:@copse-pressure-" + std::to_string(::getpid()));
    auto client = io::connect(listener.local_endpoint());
    auto accepted = listener.accept();
    EXPECT_EQ(to_string(accepted.peer), "unix:");
    EXPECT_EQ(accepted.peer.address(), "");
    EXPECT_EQ(to_string(client.local_endpoint()), "unix:");
}

TEST_F(IoPressure, Fault_NT25_AClosedOneHasNone) {
    auto [client, server] = tcp_pair();
    client.close();
    EXPECT_EQ(error_of([&, &closed = client] { closed.local_endpoint(); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&, &closed = client] { closed.peer_endpoint(); }), std::errc::bad_file_descriptor);
    io::socket never;
    EXPECT_EQ(error_of([&] { never.local_endpoint(); }), std::errc::bad_file_descriptor);
}

}  // namespace
