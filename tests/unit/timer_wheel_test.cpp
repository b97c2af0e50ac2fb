// The timer wheel against its promises: exact, in order, never early, nothing starves, nothing fires after its
// cancel. Faults TM01 to TM07.

#include "timer_wheel.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <utility>
#include <vector>

using copse::detail::timer;
using copse::detail::timer_wheel;

namespace {

constexpr std::int64_t tick = std::int64_t{1} << 20;
constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t hour = 3600 * second;
constexpr std::int64_t year = 8766 * hour;

std::vector<const timer*> pop_all(timer_wheel& wheel, std::int64_t now) {
    std::vector<const timer*> popped;
    while (const timer* t = wheel.pop_due(now)) popped.push_back(t);
    return popped;
}

TEST(TimerWheel, IsEmptyAtFirst) {
    timer_wheel wheel;
    EXPECT_TRUE(wheel.empty());
    EXPECT_EQ(wheel.size(), 0U);
    EXPECT_EQ(wheel.next_deadline(), timer_wheel::never);
    EXPECT_EQ(wheel.pop_due(INT64_MAX), nullptr);
}

TEST(TimerWheel, ATimerStartsDisarmed) {
    timer t;
    EXPECT_FALSE(t.armed());
    timer_wheel wheel;
    wheel.cancel(t);
    EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheel, FiresAtTheDeadlineAndNotANanosecondBefore) {
    for (const std::int64_t deadline :
         {std::int64_t{1}, tick - 1, tick, tick + 1, 64 * tick, 4097 * tick + 5, hour, 150 * year, INT64_MAX - 1}) {
        timer_wheel wheel;
        timer t;
        wheel.arm(t, deadline);
        EXPECT_TRUE(t.armed());
        EXPECT_EQ(t.deadline, deadline);
        EXPECT_EQ(wheel.pop_due(deadline - 1), nullptr);
        EXPECT_EQ(wheel.next_deadline(), deadline);
        EXPECT_EQ(wheel.pop_due(deadline - 1), nullptr);
        EXPECT_EQ(wheel.pop_due(deadline), &t);
        EXPECT_FALSE(t.armed());
        EXPECT_TRUE(wheel.empty());
    }
}

TEST(TimerWheel, TakesDeadlinesThatArePast) {
    timer_wheel wheel;
    std::array<timer, 4> t;
    EXPECT_EQ(wheel.pop_due(hour), nullptr);
    wheel.arm(t[0], hour - 1);
    wheel.arm(t[1], 0);
    wheel.arm(t[2], INT64_MIN);
    wheel.arm(t[3], -1);
    EXPECT_EQ(wheel.next_deadline(), INT64_MIN);
    EXPECT_EQ(pop_all(wheel, hour), (std::vector<const timer*>{&t[2], &t[3], &t[1], &t[0]}));
}

TEST(TimerWheel, NeverNeedsNoSpecialCase) {
    timer_wheel wheel;
    timer never;
    timer soon;
    wheel.arm(never, timer_wheel::never);
    EXPECT_EQ(wheel.next_deadline(), timer_wheel::never);
    wheel.arm(soon, 5);
    EXPECT_EQ(wheel.next_deadline(), 5);
    EXPECT_EQ(wheel.pop_due(INT64_MAX - 1), &soon);
    EXPECT_EQ(wheel.pop_due(INT64_MAX - 1), nullptr);
    EXPECT_EQ(wheel.size(), 1U);
    wheel.cancel(never);
}

TEST(TimerWheel, EqualDeadlinesFireInArmingOrder) {
    for (const std::int64_t deadline : {std::int64_t{5}, 70 * tick, hour}) {
        timer_wheel wheel;
        std::array<timer, 100> timers;
        std::vector<const timer*> expected;
        for (timer& t : timers) {
            wheel.arm(t, deadline);
            expected.push_back(&t);
        }
        EXPECT_EQ(pop_all(wheel, deadline), expected);
    }
}

TEST(TimerWheel, EqualDeadlinesFireInArmingOrderFromWhereverTheyWaited) {
    timer_wheel wheel;
    timer far_off;
    timer brings_the_horizon_near;
    timer near_by;
    wheel.arm(far_off, hour + 5);
    wheel.arm(brings_the_horizon_near, hour - 3 * tick);
    EXPECT_EQ(wheel.pop_due(hour - 2 * tick), &brings_the_horizon_near);
    wheel.arm(near_by, hour + 5);
    EXPECT_EQ(pop_all(wheel, 2 * hour), (std::vector<const timer*>{&far_off, &near_by}));
}

TEST(TimerWheel, ArmingAgainCountsAsArmedLast) {
    timer_wheel wheel;
    std::array<timer, 3> t;
    for (timer& each : t) wheel.arm(each, hour);
    wheel.arm(t[0], hour);
    EXPECT_EQ(wheel.size(), 3U);
    EXPECT_EQ(pop_all(wheel, hour), (std::vector<const timer*>{&t[1], &t[2], &t[0]}));
}

TEST(TimerWheel, OverdueTimersComeInOrderAcrossAllLevels) {
    timer_wheel wheel;
    std::vector<std::unique_ptr<timer>> timers;
    std::vector<const timer*> expected;
    for (int shift = 62; shift >= 0; --shift) {
        timers.push_back(std::make_unique<timer>());
        expected.insert(expected.begin(), timers.back().get());
        wheel.arm(*timers.back(), std::int64_t{1} << shift);
    }
    EXPECT_EQ(pop_all(wheel, INT64_MAX), expected);
}

TEST(TimerWheel, LookingAheadKeepsWhatIsArmedForLessExact) {
    timer_wheel wheel;
    timer late;
    std::array<timer, 3> t;
    wheel.arm(late, hour);
    EXPECT_EQ(wheel.next_deadline(), hour);
    wheel.arm(t[0], 3 * second);
    wheel.arm(t[1], 1);
    wheel.arm(t[2], hour - 1);
    EXPECT_EQ(wheel.next_deadline(), 1);
    EXPECT_EQ(pop_all(wheel, hour), (std::vector<const timer*>{&t[1], &t[0], &t[2], &late}));
}

TEST(TimerWheel, ClockGoingBackIsHarmless) {
    timer_wheel wheel;
    timer t;
    EXPECT_EQ(wheel.pop_due(hour), nullptr);
    wheel.arm(t, second);
    EXPECT_EQ(wheel.pop_due(second - 1), nullptr);
    EXPECT_EQ(wheel.pop_due(second), &t);
}

TEST(TimerWheelCancel, AtEveryPlaceInASlotAndInTheHeap) {
    for (const std::int64_t deadline : {std::int64_t{0}, hour}) {
        for (std::size_t victim = 0; victim < 5; ++victim) {
            timer_wheel wheel;
            std::array<timer, 5> t;
            std::vector<const timer*> expected;
            for (std::size_t i = 0; i < t.size(); ++i) {
                wheel.arm(t[i], deadline);
                if (i != victim) expected.push_back(&t[i]);
            }
            wheel.cancel(t[victim]);
            wheel.cancel(t[victim]);
            EXPECT_FALSE(t[victim].armed());
            EXPECT_EQ(wheel.size(), 4U);
            EXPECT_EQ(pop_all(wheel, deadline), expected);
        }
    }
}

TEST(TimerWheelCancel, OfTheEarliestMovesTheNextDeadline) {
    timer_wheel wheel;
    timer a;
    timer b;
    wheel.arm(a, second);
    wheel.arm(b, hour);
    EXPECT_EQ(wheel.next_deadline(), second);
    wheel.cancel(a);
    EXPECT_EQ(wheel.next_deadline(), hour);
    wheel.cancel(b);
    EXPECT_EQ(wheel.next_deadline(), timer_wheel::never);
}

// A timer with a callback of its own.
struct acting : timer {
    explicit acting(std::function<void(acting&)> act) : act_(std::move(act)) {
        fire = [](timer& t) { static_cast<acting&>(t).act_(static_cast<acting&>(t)); };
    }

private:
    std::function<void(acting&)> act_;
};

int run_batch(timer_wheel& wheel, std::int64_t now) {
    int fired = 0;
    wheel.begin_batch();
    while (timer* t = wheel.pop_due(now)) {
        ++fired;
        t->fire(*t);
    }
    return fired;
}

TEST(TimerWheelBatch, SelfArmingTimerStarvesNobody) {
    timer_wheel wheel;
    int selfish_runs = 0;
    int modest_runs = 0;
    acting selfish([&](acting& self) {
        EXPECT_FALSE(self.armed());
        ++selfish_runs;
        wheel.arm(self, 0);
    });
    acting modest([&](acting&) { ++modest_runs; });
    wheel.arm(selfish, 0);
    wheel.arm(modest, hour);
    EXPECT_EQ(run_batch(wheel, hour), 2);
    EXPECT_EQ(selfish_runs, 1);
    EXPECT_EQ(modest_runs, 1);
    EXPECT_EQ(wheel.next_deadline(), 0);
    EXPECT_EQ(run_batch(wheel, hour), 1);
    EXPECT_EQ(selfish_runs, 2);
    wheel.cancel(selfish);
    EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheelBatch, ATimerPutOffIsStillArmed) {
    timer_wheel wheel;
    timer first;
    timer late_comer;
    timer later;
    wheel.arm(first, 1);
    wheel.arm(later, hour);
    wheel.begin_batch();
    EXPECT_EQ(wheel.pop_due(hour), &first);
    wheel.arm(late_comer, 0);
    EXPECT_EQ(wheel.pop_due(hour), &later);
    EXPECT_EQ(wheel.pop_due(hour), nullptr);
    EXPECT_TRUE(late_comer.armed());
    EXPECT_EQ(wheel.size(), 1U);
    int seen = 0;
    wheel.for_each([&](const timer& t) { seen += &t == &late_comer ? 1 : 100; });
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(wheel.next_deadline(), 0);
    EXPECT_EQ(wheel.pop_due(hour), nullptr) << "the batch is still the same";
    wheel.begin_batch();
    EXPECT_EQ(wheel.pop_due(hour), &late_comer);
}

TEST(TimerWheelBatch, PutOffTimersMayBeCancelledAndArmedAgain) {
    timer_wheel wheel;
    std::array<timer, 3> t;
    wheel.begin_batch();
    for (timer& each : t) wheel.arm(each, 0);
    EXPECT_EQ(wheel.pop_due(hour), nullptr);
    wheel.cancel(t[1]);
    wheel.arm(t[0], 2 * hour);
    wheel.begin_batch();
    EXPECT_EQ(pop_all(wheel, hour), (std::vector<const timer*>{&t[2]}));
    EXPECT_EQ(pop_all(wheel, 2 * hour), (std::vector<const timer*>{&t[0]}));
}

TEST(TimerWheelBatch, CancelInTheSameBatchHolds) {
    timer_wheel wheel;
    auto victim = std::make_unique<acting>([](acting&) { FAIL() << "fired after its cancel"; });
    acting killer([&](acting&) {
        wheel.cancel(*victim);
        victim.reset();
    });
    int bystander_runs = 0;
    acting bystander([&](acting&) { ++bystander_runs; });
    wheel.arm(killer, 5);
    wheel.arm(*victim, 5);
    wheel.arm(bystander, 6);
    EXPECT_EQ(run_batch(wheel, hour), 2);
    EXPECT_EQ(bystander_runs, 1);
    EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheelBatch, ATimerMayEndInItsOwnCallback) {
    timer_wheel wheel;
    std::unique_ptr<acting> owned;
    owned = std::make_unique<acting>([&](acting&) {
        const auto ended = std::move(owned);
        EXPECT_FALSE(ended->armed());
    });
    wheel.arm(*owned, 1);
    EXPECT_EQ(run_batch(wheel, 1), 1);
    EXPECT_EQ(owned, nullptr);
}

TEST(TimerWheelBatch, ArmingAnotherForEarlierPutsItOff) {
    timer_wheel wheel;
    timer other;
    acting first([&](acting&) { wheel.arm(other, 0); });
    wheel.arm(first, 1);
    wheel.arm(other, 2);
    EXPECT_EQ(run_batch(wheel, 10), 1);
    EXPECT_TRUE(other.armed());
    wheel.cancel(other);
}

TEST(TimerWheelBatch, MayBeLeftUnfinished) {
    timer_wheel wheel;
    std::array<timer, 4> t;
    for (timer& each : t) wheel.arm(each, 1);
    wheel.begin_batch();
    EXPECT_EQ(wheel.pop_due(1), &t[0]);
    wheel.begin_batch();
    EXPECT_EQ(pop_all(wheel, 1), (std::vector<const timer*>{&t[1], &t[2], &t[3]}));
}

TEST(TimerWheel, AHundredThousandOfEveryPatternComeOutInOrder) {
    constexpr int count = 100'000;
    const auto timers = std::make_unique<timer[]>(count);
    std::mt19937_64 random(1);
    const std::array<std::function<std::int64_t(std::int64_t)>, 5> patterns{
        [](std::int64_t) { return hour; },
        [](std::int64_t i) { return i * 1000; },
        [](std::int64_t i) { return (count - i) * 1000; },
        [&](std::int64_t) { return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(tick)); },
        [&](std::int64_t) { return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(hour)); },
    };
    for (const auto& deadline_of : patterns) {
        timer_wheel wheel;
        for (int i = 0; i < count; ++i) wheel.arm(timers[static_cast<std::size_t>(i)], deadline_of(i));
        std::size_t seen = 0;
        wheel.for_each([&](const timer&) { ++seen; });
        EXPECT_EQ(seen, wheel.size());
        std::pair<std::int64_t, std::uint64_t> last{-1, 0};
        int popped = 0;
        bool ordered = true;
        while (const timer* t = wheel.pop_due(hour)) {
            ordered = ordered && last < std::pair(t->deadline, t->order);
            last = {t->deadline, t->order};
            ++popped;
        }
        EXPECT_TRUE(ordered);
        EXPECT_EQ(popped, count);
    }
}

}  // namespace
