// Threads and fibers that use one object, killed and timed out at random: what must be conserved is. P1, P2, P5; decisions
// 3, 4. With the real clock; counts shrink under sanitizers.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "hub_test.hpp"
#include "sanitizer.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

using copse::fiber;
using copse::spawn;
using copse::workers;
using copse::yield;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t threads = 4;
constexpr int fibers = 8;                                    // on each thread
constexpr int rounds = copse_test::sanitized ? 500 : 5'000;  // of each fiber
using dice = std::minstd_rand;

class SharedStress : copse_test::hub_with_stack, public copse_test::leak_check {
protected:
    // On every thread so many fibers that each call `round` again and again, while another one kills them at random and
    // starts them anew. The number of the one that is killed next is up to the dice.
    static void rage(const std::function<void(dice&)>& round) {
        workers all(threads, [&round](std::size_t thread) {
            std::vector<fiber<void>> mine;
            dice chance(static_cast<unsigned>(thread) + 1);
            const auto begin = [&](int left) {
                return spawn([&round, &chance, left]() mutable {
                    for (; left > 0; --left) round(chance);
                });
            };
            for (int i = 0; i < fibers; ++i) mine.push_back(begin(rounds));
            for (int kills = 0; kills < rounds / 10; ++kills) {
                copse::sleep(std::chrono::microseconds(chance() % 300));
                fiber<void>& victim = mine[chance() % fibers];
                victim.request_kill();
                victim.join();
                victim = begin(20);
            }
            for (const fiber<void>& f : mine) f.join();
        });
        all.join();
    }

    // Usually nothing.
    static void dawdle(dice& chance) {
        const auto n = chance() % 8;
        if (n == 0) yield();
        if (n == 1) copse::sleep(std::chrono::microseconds(chance() % 50));
    }

    static std::chrono::microseconds soon(dice& chance) { return std::chrono::microseconds(chance() % 200); }
};

TEST_F(SharedStress, PermitsAreConserved) {
    constexpr std::ptrdiff_t permits = 3;
    copse::shared::semaphore s(permits);
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    rage([&](dice& chance) {
        if (chance() % 2 == 0) {
            s.acquire();
        } else if (!s.try_acquire_for(soon(chance))) {
            return;
        }
        const int now = ++inside;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {}
        const copse_test::at_end back([&] {
            --inside;
            s.release();
        });
        dawdle(chance);
    });
    EXPECT_EQ(s.available(), permits);
    EXPECT_EQ(inside, 0);
    EXPECT_LE(most, permits);
    EXPECT_GT(most, 1);
}

TEST_F(SharedStress, AMutexExcludes) {
    copse::shared::mutex m;
    long counter = 0;  // guarded by m: no atomic, so that a race is one
    std::atomic<long> expected{0};
    rage([&](dice& chance) {
        std::unique_lock held(m, std::defer_lock);
        switch (chance() % 4) {
        case 0: held.lock(); break;
        case 1:
            if (!held.try_lock()) return;
            break;
        default:
            if (!held.try_lock_for(soon(chance))) return;
        }
        EXPECT_TRUE(m.owned());
        const long before = counter;
        dawdle(chance);
        EXPECT_EQ(counter, before);
        counter = before + 1;
        ++expected;
    });
    EXPECT_FALSE(m.locked());
    EXPECT_EQ(counter, expected);
}

TEST_F(SharedStress, SeveralMutexesInAnyOrderComeToAnEnd) {
    copse::shared::mutex m1;
    copse::shared::mutex m2;
    rage([&](dice& chance) {
        if (chance() % 2 == 0) {
            const std::scoped_lock held(m1, m2);
            dawdle(chance);
        } else {
            const std::scoped_lock held(m2, m1);
            dawdle(chance);
        }
    });
    EXPECT_FALSE(m1.locked());
    EXPECT_FALSE(m2.locked());
}

// Every item that was put comes out once: what a call that was interrupted did not put, it still has.
template <class Line>
void every_item_once(Line& line, const std::function<void(const std::function<void(dice&)>&)>& rage) {
    constexpr std::size_t most = 1'000'000;
    std::vector<std::atomic<std::uint8_t>> got(most);
    std::atomic<std::size_t> made{0};
    std::atomic<std::size_t> put{0};
    std::atomic<std::size_t> taken{0};
    using item = std::unique_ptr<std::size_t>;
    const auto take = [&](const item& i) {
        ++got[*i];
        ++taken;
    };
    rage([&](dice& chance) {
        if (chance() % 2 == 0) {
            auto i = std::make_unique<std::size_t>(made++);
            const std::size_t number = *i;
            ASSERT_LT(number, most);
            const copse_test::at_end counted([&] {
                if (i == nullptr) {
                    ++put;
                } else {
                    ++got[*i];  // nobody else will
                }
            });
            if (chance() % 4 == 0) {
                line.try_put(std::move(i));
            } else {
                line.put_for(std::move(i), std::chrono::microseconds(chance() % 200));
            }
        } else if (chance() % 4 == 0) {
            if (const auto i = line.try_get()) take(*i);
        } else {
            if (const auto i = line.get_for(std::chrono::microseconds(chance() % 200))) take(*i);
        }
        if (chance() % 16 == 0) yield();
    });
    line.close();
    for (const item& i : line) take(i);
    EXPECT_EQ(taken, put);
    EXPECT_GT(put, 0u);
    for (std::size_t n = 0; n < made; ++n) ASSERT_EQ(got[n], 1) << n;
}

TEST_F(SharedStress, AQueueGivesEveryItemOnce) {
    copse::shared::queue<std::unique_ptr<std::size_t>> q(4);
    every_item_once(q, [](const auto& round) { rage(round); });
}

TEST_F(SharedStress, AChannelGivesEveryItemOnce) {
    copse::shared::channel<std::unique_ptr<std::size_t>> c;
    every_item_once(c, [](const auto& round) { rage(round); });
}

// One producer, one consumer on another thread: the order is kept.
TEST_F(SharedStress, AQueueKeepsItsOrder) {
    copse::shared::queue<int> q(8);
    constexpr int items = copse_test::sanitized ? 20'000 : 200'000;
    std::thread producer([&] {
        for (int i = 0; i < items; ++i) q.put(i);
        q.close();
    });
    int next = 0;
    for (const int i : q) ASSERT_EQ(i, next++);
    EXPECT_EQ(next, items);
    producer.join();
}

// Events and results that end as soon as the wait has returned.
TEST_F(SharedStress, TheOneWhoWaitedMayEndIt) {
    constexpr int pairs = copse_test::sanitized ? 2'000 : 20'000;
    copse::shared::queue<std::pair<copse::shared::event*, copse::shared::async_result<int>*>> asked(16);
    workers setters(2, [&](std::size_t) {
        for (const auto& both : asked) {
            both.second->set(1);
            both.first->set();
        }
    });
    std::vector<fiber<void>> askers;
    for (int f = 0; f < fibers; ++f) {
        askers.push_back(spawn([&] {
            for (int i = 0; i < pairs / fibers; ++i) {
                copse::shared::event done;
                {
                    auto result = std::make_unique<copse::shared::async_result<int>>();
                    asked.put({&done, result.get()});
                    EXPECT_EQ(result->get(), 1);
                }
                done.wait();
            }
        }));
    }
    copse::join_all(askers);
    asked.close();
    setters.join();
}

// Threads that end with waiters, which may have been claimed at that moment.
TEST_F(SharedStress, ThreadsThatEndLoseNoPermit) {
    constexpr int generations = copse_test::sanitized ? 20 : 200;
    copse::shared::semaphore s(2);
    std::atomic<bool> over{false};
    std::thread churn([&] {
        while (!over) {
            s.acquire();
            s.release();
        }
    });
    for (int g = 0; g < generations; ++g) {
        workers(2, [&](std::size_t) {
            for (int f = 0; f < 4; ++f) {
                spawn([&] {
                    for (;;) {
                        s.acquire();
                        const copse_test::at_end back([&] { s.release(); });
                        yield();
                    }
                });
            }
            for (int n = 0; n < 20; ++n) yield();
        }).join();
    }
    over = true;
    churn.join();
    EXPECT_EQ(s.available(), 2);
}

}  // namespace
