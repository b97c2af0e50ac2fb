// The life of fibers in every order of small scenarios: joins, results, links, kills, timeouts, shields, switches by hand:
// KL01 to KL20, P5, P6, P8; decisions 3 to 5 and 9.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exploring.hpp"

#include <chrono>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using copse::any_fiber;
using copse::exploration;
using copse::fiber;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using namespace std::chrono_literals;

namespace {

class ExploreFibers : public copse_test::exploring {};
class ExploreTimeouts : public copse_test::exploring {};
class ExploreSwitches : public copse_test::exploring {};

TEST_F(ExploreFibers, JoinersAndResults) {
    explore_all("join", [](exploration& run) {
        int told = 0;
        const auto worker = spawn([] {
            yield();
            copse::sleep(1ms);
            return 1;
        });
        const auto a = spawn([&] {
            worker.join();
            run.check(worker.ready(), "a joiner goes on after the end");
            ++told;
        });
        const auto b = spawn([&] {
            if (worker.join_for(2ms)) run.check(worker.ready(), "a joiner says what is true");
            ++told;
        });
        const auto c = spawn([&] {
            if (const auto n = worker.get_for(1ms)) run.check(*n == 1, "the result is the result");
            ++told;
        });
        copse::join_all(a, b, c);
        worker.join();
        run.check(told == 3 || run.interfered(), "all go on");
    });
}

TEST_F(ExploreFibers, SeveralAtOnce) {
    explore_all("join_all", [](exploration& run) {
        const auto work = [](int n) {
            for (int i = 0; i < n; ++i) yield();
            return n;
        };
        std::vector<fiber<int>> all;
        for (int i = 0; i < 3; ++i) all.push_back(spawn(work, i));
        const auto first = spawn([&] {
            const auto at = copse::wait_any(all[0], all[1], all[2]);
            run.check(at < 3 && all[at].ready(), "wait_any names one that is ready");
        });
        const auto two = spawn([&] {
            const std::size_t n = copse::join_all({.timeout = 1ms, .count = 2}, all);
            run.check(n <= 3, "no more than there are");
        });
        std::size_t seen = 0;
        for (auto& f : copse::as_completed(all)) {
            run.check(f.ready(), "as_completed gives those that are");
            ++seen;
        }
        run.check(seen == 3, "as_completed gives all");
        copse::join_all(first, two);
    });
}

// Whoever asks, and how often: it ends once, its clean-up is not broken, all who wait hear of it.
TEST_F(ExploreFibers, SeveralKills) {
    explore_all("kills",
                [](exploration& run) {
                    int ended = 0;
                    int cleaned = 0;
                    bool started = false;
                    const auto victim = spawn([&] {
                        started = true;
                        const at_end count([&] { ++ended; });
                        try {
                            copse::sleep(2ms);
                        } catch (...) {
                            yield();  // a clean-up that waits
                            ++cleaned;
                            throw;
                        }
                    });
                    const auto kill = [&] {
                        victim.kill();
                        run.check(victim.ready(), "kill returns after the end");
                    };
                    const auto a = spawn(kill);
                    const auto b = spawn([&] {
                        victim.request_kill();
                        victim.join();
                    });
                    const auto c = spawn([&] {
                        if (victim.kill_for(0ms)) run.check(victim.ready(), "kill_for says what is true");
                    });
                    copse::join_all(a, b, c);
                    victim.join();
                    run.check(ended == (started ? 1 : 0), "it ends once, and only if it began");
                    run.check(cleaned <= 1, "its clean-up runs once");
                },
                {.timeouts = false});
}

TEST_F(ExploreFibers, ACleanUpThatWaitsUnderAShield) {
    explore_all("shield", [](exploration& run) {
        copse::semaphore s(1);
        int cleaned = 0;
        int begun = 0;
        const auto work = [&] {
            s.acquire();
            ++begun;
            const at_end back([&] {
                const copse::shield keep;
                yield();
                copse::sleep(1ms);
                s.release();
                ++cleaned;
            });
            yield();
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto killer = spawn([&] {
            yield();
            a.kill();
        });
        copse::join_all(a, b, killer);
        run.check(cleaned == begun, "every clean-up ends");
        run.check(s.available() == 1, "the permit is back");
    });
}

TEST_F(ExploreFibers, TwoThatKillEachOther) {
    explore_all("mutual_kill", [](exploration& run) {
        fiber<void> a;
        fiber<void> b;
        int ended = 0;
        a = spawn([&] {
            const at_end count([&] { ++ended; });
            b.kill();
        });
        b = spawn([&] {
            const at_end count([&] { ++ended; });
            a.kill();
        });
        const auto c = spawn([&] {
            yield();
            copse::kill_all(a, b);
        });
        c.join();
        copse::join_all(a, b);
        run.check(ended <= 2, "each ends once");
    });
}

TEST_F(ExploreFibers, Links) {
    explore_all("links",
                [](exploration& run) {
                    int any = 0;
                    int good = 0;
                    int bad = 0;
                    int raw = 0;
                    const auto work = [](bool fails) {
                        yield();
                        if (fails) throw std::runtime_error("it fails");
                    };
                    const auto a = spawn(work, false);
                    const auto b = spawn(work, true);
                    for (const auto& f : {a, b}) {
                        f.link([&](const any_fiber& g) {
                            run.check(g.ready(), "a link is called after the end");
                            ++any;
                        });
                        f.link_value([&] { ++good; });
                        f.link_exception([&] { ++bad; });
                        f.link_raw([&] { ++raw; });
                    }
                    auto undone = a.link([&] { run.check(false, "what was unlinked is not called"); });
                    undone.unlink();
                    copse::join_all(a, b);
                    copse::hub::current().run_until_idle();
                    run.check(raw == 2, "raw links are called");
                    run.check(run.interfered() || (any == 2 && good == 1 && bad == 1), "links are called once each");
                    run.check(good + bad <= 2, "an end is good or bad");
                },
                {.limit = 8'000});
}

TEST_F(ExploreFibers, ScopedFibers) {
    explore_all("scoped_fiber",
                [](exploration& run) {
                    int inside = 0;
                    const auto work = [&] {
                        ++inside;
                        const at_end leave([&] { --inside; });
                        copse::sleep(1ms);
                    };
                    const auto outer = [&] {
                        int mine = 0;  // what the inner one refers to
                        {
                            const copse::scoped_fiber inner(spawn([&] {
                                ++mine;
                                work();
                                ++mine;
                            }));
                            yield();
                        }
                        run.check(mine == 2 || run.interfered(), "it is joined at the end of the scope");
                    };
                    const auto a = spawn(outer);
                    const auto b = spawn(outer);
                    const auto c = spawn([&] {
                        yield();
                        a.kill();
                    });
                    copse::join_all(a, b, c);
                    run.check(inside == 0, "nothing runs any more");
                },
                {.limit = 8'000});
}

TEST_F(ExploreFibers, StartedLater) {
    explore_all("spawn_after", [](exploration& run) {
        int ran = 0;
        const auto late = copse::spawn_after(1ms, [&] { ++ran; });
        const auto held = spawn({.start = false}, [&] { ++ran; });
        const auto a = spawn([&] { late.kill(); });
        const auto b = spawn([&] {
            yield();
            late.start();
            held.start();
        });
        const auto c = spawn([&] { held.join_for(1ms); });
        copse::join_all(a, b, c);
        held.start();
        copse::join_all(late, held);
        run.check(ran <= 2, "each runs once");
    });
}

// ---- timeouts

TEST_F(ExploreTimeouts, Nested) {
    explore_all("timeouts", [](exploration& run) {
        copse::semaphore s(0);
        int taken = 0;
        const auto work = [&](std::chrono::milliseconds outer_length, std::chrono::milliseconds inner_length) {
            copse::timeout outer(outer_length);
            try {
                copse::timeout inner(inner_length);
                try {
                    s.acquire();
                    ++taken;
                    yield();
                } catch (const copse::timeout_expired& e) {
                    run.check(!(inner.threw(e) && outer.threw(e)), "a timeout belongs to one scope");
                    if (!inner.threw(e)) throw;
                    run.check(inner.expired(), "who threw has expired");
                }
                inner.cancel();
                yield();
            } catch (const copse::timeout_expired& e) {
                if (!outer.threw(e)) throw;
                run.check(outer.expired(), "who threw has expired");
            }
        };
        const auto a = spawn(work, 2ms, 1ms);
        const auto b = spawn(work, 1ms, 2ms);
        const auto c = spawn(work, 1ms, 1ms);
        copse::sleep(1ms);
        s.release(2);
        copse::join_all(a, b, c);
        run.check(taken + s.available() == 2, "no permit is lost");
    });
}

TEST_F(ExploreTimeouts, AroundEverything) {
    explore_all("with_timeout", [](exploration& run) {
        copse::queue<int> q(1);
        copse::mutex m;
        int got = 0;
        int put = 0;
        const auto a = spawn([&] {
            for (int i = 0; i < 2; ++i) {
                const bool in_time = copse::with_timeout(
                    1ms,
                    [&] {
                        const std::lock_guard held(m);
                        yield();
                        got += q.get() != 0 ? 1 : 0;
                        return true;
                    },
                    false);
                (void)in_time;
            }
        });
        const auto b = spawn([&] {
            copse::with_timeout(
                1ms,
                [&] {
                    q.put(1);
                    ++put;
                    q.put(2);
                    ++put;
                    return 0;
                },
                0);
        });
        const auto c = spawn([&] {
            const copse::timeout limit(1ms);
            const std::lock_guard held(m);
            yield();
        });
        copse::join_all(a, b, c);
        (void)c.exception();
        run.check(got + static_cast<int>(q.size()) == put, "what is put is got or inside");
        run.check(!m.locked(), "it is free in the end");
    });
}

// ---- by hand

// A fiber's own greenlets park in the hub on their own; the fiber waits for them in a switch.
TEST_F(ExploreSwitches, GreenletsOfAFiber) {
    explore_all("by_hand", [](exploration& run) {
        copse::semaphore s(1);
        int steps = 0;
        const auto work = [&] {
            copse::greenlet child([&] {
                s.acquire();
                const at_end back([&] { s.release(); });
                yield();
                ++steps;
            });
            child.switch_to();
            ++steps;
            yield();
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto c = spawn([&] {
            s.acquire();
            const at_end back([&] { s.release(); });
            yield();
        });
        copse::join_all(a, b, c);
        copse::sleep(1ms);
        run.check(s.available() == 1, "the permit is back");
        run.check(steps == 4 || run.interfered(), "all steps are made");
    });
}

TEST_F(ExploreSwitches, GeneratorsThatPark) {
    explore_all("generator",
                [](exploration& run) {
                    copse::semaphore s(1);
                    copse::queue<int> q(1);
                    std::vector<int> all;
                    const auto produce = [&](int first) {
                        copse::generator<int> numbers([&, first](auto give) {
                            for (int n = first; n < first + 2; ++n) {
                                s.acquire();
                                const at_end back([&] { s.release(); });
                                yield();
                                give(n);
                            }
                        });
                        for (int n : numbers) q.put(n);
                    };
                    const auto a = spawn(produce, 10);
                    const auto b = spawn(produce, 20);
                    const auto c = spawn([&] {
                        while (const auto n = q.get_for(5ms)) all.push_back(*n);
                    });
                    copse::join_all(copse::join_options{.timeout = 100ms}, a, b, c);
                    if (run.interfered()) copse::kill_all(a, b, c);  // the getter may be gone
                    copse::join_all(a, b, c);
                    run.check(s.available() == 1, "the permit is back");
                    run.check(all.size() == 4 || run.interfered(), "all come");
                },
                {.deadlines = false});
}

// Who is entered by hand while others go through the hub.
TEST_F(ExploreSwitches, PingPongBesideOthers) {
    explore_all("by_hand_ping_pong", [](exploration& run) {
        int rounds = 0;
        const auto work = [&] {
            copse::greenlet me = copse::greenlet::current();
            copse::greenlet other([&, me] {
                for (int i = 0; i < 2; ++i) {
                    yield();
                    ++rounds;
                    me.switch_to();
                }
            });
            for (int i = 0; i < 2; ++i) other.switch_to();
            yield();
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto c = spawn([&] {
            yield();
            a.kill();
        });
        copse::join_all(a, b, c);
        copse::sleep(1ms);
        run.check(rounds <= 4, "no round comes twice");
    });
}

}  // namespace
