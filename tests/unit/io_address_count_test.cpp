// Which connections count as one client's.

#include "address_count.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace io = copse::io;

namespace {

/// Whether both count as one.
bool are_one(const std::string& a, const std::string& b) {
    io::detail::address_count count(1);
    const auto first = count.enter(io::endpoint::parse(a));
    return !count.enter(io::endpoint::parse(b)).has_value();
}

TEST(IoAddressCount, AnIpv4AddressIsOneWhicheverWayItComes) {
    EXPECT_TRUE(are_one("192.0.2.1:1", "192.0.2.1:2"));
    EXPECT_FALSE(are_one("192.0.2.1:1", "192.0.2.2:1"));
    EXPECT_TRUE(are_one("192.0.2.1:1", "[::ffff:192.0.2.1]:1"));
    EXPECT_FALSE(are_one("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1")) << "they are no network of IPv6";
}

TEST(IoAddressCount, AnIpv6NetworkIsOne) {
    EXPECT_TRUE(are_one("[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff:ffff:ffff:ffff]:1"));
    EXPECT_FALSE(are_one("[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1"));
    EXPECT_FALSE(are_one("[2001:db8:0:1::1]:1", "192.0.2.1:1"));
}

TEST(IoAddressCount, NetworksOfMany) {
    EXPECT_FALSE(are_one("[fe80::1]:1", "[fe80::2]:1")) << "neighbours on one link";
    EXPECT_FALSE(are_one("[64:ff9b::c000:201]:1", "[64:ff9b::c000:202]:1")) << "all of IPv4, translated";
    EXPECT_TRUE(are_one("[64:ff9b::c000:201]:1", "[64:ff9b::c000:201]:2"));
}

TEST(IoAddressCount, ThisMachineIsNotCounted) {
    for (const char* here : {"127.0.0.1:1", "127.255.0.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/run/x.sock"})
        EXPECT_FALSE(are_one(here, here)) << here;
    for (const char* elsewhere : {"128.0.0.1:1", "[::2]:1", "[::ffff:126.0.0.1]:1", "[2001:db8::ffff:7f00:1]:1"})
        EXPECT_TRUE(are_one(elsewhere, elsewhere)) << elsewhere;
}

TEST(IoAddressCount, PlacesAreGivenBack) {
    io::detail::address_count count(2);
    const io::endpoint there = io::endpoint::parse("192.0.2.1:1");
    std::vector<std::optional<io::detail::address_count::place>> held;
    held.push_back(count.enter(there));
    held.push_back(count.enter(there));
    EXPECT_FALSE(count.enter(there).has_value());
    held.pop_back();
    EXPECT_TRUE(count.enter(there).has_value());
}

}  // namespace
