// Names. Rules 15, 141 and 142 of gevent's list.

#include "exceptions.hpp"
#include "io_leak_check.hpp"

#include <copse/io/resolver.hpp>

#include <unistd.h>

#include <latch>
#include <string>
#include <vector>

using namespace copse_test;
namespace io = copse::io;

namespace {

using GeventNames = io_leak_check;

std::string address_of(io::resolver& asks, const std::string& host) {
    return to_string(asks.resolve(host, 80).front());
}

/// Asks the system for this machine's own name. Whether it knows it is its own affair.
void look_up(io::resolver& asks) {
    char name[256];
    ASSERT_EQ(::gethostname(name, sizeof name), 0);
    try {
        asks.resolve(name, 80);
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().category(), io::name_category());
    }
}

// rules 15 and 141, changed: what needs no lookup takes neither a thread nor a switch.
TEST_F(GeventNames, NumbersAndLocalhostTakeNoSwitch) {
    io::resolver asks;
    auto other = copse::spawn([&] { log("other"); });
    EXPECT_EQ(address_of(asks, "192.0.2.1"), "192.0.2.1:80");
    EXPECT_EQ(address_of(asks, "localhost"), "127.0.0.1:80");
    log("numbers");
    other.join();
    EXPECT_EQ(log.text(), "numbers other");
}

// rule 15
TEST_F(GeventNames, ALookupLetsTheOthersRun) {
    io::resolver asks;
    auto other = copse::spawn([&] { log("other"); });
    look_up(asks);
    log("name");
    other.join();
    EXPECT_EQ(log.text(), "other name");
}

// rule 141, changed: lookups have threads of their own, so a pool that is busy delays none.
TEST_F(GeventNames, ABusyThreadPoolDelaysNoLookup) {
    std::latch over(1);
    copse::thread_pool pool({.threads = 1});
    std::vector<copse::fiber<void>> busy;
    for (int i = 0; i < 4; ++i) busy.push_back(copse::spawn([&] { pool.apply([&] { over.wait(); }); }));
    copse::yield();
    io::resolver asks;
    look_up(asks);
    over.count_down();
    for (const auto& each : busy) each.get();
}

// rule 142: here a label that is too long for the name system to ask anybody for.
TEST_F(GeventNames, AFailureIsToldToWhoAskedAndNobodyElse) {
    const error_recorder errors;
    io::resolver asks;
    const std::string nobody = std::string(100, 'a') + ".test";
    auto asking = copse::spawn([&] { return what_is_thrown_by([&] { asks.resolve(nobody, 80); }); });
    EXPECT_NE(asking.get().find(nobody), std::string::npos);
    EXPECT_EQ(errors.count(), 0U);
}

}  // namespace
