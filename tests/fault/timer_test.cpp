// Timers in numbers, overdue, and under a clock that misbehaves. TM04, TM05, TM08, TM09; decision 7.

#include <copse/fibers.hpp>

#include "hub_test.hpp"
#include "sanitizer.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <random>
#include <utility>
#include <vector>

using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::spawn_after;
using copse::yield;
using copse_test::up_to;
using namespace std::chrono_literals;

namespace {

class Timers : public copse_test::hub_test {};

// TM04
TEST_F(Timers, Fault_TM04_ManyAtOneTimeStartInOrder) {
    std::vector<int> order;
    const int n = up_to(100'000);
    for (int i = 0; i < n; ++i) spawn_after(1s, [&order, i] { order.push_back(i); });
    EXPECT_EQ(hub::current().stats().timers, static_cast<std::size_t>(n));
    sleep(2s);
    EXPECT_EQ(order.size(), static_cast<std::size_t>(n));
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

// TM04
TEST_F(Timers, Fault_TM04_ManyAtRandomTimesStartAtTheirTime) {
    std::minstd_rand random(1);
    std::uniform_int_distribution<int> any(1, 1'000'000);
    std::vector<int> order;
    const int n = up_to(50'000);
    for (int i = 0; i < n; ++i) {
        const int at = any(random);
        spawn_after(std::chrono::microseconds(at), [&, at] {
            order.push_back(at);
            EXPECT_EQ(time.elapsed(), std::chrono::microseconds(at));
        });
    }
    sleep(2s);
    EXPECT_EQ(order.size(), static_cast<std::size_t>(n));
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

// TM04
TEST_F(Timers, Fault_TM04_ManyThatAreAllCancelledNeverStart) {
    std::vector<copse::fiber<void>> all;
    for (int i = 0; i < up_to(50'000); ++i)
        all.push_back(spawn_after(std::chrono::microseconds(i), [this] { log("?"); }));
    for (const auto& f : all) f.kill();
    sleep(1s);
    EXPECT_EQ(log.text(), "");
}

// TM04: one that arms itself for now, again and again, starves nobody
TEST_F(Timers, Fault_TM04_OneThatIsArmedForNowAgainAndAgainStarvesNobody) {
    bool over = false;
    int rounds = 0;
    const auto restless = spawn([&] {
        copse::event never_set;
        while (!over) {
            never_set.wait_for(0s);
            time.advance(1ns);  // else virtual time would stand still for ever
            ++rounds;
        }
    });
    const auto modest = spawn([&] {
        for (int i = 0; i < 10; ++i) {
            const int before = rounds;
            time.advance(1ms);
            sleep(1ns);
            EXPECT_LE(rounds - before, 65);
        }
        over = true;
    });
    time.advance(1s);
    join_all(restless, modest);
}

// TM05
TEST_F(Timers, Fault_TM05_APostIsServedInTheMiddleOfATimerStorm) {
    int started = 0;
    int when_posted = -1;
    const int n = up_to(20'000);
    for (int i = 0; i < n; ++i) {
        spawn_after(1s, [&] {
            if (++started == 10) hub::current().post([&] { when_posted = started; });
        });
    }
    sleep(2s);
    EXPECT_EQ(started, n);
    // Taken within 64 dispatches, it stands behind those that were ready by then: decision 1.
    EXPECT_GE(when_posted, 10);
    EXPECT_LE(when_posted, n);
}

// TM08
TEST_F(Timers, Fault_TM08_LateOnesFireOnceInTheirOrder) {
    for (const int length : {4, 2, 3, 1}) {
        spawn([this, length] {
            sleep(std::chrono::seconds(length));
            log(length);
        });
    }
    yield();
    time.advance(5s);  // a fiber computes
    for (int i = 0; i < 200; ++i) yield();
    EXPECT_EQ(log.text(), "1 2 3 4");
    sleep(10s);
    EXPECT_EQ(log.text(), "1 2 3 4");
}

// A clock that jumps back now and then.
class faulty_clock final : public copse::idle_driver {
public:
    std::int64_t now() noexcept override {
        ++calls_;
        return calls_ % 3 == 0 ? time_ - 1'000'000'000 : time_;
    }
    void wait(std::int64_t deadline) noexcept override {
        if (deadline != copse::detail::never) time_ = std::max(time_, deadline);
    }
    void poll() noexcept override { time_ += 1000; }
    void wake() noexcept override {}
    std::size_t watching() const noexcept override { return 0; }

private:
    std::int64_t time_ = std::int64_t{1} << 60;
    int calls_ = 0;
};

// TM09
TEST_F(Timers, Fault_TM09_AClockThatGoesBackHangsNobody) {
    auto before = hub::current().set_driver(std::make_unique<faulty_clock>());
    std::vector<copse::fiber<void>> all;
    for (int i = 0; i < 20; ++i) {
        all.push_back(spawn([] {
            for (int k = 0; k < 20; ++k) sleep(1ms);
        }));
    }
    join_all(all);
    hub::current().set_driver(std::move(before));
}

TEST_F(Timers, ThoseOfAKilledFiberAreDisarmedAtOnce) {
    copse::semaphore permits(0);
    const auto f = spawn([&] {
        const copse::timeout outer(1h);
        const copse::timeout inner(2h);
        permits.try_acquire_for(3h);
    });
    yield();
    EXPECT_EQ(hub::current().stats().timers, 3u);
    f.kill();
    EXPECT_EQ(hub::current().stats().timers, 0u);
    EXPECT_EQ(time.elapsed(), 0ns);
}

}  // namespace
