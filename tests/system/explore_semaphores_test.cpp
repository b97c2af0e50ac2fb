// Semaphores, events, latches, barriers and results in every order of small scenarios: SY13 to SY25, P2, P5; decisions 3
// and 7.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exploring.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <vector>

using copse::exploration;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::fair_line;
using copse_test::room;
using namespace std::chrono_literals;

namespace {

class ExploreSemaphores : public copse_test::exploring {};
class ExploreEvents : public copse_test::exploring {};
class ExploreResults : public copse_test::exploring {};

template <class Semaphore>
class permit {
public:
    explicit permit(Semaphore& from) : from_(from) {}
    permit(const permit&) = delete;
    permit& operator=(const permit&) = delete;
    ~permit() { from_.release(); }

private:
    Semaphore& from_;
};

TEST_F(ExploreSemaphores, PermitsAreConserved) {
    explore_all("semaphore", [](exploration& run) {
        copse::semaphore s(1);
        room inside(run, 1);
        fair_line line(run);
        const auto work = [&] {
            for (int i = 0; i < 2; ++i) {
                line.pass([&] { s.acquire(); });
                const permit<copse::semaphore> held(s);
                const room::visit here(inside);
                if (i == 1) yield();
            }
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto c = spawn(work);
        copse::join_all(a, b, c);
        run.check(s.available() == 1, "the permit is back");
    });
}

TEST_F(ExploreSemaphores, TwoPermitsFourWays) {
    explore_all("semaphore_ways", [](exploration& run) {
        copse::semaphore s(2);
        room inside(run, 2);
        const auto stay = [&] {
            const permit<copse::semaphore> held(s);
            const room::visit here(inside);
            yield();
        };
        const auto wait = [&] {
            s.acquire();
            stay();
        };
        const auto a = spawn(wait);
        const auto b = spawn(wait);
        const auto c = spawn([&] {
            if (s.try_acquire_for(1ms)) stay();
        });
        const auto d = spawn([&] {
            if (s.try_acquire_for(0ms)) stay();
            if (s.try_acquire()) stay();
        });
        copse::join_all(a, b, c, d);
        run.check(s.available() == 2, "the permits are back");
    });
}

TEST_F(ExploreSemaphores, SeveralAtOnce) {
    explore_all("semaphore_release_n", [](exploration& run) {
        copse::semaphore s(0);
        int taken = 0;
        const auto take = [&] {
            s.acquire();
            ++taken;
        };
        const auto a = spawn(take);
        const auto b = spawn(take);
        const auto c = spawn([&] {
            if (s.try_acquire_for(1ms)) ++taken;
        });
        yield();
        s.release(2);
        yield();
        s.release(1);
        copse::join_all(a, b, c);
        run.check(taken + s.available() == 3, "all are accounted for");
    });
}

TEST_F(ExploreSemaphores, WhoOnlyLooksTakesNone) {
    explore_all("semaphore_wait", [](exploration& run) {
        copse::bounded_semaphore s(1);
        room inside(run, 1);
        int seen = 0;
        const auto work = [&] {
            s.acquire();
            const permit<copse::bounded_semaphore> held(s);
            const room::visit here(inside);
            yield();
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto c = spawn([&] {
            s.wait();
            ++seen;
        });
        const auto d = spawn([&] {
            if (s.wait_for(1ms)) ++seen;
        });
        copse::join_all(a, b, c, d);
        run.check(s.available() == 1, "the permit is back");
        run.check(seen >= 1 || run.interfered(), "who waits for it sees it");
    });
}

TEST_F(ExploreEvents, AllWhoWaitGoOn) {
    explore_all("event", [](exploration& run) {
        copse::event e;
        int woken = 0;
        const auto wait = [&] {
            e.wait();
            ++woken;
        };
        const auto a = spawn(wait);
        const auto b = spawn(wait);
        const auto c = spawn([&] {
            if (e.wait_for(1ms)) ++woken;
        });
        const auto d = spawn([&] {
            e.wait_for(0ms);
            yield();
        });
        yield();
        e.set();
        e.clear();
        yield();
        e.set();
        copse::join_all(a, b, c, d);
        run.check(woken >= 2 || run.interfered(), "nobody sleeps through it");
    });
}

TEST_F(ExploreEvents, TwoThatWaitForEachOther) {
    explore_all("event_ping_pong",
                [](exploration& run) {
                    copse::event ping;
                    copse::event pong;
                    int rounds = 0;
                    const auto a = spawn([&] {
                        const at_end let_go([&] { ping.set(); });
                        for (int i = 0; i < 2; ++i) {
                            ping.set();
                            pong.wait();
                            pong.clear();
                            ++rounds;
                        }
                    });
                    const auto b = spawn([&] {
                        const at_end let_go([&] { pong.set(); });
                        for (int i = 0; i < 2; ++i) {
                            ping.wait();
                            ping.clear();
                            pong.set();
                        }
                    });
                    const auto c = spawn([&] {
                        for (int i = 0; i < 3; ++i) yield();
                    });
                    // Of two rounds with an end in the middle one may be waited for in vain.
                    copse::join_all(copse::join_options{.timeout = 1s}, a, b, c);
                    if (run.interfered()) copse::kill_all(a, b, c);
                    copse::join_all(a, b, c);
                    run.check(rounds == 2 || run.interfered(), "both rounds were played");
                },
                {.deadlines = false});
}

TEST_F(ExploreEvents, ALatch) {
    explore_all("latch",
                [](exploration& run) {
                    copse::latch open(3);
                    int through = 0;
                    const auto work = [&] {
                        std::optional<at_end> count;
                        count.emplace([&] { open.count_down(); });
                        yield();
                        count.reset();
                        open.wait();
                        ++through;
                    };
                    std::vector<copse::fiber<void>> all;
                    for (int i = 0; i < 3; ++i) all.push_back(spawn(work));
                    const auto impatient = spawn([&] { return open.wait_for(1ms); });
                    copse::join_all(all);
                    impatient.join();
                    // Who is killed before it starts has not counted.
                    run.check(through == 3 || run.interfered(), "all get through");
                },
                {.kills = false});
}

TEST_F(ExploreEvents, ABarrierWhoseVisitorsAreKilled) {
    explore_all("barrier",
                [](exploration& run) {
                    int phases = 0;
                    const auto complete = [&]() noexcept { ++phases; };
                    copse::barrier meet(3, complete);
                    int passed = 0;
                    const auto work = [&] {
                        for (int i = 0; i < 2; ++i) {
                            auto token = meet.arrive();
                            try {
                                meet.wait_for(token, std::chrono::hours::max());  // for ever
                            } catch (...) {
                                if (i == 0) meet.drop(std::move(token));
                                throw;
                            }
                            ++passed;
                        }
                    };
                    std::vector<copse::fiber<void>> all;
                    for (int i = 0; i < 3; ++i) all.push_back(spawn(work));
                    // One that is killed before it starts does not come at all, and the others wait in vain.
                    copse::join_all(copse::join_options{.timeout = 2h}, all);
                    run.check(run.interfered() || (phases == 2 && passed == 6), "two phases, three visitors");
                    const auto missing =
                        std::count_if(all.begin(), all.end(), [](const auto& f) { return f.killed(); });
                    run.check(phases == 2 || missing != 0, "who drops out does not hold up the others");
                    copse::kill_all(all);
                    run.check(phases <= 2, "no phase ends twice");
                },
                {.deadlines = false});
}

TEST_F(ExploreResults, EverybodyGetsIt) {
    explore_all("async_result", [](exploration& run) {
        copse::async_result<int> answer;
        int sum = 0;
        const auto read = [&] { sum += answer.get(); };
        const auto a = spawn(read);
        const auto b = spawn([&] { sum += answer.get_for(1ms).value_or(0); });
        const auto c = spawn([&] {
            answer.wait();
            sum += answer.try_get().value();
        });
        const auto d = spawn([&] {
            if (answer.wait_for(0ms)) sum += answer.get();
        });
        copse::sleep(1ms);
        answer.set(1);
        copse::join_all(a, b, c, d);
        run.check(sum >= 2 || run.interfered(), "who waits for it gets it");
        run.check(answer.get() == 1, "it stays");
    });
}

TEST_F(ExploreResults, AFailureAndALink) {
    explore_all("async_result_link",
                [](exploration& run) {
                    copse::async_result<int> answer;
                    int failures = 0;
                    const auto failing = spawn([&]() -> int {
                        yield();
                        throw std::runtime_error("it fails");
                    });
                    const auto link = failing.link(std::ref(answer));
                    const auto read = [&] {
                        try {
                            answer.get();
                        } catch (const std::runtime_error&) {
                            ++failures;
                        } catch (const copse::fiber_killed&) {
                            ++failures;
                        }
                    };
                    const auto a = spawn(read);
                    const auto b = spawn(read);
                    failing.join();
                    // The link's own fiber may be killed, too.
                    if (!answer.wait_for(1s) && run.interfered()) answer.set(0);
                    copse::join_all(a, b);
                    run.check(failures == 2 || run.interfered(), "both hear of it");
                },
                {.deadlines = false});
}

}  // namespace
