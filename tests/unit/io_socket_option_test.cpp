// Options: each is set and read back. Groups of datagrams.

#include "io_leak_check.hpp"

#include <net/if.h>
#include <unistd.h>

#include <array>
#include <string>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

class IoSocketOption : public io_leak_check {
protected:
    std::array<std::byte, 4096> buffer{};
    io::socket tcp{AF_INET};  // made after the base class has counted
    io::socket tcp6{AF_INET6};
    io::socket udp{AF_INET, SOCK_DGRAM};
    io::socket udp6{AF_INET6, SOCK_DGRAM};

    template <class Flag>
    static void expect_turns(io::socket& s) {
        for (const bool on : {true, false, true}) {
            s.set_option(Flag(on));
            EXPECT_EQ(s.get_option<Flag>().on, on);
        }
    }
    template <class Number>
    static void expect_keeps(io::socket& s, int value) {
        s.set_option(Number(value));
        EXPECT_EQ(s.get_option<Number>().value, value);
    }
    template <class Duration, class Unit>
    static void expect_lasts(io::socket& s, Unit length) {
        s.set_option(Duration(length));
        EXPECT_EQ(s.get_option<Duration>().length, length);
    }

    void TearDown() override {
        for (io::socket* s : {&tcp, &tcp6, &udp, &udp6}) s->close();
        io_leak_check::TearDown();
    }
};

TEST_F(IoSocketOption, FlagsTurn) {
    expect_turns<io::no_delay>(tcp);
    expect_turns<io::keep_alive>(tcp);
    expect_turns<io::reuse_address>(tcp);
    expect_turns<io::reuse_port>(tcp);
    expect_turns<io::v6_only>(tcp6);
    expect_turns<io::broadcast>(udp);
    expect_turns<io::inline_urgent_data>(tcp);
    expect_turns<io::cork>(tcp);
    expect_turns<io::quick_ack>(tcp);
    expect_turns<io::fast_open_connect>(tcp);
    expect_turns<io::free_bind>(tcp);
    expect_turns<io::multicast_loop>(udp);
    expect_turns<io::multicast_loop_v6>(udp6);
}

TEST_F(IoSocketOption, NumbersAreKept) {
    expect_keeps<io::keep_alive_count>(tcp, 7);
    expect_keeps<io::time_to_live>(tcp, 42);
    expect_keeps<io::hop_limit>(tcp6, 43);
    expect_keeps<io::type_of_service>(udp, 46 << 2);
    expect_keeps<io::traffic_class>(udp6, 46 << 2);
    expect_keeps<io::priority>(udp, 5);
    expect_keeps<io::multicast_ttl>(udp, 3);
    expect_keeps<io::multicast_hops>(udp6, 4);
    tcp.set_option(io::fast_open(16));
    tcp.set_option(io::unsent_low_water(16'384));
    EXPECT_EQ(tcp.get_option<io::unsent_low_water>().bytes, 16'384);
}

TEST_F(IoSocketOption, DurationsHaveTheirUnits) {
    expect_lasts<io::keep_alive_idle>(tcp, 61s);
    expect_lasts<io::keep_alive_interval>(tcp, 7s);
    expect_lasts<io::user_timeout>(tcp, 1500ms);
    expect_lasts<io::user_timeout>(tcp, 0ms);
    tcp.set_option(io::defer_accept(1s));
    EXPECT_GE(tcp.get_option<io::defer_accept>().length, 1s) << "the kernel rounds up";
    EXPECT_EQ(tcp.get_option<io::keep_alive_idle>().length, 61s);
    EXPECT_EQ(error_of([&] { tcp.set_option(io::user_timeout(-5ms)); }), std::errc::invalid_argument);
    EXPECT_EQ(error_of([&] { tcp.set_option(io::user_timeout(std::chrono::hours(24 * 365 * 100))); }),
              std::errc::invalid_argument)
        << "what is too long is no short one";
    EXPECT_EQ(error_of([&] { tcp.set_option(io::keep_alive_idle(0s)); }), std::errc::invalid_argument);
}

TEST_F(IoSocketOption, TextsAreKept) {
    const auto usual = tcp.get_option<io::congestion_control>();
    EXPECT_FALSE(usual.text.empty());
    tcp.set_option(usual);
    EXPECT_EQ(tcp.get_option<io::congestion_control>().text, usual.text);
    EXPECT_EQ(error_of([&] { tcp.set_option(io::congestion_control("none of these")); }),
              std::errc::no_such_file_or_directory);
    EXPECT_THROW(tcp.set_option(io::bind_to_device(std::string(16, 'x'))), std::invalid_argument);
    EXPECT_EQ(error_of([&] { udp.set_option(io::bind_to_device("nosuchdevice0")); }), std::errc::no_such_device);
}

TEST_F(IoSocketOption, RefusalsNameTheOption) {
    const std::string text = text_of([&] { udp.set_option(io::no_delay(true)); });
    EXPECT_NE(text.find("set_option 6/1 on fd " + std::to_string(udp.native_handle())), std::string::npos) << text;
}

// ---- groups

TEST_F(IoSocketOption, WhoJoinsReceives) {
    const unsigned loopback = ::if_nametoindex("lo");
    auto member = io::bind_datagram("239.255.12.34:0", {.reuse_address = true});
    const io::endpoint group = member.local_endpoint();
    EXPECT_EQ(group.address(), "239.255.12.34");
    io::join_group(member, group, loopback);
    EXPECT_EQ(error_of([&] { io::join_group(member, group, loopback); }), std::errc::address_in_use);
    udp.set_option(io::multicast_interface(static_cast<int>(loopback)));
    const auto sent = error_of([&] { udp.send_to("all of you", group); });
    if (sent == std::errc::network_unreachable) GTEST_SKIP() << "no multicast here";
    EXPECT_EQ(member.recv_for(buffer, 5s), 10U);
    io::leave_group(member, group, loopback);
    EXPECT_EQ(error_of([&] { io::leave_group(member, group, loopback); }), std::errc::address_not_available);
    udp.send_to("all of you", group);
    EXPECT_FALSE(member.try_recv(buffer).has_value());
}

TEST_F(IoSocketOption, WhatIsNoGroupIsRefused) {
    EXPECT_THROW(io::join_group(udp, io::endpoint::loopback(1)), std::invalid_argument);
    EXPECT_THROW(io::join_group(udp6, io::endpoint::loopback(1, AF_INET6)), std::invalid_argument);
    EXPECT_THROW(io::join_group(udp, {}), std::invalid_argument);
    const std::string text = text_of([&] { io::join_group(udp, io::endpoint::parse("239.0.0.1:0"), 1'000'000); });
    EXPECT_NE(text.find("join_group on fd " + std::to_string(udp.native_handle()) + " to 239.0.0.1:0: No such device"),
              std::string::npos)
        << text;
}

}  // namespace
