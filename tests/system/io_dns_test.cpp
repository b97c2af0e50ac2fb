// The resolver by c-ares against name servers: dnsmasq, and one that never answers.

#include "io_leak_check.hpp"

#include <copse/fibers.hpp>
#include <copse/io/datagram_socket.hpp>
#include <copse/io/process.hpp>
#include <copse/io/resolver.hpp>

#include <gtest/gtest.h>

#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

namespace io = copse::io;
using io::endpoint;
using io::resolver;
using namespace std::chrono_literals;

namespace {

bool has_cares() {
    try {
        resolver({.engine = io::resolver_engine::cares});
        return true;
    } catch (const std::invalid_argument&) {
        return false;
    }
}

/// A loopback address of this process's own: nobody else takes a port there between two looks.
std::string own_address() {
    const auto pid = static_cast<unsigned>(::getpid());
    return "127." + std::to_string(1 + (pid >> 16) % 200) + '.' + std::to_string(pid >> 8 & 255) + '.' +
           std::to_string(pid & 255);
}

std::uint16_t free_port() { return io::bind_datagram(own_address() + ":0").local_endpoint().port(); }

/// dnsmasq that knows a few names and asks nobody else.
class name_server {
public:
    static std::optional<name_server> start() {
        try {
            return name_server();
        } catch (const std::system_error& e) {
            if (e.code() == std::errc::no_such_file_or_directory) return std::nullopt;
            throw;
        }
    }

    std::string address() const { return own_address() + ":" + std::to_string(port_); }

private:
    name_server()
        : port_(free_port()),
          dnsmasq_({"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file",
                    "--user=", "--group=", "--log-facility=-", "--no-resolv", "--no-hosts",
                    "--listen-address=" + own_address(), "--bind-interfaces", "--port=" + std::to_string(port_),
                    "--host-record=one.test,192.0.2.1", "--host-record=both.test,192.0.2.9,2001:db8::9",
                    "--address=/many.test/192.0.2.77", "--local=/test/"},
                   {.input = io::redirect::null, .output = io::redirect::null, .errors = io::redirect::pipe}) {
        std::string said;
        std::array<std::byte, 4096> buffer{};
        while (said.find("started") == std::string::npos) {
            const std::size_t n = dnsmasq_.errors().read_for(buffer, 20s);
            if (n == 0) throw std::runtime_error("dnsmasq did not start: " + said);
            said.append(reinterpret_cast<const char*>(buffer.data()), n);
        }
    }

    std::uint16_t port_;
    io::process dnsmasq_;
};

class IoDns : public copse_test::io_leak_check {
protected:
    void SetUp() override {
        if (!has_cares()) GTEST_SKIP() << "built without c-ares";
    }
};

std::vector<std::string> texts_of(const std::vector<endpoint>& all) {
    std::vector<std::string> texts;
    for (const endpoint& each : all) texts.push_back(to_string(each));
    std::sort(texts.begin(), texts.end());
    return texts;
}

int error_of(resolver& asks, const std::string& name) {
    try {
        asks.resolve(name, 1);
        return 0;
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().category(), io::name_category()) << e.what();
        return e.code().value();
    }
}

TEST(IoDnsOptions, WhatCannotBeHadIsRefused) {
    if (!has_cares()) {
        EXPECT_THROW(resolver({.engine = io::resolver_engine::cares}), std::invalid_argument);
    } else {
        EXPECT_THROW(resolver({.engine = io::resolver_engine::cares, .servers = "no address"}), std::invalid_argument);
    }
}

TEST_F(IoDns, Fault_DN01_AsksTheServers) {
    const auto server = name_server::start();
    if (!server) GTEST_SKIP() << "no dnsmasq here";
    resolver asks({.engine = io::resolver_engine::cares, .servers = server->address()});
    EXPECT_EQ(texts_of(asks.resolve("one.test", 80)), (std::vector<std::string>{"192.0.2.1:80"}));
    EXPECT_EQ(texts_of(asks.resolve("both.test", 80)), (std::vector<std::string>{"192.0.2.9:80", "[2001:db8::9]:80"}));
    EXPECT_EQ(texts_of(asks.resolve("both.test", 80, AF_INET6)), (std::vector<std::string>{"[2001:db8::9]:80"}));
    EXPECT_EQ(asks.name_of(endpoint::parse("192.0.2.1:0")), "one.test");
    EXPECT_EQ(error_of(asks, "nobody.test"), EAI_NONAME);
}

TEST_F(IoDns, HundredsOfLookupsAtOnce) {
    const auto server = name_server::start();
    if (!server) GTEST_SKIP() << "no dnsmasq here";
    resolver asks({.engine = io::resolver_engine::cares, .servers = server->address()});
    std::vector<int> numbers(300);
    std::iota(numbers.begin(), numbers.end(), 0);
    copse::pool pool(100);
    const auto found = pool.map(numbers, [&](int n) {
        return to_string(asks.resolve("host" + std::to_string(n) + ".many.test", 1, AF_INET).at(0));
    });
    EXPECT_EQ(std::count(found.begin(), found.end(), "192.0.2.77:1"), 300);
}

// A server that is silent: who asks waits, in its own time, and leaves the lookup behind.
TEST_F(IoDns, Fault_DN02_SilenceEndsWithTheTimeOfWhoAsks) {
    const io::socket silent = io::bind_datagram("127.0.0.1:0");
    std::optional<resolver> asks;
    asks.emplace(
        io::resolver_options{.engine = io::resolver_engine::cares, .servers = to_string(silent.local_endpoint())});
    EXPECT_THROW(asks->resolve_for("one.test", 80, 0s), io::timed_out);
    auto killed = copse::spawn([&] { asks->resolve("two.test", 80); });
    while (asks->running() < 2) copse::yield();
    killed.kill();
    EXPECT_TRUE(killed.killed());
    EXPECT_EQ(asks->running(), 2U);
    asks.reset();  // does not wait for them
}

TEST_F(IoDns, NobodyListensThere) {
    resolver asks({.engine = io::resolver_engine::cares, .servers = own_address() + ":" + std::to_string(free_port())});
    EXPECT_EQ(error_of(asks, "one.test"), EAI_AGAIN);
}

}  // namespace
