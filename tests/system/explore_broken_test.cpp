// What is broken on purpose: the explorer finds it, and its line repeats it.

#include "explorer_fixture.hpp"

#include <copse/explore.hpp>
#include <copse/fibers.hpp>

#include <chrono>
#include <string>
#include <vector>
using copse::exploration;
using copse::exploration_failed;
using copse::spawn;
using copse::yield;
using copse_test::contains;
using copse_test::environment_variable;
using namespace std::chrono_literals;

namespace {

using Explore = copse_test::explorer_fixture;

// Lets whoever runs take the permit that was meant for a waiter, who then has to wait again: nobody counts on a turn.
class barging_semaphore {
public:
    void acquire() {
        while (free_ == 0) freed_.wait_for(1h);
        --free_;
    }
    void release() {
        ++free_;
        freed_.set();
        freed_.clear();
    }

private:
    int free_ = 1;
    copse::event freed_;
};

TEST_F(Explore, FindsASemaphoreThatIsNotFair) {
    const auto scene = [](exploration& run) {
        barging_semaphore s;
        copse_test::fair_line line(run);
        const auto work = [&] {
            line.pass([&s] { s.acquire(); });
            yield();
            s.release();
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto c = spawn(work);
        copse::join_all(a, b, c);
    };
    const exploration_failed found = failure_of({.name = "barging"}, scene);
    EXPECT_TRUE(contains(found.what(), "in the order of arrival")) << found.what();
    EXPECT_TRUE(contains(found.what(), "\nCOPSE_REPLAY=barging:" + found.replay())) << found.what();
    const exploration_failed again = failure_of({.name = "barging", .replay = found.replay()}, scene);
    EXPECT_EQ(again.replay(), found.replay());
}

// Looks, and then waits: between the two it may be too late.
class sleepy_queue {
public:
    void put(int n) {
        items_.push_back(n);
        if (waiting_) came_.set();
    }
    int get() {
        while (items_.empty()) {
            yield();  // "let me see whether somebody else wants to go first"
            came_.clear();
            waiting_ = true;
            came_.wait();
            waiting_ = false;
        }
        const int first = items_.front();
        items_.erase(items_.begin());
        return first;
    }

private:
    std::vector<int> items_;
    copse::event came_;
    bool waiting_ = false;
};

void get_one(exploration& run) {
    sleepy_queue q;
    const auto getter = spawn({.name = "getter"}, [&] { run.check(q.get() == 1, "it is what was put"); });
    const auto putter = spawn({.name = "putter"}, [&q] {
        yield();
        q.put(1);
    });
    copse::join_all(getter, putter);
}

TEST_F(Explore, FindsALostWakeUp) {
    const exploration_failed found = failure_of({}, get_one);
    const std::string text = found.what();
    EXPECT_TRUE(contains(text, "it hangs")) << text;
    EXPECT_TRUE(contains(text, "\"getter\" parked in event")) << text;
    EXPECT_TRUE(contains(text, "in this order: putter, getter, putter, getter") ||
                contains(text, "in this order: getter, putter, putter, getter"))
        << text;
    EXPECT_EQ(found.cause(), nullptr);
    const environment_variable told("COPSE_REPLAY", found.replay().c_str());
    const exploration_failed again = failure_of({}, get_one);
    EXPECT_EQ(again.replay(), found.replay());
    EXPECT_TRUE(contains(again.what(), "execution 1 ")) << again.what();
}

TEST_F(Explore, FindsItBySeedsToo) {
    std::string seed;
    try {
        copse::explore_seeds({.name = "sleepy"}, get_one);
    } catch (const exploration_failed& e) {
        seed = e.replay();
        EXPECT_TRUE(contains(e.what(), "\nCOPSE_SEED=sleepy:" + seed)) << e.what();
    }
    ASSERT_FALSE(seed.empty());
    const environment_variable told("COPSE_SEED", ("sleepy:" + seed).c_str());
    try {
        copse::explore_seeds({.name = "sleepy"}, get_one);
        ADD_FAILURE() << "the seed does not repeat it";
    } catch (const exploration_failed& e) {
        EXPECT_EQ(e.replay(), seed);
        EXPECT_TRUE(contains(e.what(), "execution 1 ")) << e.what();
    }
}

TEST_F(Explore, FindsAPermitThatDiesWithItsOwner) {
    const auto scene = [](exploration& run) {
        copse::semaphore s(1);
        const auto use = [&s] {
            s.acquire();
            yield();
            s.release();
        };
        const auto a = spawn(use);
        const auto b = spawn(use);
        copse::join_all(copse::join_options{.timeout = 1s}, a, b);
        copse::kill_all(a, b);
        run.check(s.available() == 1, "the permit is back");
    };
    EXPECT_NO_THROW(copse::explore(scene));
    const exploration_failed found = failure_of({.kills = true}, scene);
    EXPECT_TRUE(contains(found.replay(), "k")) << found.replay();
    EXPECT_TRUE(contains(found.what(), "kill #")) << found.what();
    EXPECT_EQ(failure_of({.kills = true, .replay = found.replay()}, scene).replay(), found.replay());
}

}  // namespace
