// Endpoints: what is parsed, what is refused and why, how they compare and print.

#include <copse/io/endpoint.hpp>

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

using copse::io::endpoint;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

struct good {
    std::string_view text;
    int family;
    std::uint16_t port;
    std::string_view printed;
};

class IoEndpointGood : public testing::TestWithParam<good> {};

TEST_P(IoEndpointGood, IsParsedAndPrinted) {
    const endpoint e = endpoint::parse(GetParam().text);
    EXPECT_EQ(e.family(), GetParam().family);
    EXPECT_EQ(e.port(), GetParam().port);
    EXPECT_EQ(to_string(e), GetParam().printed);
    EXPECT_EQ(endpoint::parse(to_string(e)), e);
    EXPECT_EQ(endpoint::from_native(e.native(), e.native_size()), e);
}

INSTANTIATE_TEST_SUITE_P(
    Table, IoEndpointGood,
    testing::Values(
        good{"127.0.0.1:8001", AF_INET, 8001, "127.0.0.1:8001"}, good{"0.0.0.0:0", AF_INET, 0, "0.0.0.0:0"},
        good{"255.255.255.255:65535", AF_INET, 65535, "255.255.255.255:65535"}, good{":80", AF_INET, 80, "0.0.0.0:80"},
        good{"1.2.3.4:00080", AF_INET, 80, "1.2.3.4:80"}, good{"[::1]:80", AF_INET6, 80, "[::1]:80"},
        good{"[::]:0", AF_INET6, 0, "[::]:0"}, good{"[2001:DB8::0:1]:443", AF_INET6, 443, "[2001:db8::1]:443"},
        good{"[::ffff:1.2.3.4]:5", AF_INET6, 5, "[::ffff:1.2.3.4]:5"},
        good{"[fe80::1%1]:5", AF_INET6, 5, "[fe80::1%lo]:5"}, good{"[fe80::1%lo]:5", AF_INET6, 5, "[fe80::1%lo]:5"},
        good{"[fe80::1%4000000]:5", AF_INET6, 5, "[fe80::1%4000000]:5"},
        good{"unix:/run/x.sock", AF_UNIX, 0, "unix:/run/x.sock"}, good{"unix:relative", AF_UNIX, 0, "unix:relative"},
        good{"unix:@name", AF_UNIX, 0, "unix:@name"}, good{"unix:/a:80", AF_UNIX, 0, "unix:/a:80"}));

struct bad {
    std::string_view text;
    std::string_view reason;
    std::string_view shown = text;
};

class IoEndpointBad : public testing::TestWithParam<bad> {};

TEST_P(IoEndpointBad, IsRefusedWithTextAndReason) {
    try {
        const endpoint e = endpoint::parse(GetParam().text);
        FAIL() << "parsed as " << e;
    } catch (const std::invalid_argument& refused) {
        const std::string_view what = refused.what();
        EXPECT_NE(what.find("\"" + std::string(GetParam().shown) + "\""), what.npos) << what;
        EXPECT_NE(what.find(GetParam().reason), what.npos) << what;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Table, IoEndpointBad,
    testing::Values(
        bad{"", "empty"}, bad{"127.0.0.1", "port is missing"}, bad{"127.0.0.1:", "port is missing"},
        bad{"127.0.0.1:65536", "greater than 65535"}, bad{"127.0.0.1:99999999999999999999", "greater than 65535"},
        bad{"127.0.0.1:-1", "no number"}, bad{"127.0.0.1:+1", "no number"}, bad{"127.0.0.1:8x", "no number"},
        bad{"127.0.0.1: 80", "no number"}, bad{"127.0.0.1:80 ", "no number"}, bad{"127.0.0.1:0x50", "no number"},
        bad{"127.0.0:80", "no IPv4 address"}, bad{"127.0.0.256:80", "no IPv4 address"},
        bad{"127.0.0.1.1:80", "no IPv4 address"}, bad{"01.2.3.4.:80", "no IPv4 address"},
        bad{"localhost:80", "no IPv4 address"}, bad{" 127.0.0.1:80", "no IPv4 address"},
        bad{"127.0.0.1\0:80"sv, "no IPv4 address", R"(127.0.0.1\x00:80)"}, bad{"::1", "needs brackets"},
        bad{"::1:80", "needs brackets"}, bad{"[::1", "not closed"}, bad{"[::1:80", "not closed"},
        bad{"[::1]", "port is missing"}, bad{"[::1]:", "port is missing"},
        bad{"[::1]80", "between the bracket and the port"}, bad{"[::1]:80:90", "between the bracket and the port"},
        bad{"[::1]]:80", "between the bracket and the port"}, bad{"[]:80", "no IPv6 address"},
        bad{"[127.0.0.1]:80", "no IPv6 address"}, bad{"[::1::2]:80", "no IPv6 address"},
        bad{"[::g]:80", "no IPv6 address"}, bad{"[fe80::1%]:80", "no interface"},
        bad{"[fe80::1%nosuchinterface0]:80", "no interface"}, bad{"unix:", "missing"}, bad{"unix:@", "missing"},
        bad{"unix:a\0b"sv, "zero byte", R"(unix:a\x00b)"}));

TEST(IoEndpoint, UnixNamesHaveALongestLength) {
    const std::string longest(107, 'x');
    EXPECT_EQ(to_string(endpoint::parse("unix:" + longest)), "unix:" + longest);
    EXPECT_EQ(to_string(endpoint::parse("unix:@" + longest)), "unix:@" + longest);
    EXPECT_THROW(endpoint::parse("unix:x" + longest), std::invalid_argument);
    EXPECT_THROW(endpoint::parse("unix:@x" + longest), std::invalid_argument);
}

TEST(IoEndpoint, EmptyIsNowhere) {
    const endpoint none;
    EXPECT_TRUE(none.empty());
    EXPECT_EQ(none.family(), AF_UNSPEC);
    EXPECT_EQ(none.port(), 0);
    EXPECT_EQ(to_string(none), "nowhere");
    EXPECT_EQ(none, endpoint::from_native(none.native(), 0));
    EXPECT_FALSE(none.is_loopback());
}

TEST(IoEndpoint, UnnamedUnixSocketPrints) {
    sockaddr_un unnamed{};
    unnamed.sun_family = AF_UNIX;
    const endpoint e = endpoint::from_native(reinterpret_cast<const sockaddr*>(&unnamed), sizeof(sa_family_t));
    EXPECT_EQ(to_string(e), "unix:");
    EXPECT_EQ(e.address(), "");
}

TEST(IoEndpoint, NativeOfWrongSizeIsRefused) {
    sockaddr_storage raw{};
    const auto* address = reinterpret_cast<const sockaddr*>(&raw);
    raw.ss_family = AF_INET;
    EXPECT_THROW(endpoint::from_native(address, 1), std::invalid_argument);
    EXPECT_THROW(endpoint::from_native(address, sizeof(sockaddr_in) - 1), std::invalid_argument);
    EXPECT_THROW(endpoint::from_native(address, sizeof raw + 1), std::invalid_argument);
    raw.ss_family = AF_INET6;
    EXPECT_THROW(endpoint::from_native(address, sizeof(sockaddr_in)), std::invalid_argument);
    raw.ss_family = AF_NETLINK;
    EXPECT_EQ(to_string(endpoint::from_native(address, 12)), "family 16");
}

TEST(IoEndpoint, WellKnownPlaces) {
    EXPECT_EQ(endpoint::loopback(7), endpoint::parse("127.0.0.1:7"));
    EXPECT_EQ(endpoint::loopback(7, AF_INET6), endpoint::parse("[::1]:7"));
    EXPECT_EQ(endpoint::any(7), endpoint::parse(":7"));
    EXPECT_EQ(endpoint::any(7, AF_INET6), endpoint::parse("[::]:7"));
    EXPECT_THROW(endpoint::any(7, AF_UNIX), std::invalid_argument);
    EXPECT_TRUE(endpoint::parse("127.1.2.3:7").is_loopback());
    EXPECT_TRUE(endpoint::parse("[::1]:7").is_loopback());
    EXPECT_TRUE(endpoint::parse("[::ffff:127.0.0.1]:7").is_loopback());
    EXPECT_FALSE(endpoint::parse("128.0.0.1:7").is_loopback());
    EXPECT_FALSE(endpoint::parse("unix:x").is_loopback());
}

TEST(IoEndpoint, GlobalIsWhatEverybodyMayReach) {
    for (const char* text :
         {"1.1.1.1:7", "9.255.255.255:7", "11.0.0.0:7", "100.63.255.255:7", "100.128.0.0:7", "169.253.0.1:7",
          "172.15.0.1:7", "172.32.0.1:7", "192.0.1.1:7", "192.167.0.1:7", "198.17.0.1:7", "198.20.0.1:7",
          "223.255.255.255:7", "[2600::1]:7", "[2001:4860::8]:7", "[::ffff:8.8.8.8]:7", "[64:ff9b::8.8.8.8]:7"}) {
        EXPECT_TRUE(endpoint::parse(text).is_global()) << text;
    }
    for (const char* text : {"0.0.0.0:7",
                             "0.1.2.3:7",
                             "10.1.2.3:7",
                             "100.64.0.1:7",
                             "100.127.255.255:7",
                             "127.0.0.1:7",
                             "169.254.169.254:7",
                             "172.16.0.1:7",
                             "172.31.255.255:7",
                             "192.0.0.8:7",
                             "192.0.2.1:7",
                             "192.168.1.1:7",
                             "198.18.0.1:7",
                             "198.19.255.255:7",
                             "198.51.100.1:7",
                             "203.0.113.1:7",
                             "224.0.0.1:7",
                             "240.0.0.1:7",
                             "255.255.255.255:7",
                             "[::]:7",
                             "[::1]:7",
                             "[fe80::1]:7",
                             "[fc00::1]:7",
                             "[fdff::1]:7",
                             "[ff02::1]:7",
                             "[2001:db8::1]:7",
                             "[2001::1]:7",
                             "[2002:7f00:1::]:7",
                             "[3fff::1]:7",
                             "[64:ff9b:1::1]:7",
                             "[64:ff9b::10.0.0.1]:7",
                             "[::ffff:127.0.0.1]:7",
                             "[::ffff:192.168.0.1]:7",
                             "[::127.0.0.1]:7",
                             "[4000::1]:7",
                             "unix:x"}) {
        EXPECT_FALSE(endpoint::parse(text).is_global()) << text;
    }
    EXPECT_FALSE(endpoint().is_global());
}

TEST(IoEndpoint, PortCanBeSet) {
    for (const char* text : {"1.2.3.4:0", "[::1]:0"}) {
        endpoint e = endpoint::parse(text);
        e.set_port(513);
        EXPECT_EQ(e.port(), 513);
    }
    endpoint none = endpoint::parse("unix:x");
    none.set_port(513);
    EXPECT_EQ(none, endpoint::parse("unix:x"));
}

TEST(IoEndpoint, OrderIsByFamilyAddressPort) {
    std::vector<endpoint> sorted;
    for (const char* text :
         {"unix:@a", "unix:/a", "1.2.3.4:5", "1.2.3.4:600", "1.2.3.5:1", "200.0.0.1:1", "[::1]:9", "[::2]:1"}) {
        sorted.push_back(endpoint::parse(text));
    }
    EXPECT_TRUE(std::is_sorted(sorted.begin(), sorted.end()));
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        for (std::size_t j = 0; j < sorted.size(); ++j) {
            EXPECT_EQ(sorted[i] == sorted[j], i == j);
            EXPECT_EQ(sorted[i] < sorted[j], i < j);
        }
    }
    EXPECT_NE(endpoint::parse("[fe80::1%1]:5"), endpoint::parse("[fe80::1%2]:5"));
}

TEST(IoEndpoint, EqualOnesHashAlike) {
    sockaddr_in6 with_flow{};
    with_flow.sin6_family = AF_INET6;
    with_flow.sin6_port = htons(5);
    with_flow.sin6_addr = in6addr_loopback;
    with_flow.sin6_flowinfo = 77;  // no part of the identity
    const endpoint a = endpoint::from_native(reinterpret_cast<const sockaddr*>(&with_flow), sizeof with_flow);
    const endpoint b = endpoint::parse("[::1]:5");
    EXPECT_EQ(a, b);
    EXPECT_EQ(std::hash<endpoint>()(a), std::hash<endpoint>()(b));

    std::unordered_set<endpoint> set;
    for (std::uint16_t port = 0; port < 1000; ++port) {
        set.insert(endpoint::loopback(port));
        set.insert(endpoint::loopback(port, AF_INET6));
    }
    EXPECT_EQ(set.size(), 2000U);
}

TEST(IoEndpoint, IsWrittenToStreams) {
    std::ostringstream out;
    out << endpoint::parse("[::1]:80");
    EXPECT_EQ(out.str(), "[::1]:80");
}

// Whatever the text, it is either parsed, and then printed in a form that parses to the same, or refused.
TEST(IoEndpoint, MutatedTextsNeverDoHarm) {
    const std::vector<std::string> seeds = {"127.0.0.1:8001",    "[fe80::1%lo]:80", "unix:/run/x", "unix:@abc", ":80",
                                            "[::ffff:1.2.3.4]:5"};
    const std::string_view alphabet = "0123456789abcdef:.[]%@/ux-+ \0\xff"sv;
    std::mt19937 dice(20'240'101);
    int parsed = 0;
    for (int round = 0; round < 50'000; ++round) {
        std::string text = seeds[dice() % seeds.size()];
        for (unsigned edits = dice() % 4; edits != 0; --edits) {
            const std::size_t at = dice() % (text.size() + 1);
            const char c = alphabet[dice() % alphabet.size()];
            switch (dice() % 3) {
            case 0: text.insert(at, 1, c); break;
            case 1: text.erase(at, 1); break;
            default:
                if (at < text.size()) text[at] = c;
            }
        }
        try {
            const endpoint e = endpoint::parse(text);
            ++parsed;
            ASSERT_EQ(endpoint::parse(to_string(e)), e) << text;
        } catch (const std::invalid_argument&) {
            // Refused: as good.
        }
    }
    EXPECT_GT(parsed, 10'000);
}

}  // namespace
