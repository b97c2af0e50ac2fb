// Datagrams: who waits for one, or for room, how long, and what ends it.

#include "io_datagram_fixture.hpp"
#include "worker.hpp"

#include <copse/virtual_time.hpp>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoDatagram = datagram_fixture;

// ---- receiving

TEST_F(IoDatagram, ReceivingParksUntilOneComes) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto client = io::connect_datagram(server.local_endpoint());
    for (int i = 0; i < 3; ++i) {
        auto reader = copse::spawn([&] { return text(server.recv_from(buffer)); });
        copse::yield();
        EXPECT_EQ(copse::hub::current().stats().watching, 1U);
        client.send("abc");
        EXPECT_EQ(reader.get(), "abc");
    }
}

TEST_F(IoDatagram, TimesAreKept) {
    copse::virtual_time time;
    auto server = io::bind_datagram("127.0.0.1:0");
    EXPECT_THROW(server.recv_from_for(buffer, 2s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_THROW(server.recv_from_until(buffer, copse::clock::now() + 1s), io::timed_out);
    EXPECT_EQ(time.elapsed(), 3s);
    EXPECT_THROW(server.recv_from_for(buffer, 0s), io::timed_out);
    EXPECT_THROW(server.recv_from_for(buffer, -1h), io::timed_out);
    EXPECT_EQ(time.elapsed(), 3s);
    EXPECT_THROW(server.recv_from_for(buffer, std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    server.set_timeout(5s);
    EXPECT_THROW(server.recv_from(buffer), io::timed_out);
    EXPECT_EQ(time.elapsed(), 8s);
    server.set_timeout(0s);
    EXPECT_EQ(error_of([&] { server.recv_from(buffer); }), std::errc::operation_would_block);
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("abc");
    EXPECT_EQ(text(server.recv_from_for(buffer, 1s)), "abc");
}

TEST_F(IoDatagram, KilledAndTimedOutReceiversTakeNothing) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto client = io::connect_datagram(server.local_endpoint());
    auto reader = copse::spawn([&] { server.recv_from(buffer); });
    copse::yield();
    reader.kill();
    EXPECT_TRUE(reader.killed());
    EXPECT_EQ(copse::hub::current().stats().watching, 0U);
    EXPECT_THROW(
        {
            const copse::timeout soon(1ms);
            server.recv_from(buffer);
        },
        copse::timeout_expired);
    client.send("abc");
    EXPECT_EQ(text(server.recv_from(buffer)), "abc");
}

TEST_F(IoDatagram, SatisfiedReceiveCompletesBeforeAKill) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto client = io::connect_datagram(server.local_endpoint());
    std::string got;
    auto reader = copse::spawn([&] { got = text(server.recv_from(buffer)); });
    copse::yield();
    client.send("abc");
    while (copse::hub::current().stats().watching != 0) copse::yield();  // made ready, has not run yet
    reader.request_kill();
    reader.join();
    EXPECT_EQ(got, "abc") << "what was acquired is not lost";
}

TEST_F(IoDatagram, SucceedingAtOnceIsAKillPoint) {
    auto server = io::bind_datagram("127.0.0.1:0");
    const io::endpoint here = server.local_endpoint();
    auto named = io::bind_datagram(abstract("kill"));
    const io::endpoint there = named.local_endpoint();
    const std::vector<io::outgoing_datagram> many = {{{}, here}};
    std::vector<io::datagram_slot> slots = {{buffer}};
    server.send_to("stays", here);
    const auto is_killed_in = [](auto verb) {
        copse::fiber<void> self;
        self = copse::spawn([&] {
            self.request_kill();
            verb();
        });
        self.join();
        return self.killed();
    };
    EXPECT_TRUE(is_killed_in([&] { server.send_to("x", here); }));
    EXPECT_TRUE(is_killed_in([&] { named.send_to("x", there); }));
    EXPECT_TRUE(is_killed_in([&] { server.send_many(many); }));
    EXPECT_TRUE(is_killed_in([&] { server.recv_from(buffer); }));
    EXPECT_TRUE(is_killed_in([&] { server.recv_many(slots); }));
    EXPECT_TRUE(is_killed_in([&] { server.recv_many({}); }));
    EXPECT_EQ(text(server.recv_from(buffer)), "stays");
    EXPECT_FALSE(server.try_recv_from(buffer).has_value());
    EXPECT_FALSE(named.try_recv_from(buffer).has_value());
}

TEST_F(IoDatagram, CloseWakesTheReceiver) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto reader = copse::spawn([&] { return error_of([&] { server.recv_from(buffer); }); });
    copse::yield();
    server.close();
    EXPECT_EQ(reader.get(), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { server.recv_from(buffer); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { server.send_to("x", io::endpoint::loopback(9)); }), std::errc::bad_file_descriptor);
}

TEST_F(IoDatagram, ASecondReceiverIsRefused) {
    auto server = io::bind_datagram("127.0.0.1:0");
    auto reader = copse::spawn([&] { server.recv_from(buffer); });
    copse::yield();
    EXPECT_THROW(server.recv_from(buffer), copse::concurrent_use);
    reader.kill();
}

TEST_F(IoDatagram, AnotherThreadIsRefused) {
    auto server = io::bind_datagram("127.0.0.1:0");
    worker other;
    other.run([&] {
        EXPECT_THROW(server.recv_from(buffer), copse::wrong_thread);
        EXPECT_THROW(server.try_recv_from(buffer), copse::wrong_thread);
        EXPECT_THROW(server.send_to("x", io::endpoint::loopback(9)), copse::wrong_thread);
        EXPECT_THROW(server.recv_many({}), copse::wrong_thread);
        EXPECT_THROW(server.send_many({}), copse::wrong_thread);
    });
}

// ---- full receivers

TEST_F(IoDatagram, AFullUnixReceiverIsWaitedFor) {
    auto server = io::bind_datagram(abstract("full"));
    const io::endpoint there = server.local_endpoint();
    auto client = io::bind_datagram(io::endpoint::unnamed());
    std::size_t sent = 0;
    while (client.try_send_to("x", there)) ++sent;
    ASSERT_GT(sent, 0U);

    copse::virtual_time time;
    EXPECT_THROW(client.send_to_for("late", there, 100ms), io::timed_out);
    EXPECT_EQ(time.elapsed(), 100ms);
    client.set_timeout(0s);
    EXPECT_EQ(error_of([&] { client.send_to("late", there); }), std::errc::operation_would_block);
    client.set_timeout(std::nullopt);
    auto killed = copse::spawn([&] { client.send_to("late", there); });
    copse::yield();
    killed.kill();

    auto writer = copse::spawn([&] { client.send_to("y", there); });
    copse::yield();
    for (std::size_t i = 0; i < sent; ++i) EXPECT_EQ(text(server.recv_from(buffer)), "x");
    writer.get();
    EXPECT_EQ(text(server.recv_from(buffer)), "y");
    EXPECT_FALSE(server.try_recv_from(buffer).has_value());
}

// Of a connected one the kernel tells when there is room.
TEST_F(IoDatagram, AFullUnixReceiverThatIsConnectedToIsWaitedForByEvent) {
    copse::virtual_time time;
    auto server = io::bind_datagram(abstract("full"));
    auto client = io::connect_datagram(server.local_endpoint());
    std::size_t sent = 0;
    while (client.try_send("x")) ++sent;
    auto writer = copse::spawn([&] { client.send("y"); });
    copse::yield();
    EXPECT_EQ(copse::hub::current().stats().watching, 1U);
    for (std::size_t i = 0; i < sent; ++i) EXPECT_EQ(text(server.recv_from(buffer)), "x");
    writer.get();
    EXPECT_EQ(text(server.recv_from(buffer)), "y");
    EXPECT_EQ(time.elapsed(), 0s);
}

TEST_F(IoDatagram, ClosedWhileAFullReceiverIsWaitedFor) {
    auto server = io::bind_datagram(abstract("full"));
    const io::endpoint there = server.local_endpoint();
    auto client = io::bind_datagram(io::endpoint::unnamed());
    while (client.try_send_to("x", there)) {}
    auto writer = copse::spawn([&] { return error_of([&] { client.send_to("y", there); }); });
    copse::yield();
    client.close();
    EXPECT_EQ(writer.get(), std::errc::bad_file_descriptor);
}

}  // namespace
