// Locks under random orders, kills and timeouts; and what a deadlock says of them. KL09, SC01, SC08, SY05; decisions 3 and 6.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <string>
#include <vector>

using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class RandomOrder : copse_test::hub_with_stack, public copse_test::leak_check {
protected:
    // Twenty fibers do `step` ten times each, in an order drawn from the seed, while a killer ends some of them.
    void run(std::uint32_t seed, const std::function<void(std::mt19937&)>& step) {
        const copse::virtual_time time(seed);
        std::mt19937 draw(seed);
        std::vector<copse::fiber<void>> all;
        for (int i = 0; i < 20; ++i) {
            all.push_back(spawn([&] {
                for (int n = 0; n < 10; ++n) {
                    step(draw);
                    if (draw() % 2 == 0) yield();
                }
            }));
        }
        const auto killer = spawn([&] {
            for (int n = 0; n < 8; ++n) {
                sleep(std::chrono::microseconds(draw() % 200));
                all[draw() % all.size()].request_kill();
            }
        });
        EXPECT_EQ(join_all({.timeout = 1h}, all), all.size()) << "seed " << seed;
        killer.join();
        for (const auto& f : all) EXPECT_EQ(f.exception(), nullptr) << "seed " << seed;
    }

    static std::chrono::microseconds a_while(std::mt19937& draw) { return std::chrono::microseconds(draw() % 20); }
};

TEST_F(RandomOrder, Fault_SC08_OfReadersAndWriters) {
    for (std::uint32_t seed = 1; seed <= 100; ++seed) {
        copse::shared_mutex m;
        int readers = 0;
        int writers = 0;
        int gone = 0;
        run(seed, [&](std::mt19937& draw) {
            const auto count = [&](int& inside) {
                struct here {
                    int& n;
                    explicit here(int& of) : n(of) { ++n; }
                    ~here() { --n; }
                } const scope(inside);
                EXPECT_TRUE(writers == 0 || (writers == 1 && readers == 0)) << "seed " << seed;
                sleep(a_while(draw));
            };
            switch (draw() % 4) {
            case 0:
                if (const std::unique_lock lock(m); lock) count(writers);
                break;
            case 1:
                if (const std::unique_lock lock(m, a_while(draw)); lock) count(writers);
                else ++gone;
                break;
            case 2:
                if (const std::shared_lock lock(m); lock) count(readers);
                break;
            default:
                if (const std::shared_lock lock(m, a_while(draw)); lock) count(readers);
                else ++gone;
            }
        });
        EXPECT_GT(gone, 0) << "seed " << seed;
        EXPECT_EQ(m.readers(), 0u) << "seed " << seed;
        EXPECT_TRUE(m.try_lock()) << "seed " << seed;
        m.unlock();
    }
}

TEST_F(RandomOrder, Fault_SC08_OfARecursiveMutexAndItsCondition) {
    for (std::uint32_t seed = 1; seed <= 50; ++seed) {
        copse::recursive_mutex m;
        copse::condition_variable_any changed;
        int inside = 0;
        run(seed, [&](std::mt19937& draw) {
            std::unique_lock outer(m);
            if (draw() % 3 == 0) changed.wait_for(outer, a_while(draw));
            EXPECT_EQ(m.depth(), 1u) << "seed " << seed;
            const std::lock_guard inner(m);
            EXPECT_EQ(++inside, 1) << "seed " << seed;
            const copse::shield whole;  // so that the count is
            yield();
            --inside;
            changed.notify_one();
        });
        EXPECT_FALSE(m.locked()) << "seed " << seed;
    }
}

TEST_F(RandomOrder, Fault_SC08_OfPermitsAndThoseThatWatchThem) {
    for (std::uint32_t seed = 1; seed <= 50; ++seed) {
        copse::bounded_semaphore permits(3);
        int taken = 0;
        run(seed, [&](std::mt19937& draw) {
            if (draw() % 4 == 0) return (void)permits.wait_for(a_while(draw));
            if (!permits.try_acquire_for(a_while(draw))) return;
            EXPECT_LE(++taken, 3) << "seed " << seed;
            const copse::shield whole;
            sleep(a_while(draw));
            --taken;
            permits.release();
        });
        EXPECT_EQ(permits.available(), 3) << "seed " << seed;
    }
}

TEST_F(RandomOrder, Fault_SC08_OfPhases) {
    int all_phases = 0;
    for (std::uint32_t seed = 1; seed <= 50; ++seed) {
        int phases = 0;
        copse::barrier meet(20, [&]() noexcept { ++phases; });
        run(seed, [&](std::mt19937& draw) {
            const int before = phases;
            const auto token = meet.arrive();
            sleep(a_while(draw));
            if (meet.wait_for(token, 0s)) {
                EXPECT_GT(phases, before) << "seed " << seed;
            }
        });
        EXPECT_LE(phases, 10) << "seed " << seed;
        all_phases += phases;
    }
    EXPECT_GT(all_phases, 0);
}

class LockDeadlock : public copse_test::hub_test {};

// SC01: main is told who waits for what, and what they wait for still works afterwards
TEST_F(LockDeadlock, Fault_SC01_SaysWhatIsWaitedForAndLeavesTheLinesWhole) {
    copse::async_result<int> result;
    copse::bounded_semaphore permits(0);
    copse::recursive_mutex recursive;
    copse::shared_mutex shared;
    copse::latch open(1);
    copse::barrier meet(2);
    copse::once_flag flag;
    recursive.lock();
    shared.lock();
    std::vector<copse::fiber<void>> all;
    all.push_back(spawn([&] { log(result.get()); }));
    all.push_back(spawn([&] { permits.wait(); }));
    all.push_back(spawn([&] { const std::lock_guard lock(recursive); }));
    all.push_back(spawn([&] { const std::unique_lock lock(shared); }));
    all.push_back(spawn([&] { const std::shared_lock lock(shared); }));
    all.push_back(spawn([&] { open.wait(); }));
    all.push_back(spawn([&] { meet.arrive_and_wait(); }));
    all.push_back(spawn([&] { copse::call_once(flag, [&] { open.wait(); }); }));
    all.push_back(spawn([&] { copse::call_once(flag, [] {}); }));
    const std::string text = what_is_thrown_by([&] { result.wait(); });
    for (const char* kind : {"async_result", "semaphore, to become available", "recursive_mutex", "shared_mutex",
                             "shared_mutex, shared", "latch", "barrier", "once_flag"}) {
        EXPECT_NE(text.find(kind), std::string::npos) << kind << " in " << text;
    }
    EXPECT_THROW(shared.try_lock_shared_for(1h), copse::self_deadlock);
    EXPECT_THROW(copse::with_timeout(1h, [&] { permits.acquire(); }), copse::timeout_expired);
    result.set(1);
    permits.wait_for(0s);
    recursive.unlock();
    shared.unlock();
    open.count_down();
    (void)meet.arrive();
    all[1].kill();  // there never was a permit
    EXPECT_EQ(join_all({.timeout = 1h}, all), all.size());
    EXPECT_EQ(log.text(), "1");
}

}  // namespace
