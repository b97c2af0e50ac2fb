// Where several things meet, in every order: items that cannot be moved, destructors that wait, timeouts around sets of
// fibers, waits for several things, kills with exceptions. KL09, KL12, QU10, QU12, SY24; decisions 3 to 5.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "exploring.hpp"
#include "fragile.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

using copse::exploration;
using copse::fiber;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::fragile;
using copse_test::make_queue;
using namespace std::chrono_literals;

namespace {

class ExploreCorners : public copse_test::exploring {
protected:
    void TearDown() override {
        fragile::armed = 0;
        exploring::TearDown();
    }
};

// One of the moves throws, whichever. Whose call it was keeps the item, or never had it; no other is touched.
template <class Queue>
copse::scenario clumsy(std::size_t capacity) {
    return [capacity](exploration& run) {
        const auto q = make_queue<Queue>(capacity);
        int made = 0;
        int kept = 0;
        int got = 0;
        fragile::armed = static_cast<int>(run.choose(8));
        const auto put = [&](int n) {
            fragile mine(n);
            ++made;
            const at_end keep([&] { kept += mine.number == n ? 1 : 0; });
            try {
                q->put_for(std::move(mine), 2ms);
            } catch (const std::runtime_error&) {}
        };
        const auto get = [&] {
            try {
                if (auto x = q->get_for(1ms)) got += x->number != 0 ? 1 : 0;
            } catch (const std::runtime_error&) {}
        };
        const auto a = spawn([&] {
            put(1);
            put(2);
        });
        const auto b = spawn([&] { put(3); });
        const auto c = spawn(get);
        const auto d = spawn(get);
        copse::join_all(a, b, c, d);
        const bool broken = fragile::armed == 0;
        fragile::armed = 0;
        int left = 0;
        while (auto x = q->try_get()) left += x->number != 0 ? 1 : 0;
        // A move on the way out of a call, after it has been taken, may lose the one that it moves.
        run.check(made - kept - got - left <= (broken ? 1 : 0), "no item is lost that was not dropped");
        run.check(kept + got + left <= made, "no item comes twice");
    };
}

TEST_F(ExploreCorners, QU12_AQueueWhoseItemsCannotBeMoved) {
    explore_all("queue_fragile", clumsy<copse::queue<fragile>>(1));
}
TEST_F(ExploreCorners, QU12_AChannelWhoseItemsCannotBeMoved) {
    explore_all("channel_fragile", clumsy<copse::channel<fragile>>(0));
}

// What a fiber's callable, result and values end with may wait; whoever joins, kills or drops the fiber meanwhile.
TEST_F(ExploreCorners, DestructorsThatWait) {
    explore_all("late_destructors", [](exploration& run) {
        int alive = 0;
        struct slow {
            explicit slow(int& n) : count(&n) { ++*count; }
            slow(slow&& other) noexcept : count(std::exchange(other.count, nullptr)) {}
            slow& operator=(slow&&) = delete;
            ~slow() {
                if (count == nullptr) return;
                const copse::shield keep;
                if (!copse::greenlet::current().is_main()) yield();
                --*count;
            }
            int* count;
        };
        {
            const auto a = spawn([&alive, carried = slow(alive)] {
                yield();
                return slow(alive);
            });
            const auto b = spawn([&] {
                a.join();
                yield();
            });
            const auto c = spawn([handle = a] {
                yield();
                handle.kill();
            });
            copse::join_all(b, c);
        }
        copse::hub::current().run_until_idle();
        run.check(alive == 0, "all have ended");
    });
}

TEST_F(ExploreCorners, ValuesOfAGreenletThatWaitAtItsEnd) {
    explore_all("local", [](exploration& run) {
        int alive = 0;
        copse::semaphore s(1);
        struct lease {
            lease(int& n, copse::semaphore& from) : count(n), permits(from) { ++count; }
            lease(const lease&) = delete;
            lease& operator=(const lease&) = delete;
            ~lease() {
                const copse::shield keep;
                permits.acquire();
                yield();
                permits.release();
                --count;
            }
            int& count;
            copse::semaphore& permits;
        };
        copse::local<std::shared_ptr<lease>> mine;
        const auto work = [&] {
            *mine = std::make_shared<lease>(alive, s);
            yield();
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto c = spawn([&] {
            yield();
            a.kill();
        });
        copse::join_all(a, b, c);
        run.check(alive == 0 && s.available() == 1, "all have ended");
    });
}

TEST_F(ExploreCorners, WaitsForSeveralThings) {
    explore_all("wait_any", [](exploration& run) {
        copse::event e;
        copse::semaphore s(0);
        copse::async_result<int> answer;
        const auto worker = spawn([] { yield(); });
        int told = 0;
        const auto watch = [&] {
            const auto at = copse::wait_any(worker, e, s, answer);
            const bool true_then[] = {worker.ready(), true, true, answer.ready()};
            run.check(true_then[at], "wait_any says what is true");
            ++told;
        };
        const auto a = spawn(watch);
        const auto b = spawn(
            [&] { told += copse::wait_all({.timeout = 1ms, .count = 2}, e, s, answer, worker).size() <= 4 ? 1 : 0; });
        const auto c = spawn([&] {
            e.set();
            yield();
            s.release();
            e.clear();
        });
        yield();
        answer.set(1);
        copse::join_all(a, b, c);
        worker.join();
        run.check(told == 2 || run.interfered(), "both are told");
    });
}

TEST_F(ExploreCorners, ALimitAroundAPool) {
    explore_all("pool_timeout", [](exploration& run) {
        copse::pool workers(1);
        int inside = 0;
        const auto work = [&](int n) {
            ++inside;
            const at_end leave([&] { --inside; });
            copse::sleep(1ms);
            return n;
        };
        const std::vector<int> numbers = {1, 2};
        const auto a = spawn([&] {
            const copse::timeout limit(1ms);
            try {
                workers.apply(work, 1);
            } catch (const copse::timeout_expired& e) {
                if (!limit.threw(e)) throw;
            }
        });
        const auto b = spawn([&] {
            const copse::timeout limit(2ms);
            try {
                workers.map(numbers, work);
            } catch (const copse::timeout_expired& e) {
                if (!limit.threw(e)) throw;
            }
        });
        copse::join_all(a, b);
        (void)a.exception();
        (void)b.exception();
        run.check(inside == 0, "apply and map leave nobody behind");
        workers.join();
        run.check(workers.free_count() == 1 && workers.queued() == 0, "the slot is back");
    });
}

TEST_F(ExploreCorners, ALimitAroundANursery) {
    explore_all("nursery_timeout",
                [](exploration& run) {
                    copse::mutex m;
                    int inside = 0;
                    const auto parent = [&](std::chrono::milliseconds length) {
                        copse::timeout limit(length);
                        try {
                            copse::with_nursery([&](copse::nursery& n) {
                                for (int i = 0; i < 2; ++i) {
                                    n.spawn([&] {
                                        ++inside;
                                        const at_end leave([&] { --inside; });
                                        const std::lock_guard held(m);
                                        copse::sleep(1ms);
                                    });
                                }
                            });
                        } catch (const copse::timeout_expired& e) {
                            if (!limit.threw(e)) throw;
                        }
                    };
                    const auto a = spawn(parent, 1ms);
                    const auto b = spawn(parent, 3ms);
                    copse::join_all(a, b);
                    (void)a.exception();
                    (void)b.exception();
                    run.check(inside == 0 && !m.locked(), "nobody is left");
                },
                {.limit = 10'000});
}

TEST_F(ExploreCorners, KillsWithAnException) {
    explore_all("kill_exception", [](exploration& run) {
        copse::queue<int> q(1);
        int got = 0;
        const auto victim = spawn([&] {
            for (;;) got += q.get();
        });
        const auto a = spawn([&] { victim.kill(std::make_exception_ptr(std::runtime_error("enough"))); });
        const auto b = spawn([&] { copse::kill_all(copse::kill_options{.timeout = 1ms}, victim); });
        const auto c = spawn([&] {
            q.put_for(1, 1ms);
            q.put_for(1, 1ms);
        });
        copse::join_all(a, b, c);
        victim.kill();
        (void)victim.exception();
        run.check(got + static_cast<int>(q.size()) <= 2, "nothing comes twice");
    });
}

TEST_F(ExploreCorners, KillAllWithOneselfAmongThem) {
    explore_all("kill_all_self", [](exploration& run) {
        std::vector<fiber<void>> all;
        int ended = 0;
        int begun = 0;
        const auto work = [&](bool kills) {
            ++begun;
            const at_end count([&] { ++ended; });
            yield();
            if (kills) copse::kill_all(all);
            run.check(!kills, "nobody survives it");
            copse::sleep(1ms);
        };
        for (int i = 0; i < 3; ++i) all.push_back(spawn(work, i < 2));
        copse::join_all(all);
        run.check(begun == ended, "all who began have ended");
    });
}

// It may end as soon as it has let them go on, before they run.
TEST_F(ExploreCorners, ObjectsThatEndAtOnce) {
    explore_all("end_at_once", [](exploration& run) {
        int through = 0;
        std::optional<copse::latch> open(std::in_place, 1);
        std::optional<copse::event> e(std::in_place);
        std::optional<copse::queue<int>> q(std::in_place, 1U);
        const auto a = spawn([&] {
            if (open) open->wait();
            ++through;
        });
        const auto b = spawn([&] {
            if (e) e->wait_for(1h);
            ++through;
        });
        const auto c = spawn([&] {
            try {
                if (q) q->get();
            } catch (const copse::queue_closed&) {}
            ++through;
        });
        yield();
        open->count_down();
        open.reset();
        e->set();
        e.reset();
        q->close();
        q.reset();
        copse::join_all(a, b, c);
        run.check(through == 3 || run.interfered(), "all get through");
    });
}

TEST_F(ExploreCorners, MainWaitsForIdleness) {
    explore_all("idle", [](exploration& run) {
        copse::semaphore s(0);
        int posted = 0;
        const auto a = spawn([&] {
            copse::hub::current().post([&] {
                ++posted;
                s.release();
            });
            yield();
        });
        const auto b = spawn([&] {
            if (s.try_acquire_for(1ms)) s.release();
        });
        copse::hub::current().run_until_idle();
        run.check(a.ready() && b.ready(), "idle is when all have ended");
        run.check(s.available() == posted, "the permit is accounted for");
        copse::join_all(a, b);
    });
}

}  // namespace
