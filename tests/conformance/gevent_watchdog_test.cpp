// Who holds the hub. Rules 143 and 144 of gevent's list.

#include <copse/assert_switches.hpp>
#include <copse/fiber.hpp>
#include <copse/watchdog.hpp>

#include "hub_test.hpp"

#include <atomic>
#include <chrono>
#include <string>

using copse::assert_switches;
using copse::did_not_switch;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class GeventWatchdog : copse_test::hub_with_stack, public copse_test::leak_check {};
using GeventAssertSwitches = copse_test::hub_test;

// rule 143, without its repetition: one report for each time
TEST_F(GeventWatchdog, ReportsWhoHoldsTheHubOnceForEachTime) {
    std::atomic<int> reports{0};
    std::string name;
    const copse::watchdog guard({.limit = 5ms, .report = [&](const copse::stall_report& stall) {
                                     if (stall.name == "main" || !stall.answered)
                                         return;  // the machine is busy elsewhere
                                     if (reports == 0) name = stall.name;
                                     ++reports;
                                 }});
    const auto f = spawn({.name = "holder"}, [&] {
        while (reports == 0) {}
        const auto end = std::chrono::steady_clock::now() + 30ms;  // several more looks
        while (std::chrono::steady_clock::now() < end) {}
        EXPECT_EQ(reports, 1);
    });
    f.join();
    EXPECT_EQ(name, "holder");
}

// rule 144
TEST_F(GeventAssertSwitches, FailsABodyThatNeverSwitchesHoweverShort) {
    EXPECT_THROW(assert_switches([] {}), did_not_switch);
    EXPECT_THROW(assert_switches({.max_blocking = 1h}, [] {}), did_not_switch);
    assert_switches([] { copse::sleep(1ms); });
    assert_switches([] { yield(); });
}

// rule 144
TEST_F(GeventAssertSwitches, FailsABodyThatExceedsTheLimitBetweenSwitches) {
    EXPECT_THROW(assert_switches({.max_blocking = 10ms},
                                 [&] {
                                     time.advance(11ms);
                                     yield();
                                 }),
                 did_not_switch);
    EXPECT_THROW(assert_switches({.max_blocking = 10ms},
                                 [&] {
                                     yield();
                                     time.advance(11ms);
                                 }),
                 did_not_switch);
    assert_switches({.max_blocking = 10ms}, [&] {
        for (int i = 0; i < 5; ++i) {
            time.advance(9ms);
            yield();
        }
    });
}

}  // namespace
