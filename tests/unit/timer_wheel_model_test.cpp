// The timer wheel beside a model of it, whatever is asked of it in whatever order. Faults TM01 to TM07.

#include "timer_wheel.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <utility>

using copse::detail::timer;
using copse::detail::timer_wheel;

namespace {

// The wheel beside a sorted map that cannot be wrong. Deadlines reach from the past to the end of the clock, time
// creeps, leaps and sometimes goes back, batches are opened, cut short and mixed with arming.
class WheelModel : public testing::TestWithParam<std::uint64_t> {
protected:
    static constexpr std::size_t timer_count = 300;

    void step() {
        const auto dice = below(100);
        if (dice < 35) {
            arm(any_timer(), any_deadline());
        } else if (dice < 55) {
            cancel(any_timer());
        } else if (dice < 70) {
            now_ = below(20) == 0 ? now_ - any_delay(40) : later(now_, any_delay(longest_leap_bits_));
        } else if (dice < 80) {
            begin_batch();
        } else if (dice < 95) {
            pop(below(20));
        } else {
            ASSERT_EQ(wheel_.next_deadline(), model_next());
        }
        ASSERT_EQ(wheel_.size(), model_.size());
    }

    void compare_all() const {
        std::set<const timer*> in_wheel;
        wheel_.for_each([&](const timer& t) { in_wheel.insert(&t); });
        std::set<const timer*> in_model;
        for (const auto& entry : model_) in_model.insert(entry.second);
        ASSERT_EQ(in_wheel, in_model);
    }

    void drain() {
        now_ = INT64_MAX;
        while (!wheel_.empty()) {
            begin_batch();
            ASSERT_NO_FATAL_FAILURE(pop(timer_count));
        }
        EXPECT_TRUE(model_.empty());
    }

private:
    using key = std::pair<std::int64_t, std::uint64_t>;

    std::uint64_t below(std::uint64_t n) { return random_() % n; }
    timer& any_timer() { return timers_[below(timers_in_use_)]; }

    // All magnitudes alike, so that every level is visited; round numbers often, so that equal deadlines and edges
    // of slots are.
    std::int64_t any_delay(std::uint64_t max_bits) {
        const auto bits = below(max_bits);
        const auto delay = static_cast<std::int64_t>(random_() & ((std::uint64_t{1} << bits) - 1));
        return below(3) == 0 ? delay >> (bits / 2) << (bits / 2) : delay;
    }

    static std::int64_t later(std::int64_t t, std::int64_t delay) {
        return t > INT64_MAX - delay ? INT64_MAX : t + delay;
    }

    std::int64_t any_deadline() {
        switch (below(12)) {
        case 0: return now_ - any_delay(40);
        case 1: return now_;
        case 2: return last_deadline_;
        case 3: return below(50) == 0 ? INT64_MAX : later(now_, any_delay(64));
        case 4: return later(now_ >> 26 << 26, std::int64_t{1} << 26);
        default: return later(now_, any_delay(44));
        }
    }

    void arm(timer& t, std::int64_t deadline) {
        if (t.armed()) model_.erase({t.deadline, t.order});
        wheel_.arm(t, deadline);
        ASSERT_TRUE(t.armed());
        ASSERT_EQ(t.order, armings_);
        model_.emplace(key{deadline, armings_++}, &t);
        last_deadline_ = deadline;
    }

    void cancel(timer& t) {
        if (t.armed()) model_.erase({t.deadline, t.order});
        wheel_.cancel(t);
        ASSERT_FALSE(t.armed());
    }

    void begin_batch() {
        wheel_.begin_batch();
        batch_end_ = armings_;
    }

    std::int64_t model_next() const { return model_.empty() ? timer_wheel::never : model_.begin()->first.first; }

    timer* model_pop() {
        for (auto at = model_.begin(); at != model_.end() && at->first.first <= now_; ++at) {
            if (at->first.second >= batch_end_) continue;
            timer* t = at->second;
            model_.erase(at);
            return t;
        }
        return nullptr;
    }

    void pop(std::uint64_t at_most) {
        for (; at_most > 0; --at_most) {
            timer* t = wheel_.pop_due(now_);
            ASSERT_EQ(t, model_pop());
            if (t == nullptr) return;
            ASSERT_FALSE(t->armed());
            if (below(4) == 0) arm(*t, any_deadline());
            if (below(4) == 0) cancel(any_timer());
        }
    }

    std::mt19937_64 random_{GetParam()};
    const std::uint64_t timers_in_use_ =
        GetParam() % 3 == 0 ? 4 : timer_count;  // a few leave the heap empty most of the time
    const std::uint64_t longest_leap_bits_ =
        40 + GetParam() % 4 * 5;  // a run covers a day, a month, years or a century
    timer_wheel wheel_;
    std::array<timer, timer_count> timers_;
    std::map<key, timer*> model_;
    std::int64_t now_ = 0;
    std::int64_t last_deadline_ = 0;
    std::uint64_t armings_ = 0;
    std::uint64_t batch_end_ = UINT64_MAX;
};

TEST_P(WheelModel, AgreesWithASortedMap) {
    for (int i = 0; i < 60'000; ++i) {
        ASSERT_NO_FATAL_FAILURE(step()) << "seed " << GetParam() << ", step " << i;
        if (i % 5'000 == 0) {
            ASSERT_NO_FATAL_FAILURE(compare_all());
        }
    }
    drain();
}

INSTANTIATE_TEST_SUITE_P(Seeds, WheelModel, testing::Range<std::uint64_t>(1, 13));

}  // namespace
