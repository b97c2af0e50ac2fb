// Groups, pools, nurseries and what is built on them in every order of small scenarios: rules 100 to 110; decisions 3 to 5.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "exploring.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

using copse::exploration;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::room;
using namespace std::chrono_literals;

namespace {

class ExploreSets : public copse_test::exploring {};

TEST_F(ExploreSets, AGroupThatIsJoinedAndKilled) {
    explore_all("group", [](exploration& run) {
        copse::group all;
        int inside = 0;
        const auto work = [&] {
            ++inside;
            const at_end leave([&] { --inside; });
            yield();
            copse::sleep(1ms);
        };
        all.spawn(work);
        all.spawn([&] {
            work();
            all.spawn(work);
        });
        const auto joiner = spawn([&] { all.join(); });
        const auto killer = spawn([&] {
            yield();
            all.kill();
            run.check(all.empty(), "kill returns when there is nobody");
        });
        copse::join_all(joiner, killer);
        all.kill();
        run.check(all.empty() && inside == 0, "nobody is left");
    });
}

TEST_F(ExploreSets, MembersThatEndTheirOwnGroup) {
    explore_all("group_suicide", [](exploration& run) {
        copse::group all;
        int ended = 0;
        int begun = 0;
        const auto work = [&](int n) {
            ++begun;
            const at_end leave([&] { ++ended; });
            for (int i = 0; i < n; ++i) yield();
            all.kill();
        };
        for (int i = 0; i < 3; ++i) all.spawn(work, i);
        const auto watcher = spawn([&] {
            if (all.join_for(0ms)) run.check(all.empty(), "join says what is true");
        });
        all.join();
        watcher.join();
        run.check(begun == ended, "all who began have ended");
    });
}

TEST_F(ExploreSets, SlotsOfAPool) {
    explore_all("pool", [](exploration& run) {
        copse::pool workers(1);
        room inside(run, 1);
        int done = 0;
        const auto work = [&] {
            const room::visit here(inside);
            yield();
            ++done;
        };
        const auto a = spawn([&] {
            workers.spawn(work);
            workers.spawn(work);
        });
        const auto b = spawn([&] { workers.spawn_for(1ms, work); });
        const auto c = spawn([&] { workers.apply_async(work); });
        const auto d = spawn([&] {
            if (workers.wait_available_for(1ms)) yield();
            workers.try_spawn(work);
        });
        copse::join_all(a, b, c, d);
        workers.join();
        run.check(workers.free_count() == 1 && workers.queued() == 0 && workers.empty(), "the slot is back");
        run.check(done >= 3 || run.interfered(), "the work is done");
    });
}

// Who is killed while it waits for a slot takes along what it would have spawned, unstarted.
TEST_F(ExploreSets, WhoGivesUpWaitingForASlot) {
    explore_all("pool_give_up", [](exploration& run) {
        copse::pool workers(1);
        const auto spawn_one = [&](auto spawn_it) {
            bool ran = false;
            bool spawned = false;
            const at_end judge([&] { run.check(spawned || !ran, "what was not spawned does not run"); });
            try {
                spawned = spawn_it([&ran] { ran = true; });
                workers.join();
            } catch (...) {
                const copse::shield keep;
                workers.join();
                throw;
            }
        };
        const auto a = spawn([&] {
            const auto held = workers.spawn([] { yield(); });
            held.join();
        });
        const auto b = spawn([&] {
            spawn_one([&](auto f) {
                workers.spawn(f);
                return true;
            });
        });
        const auto c = spawn([&] { spawn_one([&](auto f) { return workers.spawn_for(1ms, f).has_value(); }); });
        copse::join_all(a, b, c);
        workers.join();
        run.check(workers.free_count() == 1 && workers.queued() == 0 && workers.empty(), "the slot is back");
    });
}

TEST_F(ExploreSets, APoolThatIsKilled) {
    explore_all("pool_kill",
                [](exploration& run) {
                    copse::pool workers(1);
                    room inside(run, 2);  // one that is discarded goes on without a slot
                    const auto work = [&] {
                        const room::visit here(inside);
                        yield();
                    };
                    const auto a = spawn([&] {
                        workers.spawn(work);
                        workers.spawn(work);
                    });
                    const auto b = spawn([&] {
                        const auto later = workers.apply_async(work);
                        yield();
                        workers.discard(later);
                        later.join();
                    });
                    const auto c = spawn([&] {
                        yield();
                        workers.kill();
                    });
                    copse::join_all(copse::join_options{.timeout = 1s}, a, b, c);
                    workers.kill();
                    copse::join_all(a, b, c);
                    copse::hub::current().run_until_idle();  // the discarded one, too
                    run.check(workers.free_count() == 1 && workers.queued() == 0 && workers.empty(),
                              "the slot is back");
                },
                {.limit = 10'000});
}

TEST_F(ExploreSets, OthersThatJoinAPool) {
    explore_all("pool_add",
                [](exploration& run) {
                    copse::pool workers(1);
                    const auto work = [] {
                        yield();
                        yield();
                    };
                    const auto x = spawn(work);
                    const auto y = spawn(work);
                    const auto a = spawn([&] { workers.add(x); });
                    const auto b = spawn([&] { workers.add(y); });
                    const auto c = spawn([&] {
                        workers.try_add(y);
                        workers.apply(work);
                    });
                    copse::join_all(a, b, c);
                    copse::join_all(x, y);
                    workers.join();
                    run.check(workers.free_count() == 1 && workers.queued() == 0 && workers.empty(),
                              "the slot is back");
                },
                {.limit = 10'000});
}

TEST_F(ExploreSets, MapAndApply) {
    explore_all("pool_map",
                [](exploration& run) {
                    copse::pool workers(2);
                    room inside(run, 2);
                    const std::vector<int> numbers = {1, 2, 3};
                    const auto twice = [&](int n) {
                        const room::visit here(inside);
                        yield();
                        return 2 * n;
                    };
                    int sum = 0;
                    const auto a = spawn([&] {
                        for (const int n : workers.map(numbers, twice)) sum += n;
                    });
                    const auto b = spawn([&] { sum += workers.apply(twice, 5); });
                    copse::join_all(a, b);
                    (void)a.exception();
                    (void)b.exception();
                    workers.join();
                    run.check(workers.free_count() == 2 && workers.queued() == 0 && workers.empty(),
                              "the slots are back");
                    run.check(sum == 22 || run.interfered(), "all results come");
                },
                {.limit = 10'000});
}

TEST_F(ExploreSets, ResultsOneByOne) {
    explore_all(
        "pool_imap",
        [](exploration& run) {
            copse::pool workers(2);
            room inside(run, 2);
            const std::vector<int> numbers = {1, 2, 3};
            const auto twice = [&](int n) {
                const room::visit here(inside);
                yield();
                return 2 * n;
            };
            int sum = 0;
            std::vector<int> ordered;
            const auto a = spawn([&] {
                auto results = workers.imap({.bound = 2}, numbers, twice);
                while (const auto n = results.next()) ordered.push_back(*n);
            });
            const auto b = spawn([&] {
                auto results = workers.imap_unordered({.bound = 1}, numbers, twice);
                if (const auto n = results.next()) sum += *n;
            });
            copse::join_all(a, b);
            (void)a.exception();
            (void)b.exception();
            workers.join();
            run.check(workers.free_count() == 2 && workers.queued() == 0 && workers.empty(), "the slots are back");
            run.check(run.interfered() || (ordered == std::vector<int>{2, 4, 6} && sum != 0), "all results come");
        },
        {.limit = 10'000});
}

// Who comes in while a kill waits for the set to be empty is asked to end as well, and never starts.
TEST_F(ExploreSets, MembersThatComeDuringAKill) {
    explore_all("group_kill_spawn", [](exploration& run) {
        copse::group all;
        bool killing = false;
        bool late = false;
        all.spawn([&] {
            try {
                copse::sleep(1h);
            } catch (...) {
                if (killing) all.spawn([&late] { late = true; });
                throw;
            }
        });
        const auto killer = spawn([&] {
            killing = true;
            const at_end over([&killing] { killing = false; });
            all.kill();
        });
        const auto other = spawn([&] {
            yield();
            all.spawn([] { yield(); });
        });
        copse::join_all(killer, other);
        all.join();
        run.check(!late || run.interfered(), "who comes during a kill does not start");
    });
}

// ---- nurseries

TEST_F(ExploreSets, ANurseryOutlivesItsChildren) {
    explore_all("nursery", [](exploration& run) {
        int inside = 0;
        int done = 0;
        const auto parent = [&] {
            int mine = 0;
            const at_end over([&] { run.check(mine == 0, "no child outlives the nursery"); });
            copse::with_nursery([&](copse::nursery& n) {
                const auto child = [&] {
                    ++mine;
                    const at_end leave([&] { --mine; });
                    yield();
                };
                n.spawn(child);
                n.spawn([&, child] {
                    child();
                    n.spawn(child);
                });
                yield();
            });
            ++done;
        };
        const auto a = spawn(parent);
        const auto b = spawn([&] {
            yield();
            a.kill();
        });
        copse::join_all(a, b);
        (void)a.exception();
        run.check(inside == 0, "nobody is left");
        (void)done;
    });
}

TEST_F(ExploreSets, ANurseryWithAFailure) {
    explore_all("nursery_failure",
                [](exploration& run) {
                    const copse_test::error_recorder errors;  // what a parent that is killed tells of its children
                    int failures = 0;
                    int mine = 0;
                    const auto a = spawn([&] {
                        try {
                            copse::with_nursery([&](copse::nursery& n) {
                                const auto child = [&](bool fails) {
                                    ++mine;
                                    const at_end leave([&] { --mine; });
                                    yield();
                                    if (fails) throw std::runtime_error("it fails");
                                    copse::sleep(1s);
                                };
                                n.spawn(child, true);
                                n.spawn(child, false);
                                n.spawn(child, true);
                                copse::sleep(1h);
                            });
                        } catch (const std::runtime_error&) {
                            ++failures;
                        }
                        run.check(mine == 0, "no child outlives the nursery");
                        yield();  // nothing of the nursery is thrown here
                    });
                    const auto b = spawn([&] { a.join_for(1ms); });
                    copse::join_all(a, b);
                    (void)a.exception();
                    run.check(failures == 1 || run.interfered(), "the parent hears of it");
                    run.check(mine == 0, "nobody is left");
                },
                {.deadlines = false});
}

// A child fails just when the body ends: what was meant for the body is not thrown at the parent later.
TEST_F(ExploreSets, AFailureAtTheEndOfTheBody) {
    explore_all("nursery_late_failure", [](exploration& run) {
        const copse_test::error_recorder errors;
        int failures = 0;
        int after = 0;
        copse::semaphore s(0);
        const auto a = spawn([&] {
            try {
                copse::with_nursery([&](copse::nursery& n) {
                    n.spawn([&] {
                        s.release();
                        throw std::runtime_error("it fails");
                    });
                    s.try_acquire_for(1h);  // keeps what it was given: what is thrown at it then comes at its next wait
                });
            } catch (const std::runtime_error&) {
                ++failures;
            }
            yield();
            ++after;
        });
        const auto b = spawn([] { yield(); });
        copse::join_all(a, b);
        (void)a.exception();
        run.check(run.interfered() || (failures == 1 && after == 1), "the parent hears of it once, and goes on");
    });
}

TEST_F(ExploreSets, NurseriesInside) {
    explore_all("nursery_nested", [](exploration& run) {
        const copse_test::error_recorder errors;
        int mine = 0;
        int failures = 0;
        const auto a = spawn([&] {
            try {
                copse::with_nursery([&](copse::nursery& outer) {
                    outer.spawn([&] {
                        copse::with_nursery([&](copse::nursery& inner) {
                            inner.spawn([&] {
                                ++mine;
                                const at_end leave([&] { --mine; });
                                copse::sleep(2ms);
                            });
                        });
                    });
                    outer.spawn([&] {
                        yield();
                        throw std::runtime_error("it fails");
                    });
                });
            } catch (const std::runtime_error&) {
                ++failures;
            }
            run.check(mine == 0, "no child outlives the nursery");
        });
        const auto b = spawn([&] {
            yield();
            a.kill();
        });
        copse::join_all(a, b);
        (void)a.exception();
        run.check(mine == 0, "nobody is left");
    });
}

}  // namespace
