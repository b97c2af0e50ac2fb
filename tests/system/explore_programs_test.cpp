// Programs that are drawn from a seed: many fibers that lock, wait, hand over, kill, time out and join each other. A
// failure prints the seed. SC08, SC12; P1, P2, P5.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "exploring.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>
#include <vector>

using copse::any_fiber;
using copse::exploration;
using copse::fiber;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::effort;
using copse_test::room;
using copse_test::stock;
using parcel = stock::item;
using namespace std::chrono_literals;

namespace {

class ExplorePrograms : public copse_test::exploring {};

// What the fibers of one execution share.
struct world {
    explicit world(exploration& r)
        : run(r),
          in_mutex(r, 1),
          in_semaphore(r, 2),
          in_writers(r, 1),
          in_pool(r, 2),
          items(r),
          q(2),
          jobs(1),
          s(2),
          workers(2) {}

    exploration& run;
    room in_mutex;
    room in_semaphore;
    room in_writers;
    room in_pool;
    stock items;
    int readers = 0;
    int next_item = 0;

    copse::mutex m;
    copse::shared_mutex table;
    copse::condition_variable_any changed;
    copse::queue<parcel> q;
    copse::lifo_queue<parcel> jobs;
    copse::channel<parcel> meet;
    copse::semaphore s;
    copse::event e;
    copse::pool workers;
    copse::group others;
    std::vector<fiber<void>> all;

    std::chrono::microseconds length() { return std::chrono::microseconds(500 * run.choose(5)); }
    any_fiber& somebody() { return all[run.choose(all.size())]; }
};

void lock(world& w) {
    if (w.run.choose(2) == 0) {
        w.m.lock();
    } else if (!w.m.try_lock_for(w.length())) {
        return;
    }
    const std::lock_guard held(w.m, std::adopt_lock);
    if (w.run.choose(3) == 0) {
        w.changed.wait_for(w.m, w.length());
        w.run.check(w.m.owned(), "the lock is held again");
    }
    const room::visit here(w.in_mutex);
    if (w.run.choose(2) == 0) yield();
    if (w.run.choose(2) == 0) w.changed.notify_one();
}

void read_or_write(world& w) {
    if (w.run.choose(2) == 0) {
        const std::shared_lock held(w.table, w.length());
        if (!held) return;
        ++w.readers;
        const at_end leave([&w] { --w.readers; });
        w.run.check(w.in_writers.inside() == 0, "readers are among themselves");
        yield();
    } else {
        const std::unique_lock held(w.table, w.length());
        if (!held) return;
        const room::visit here(w.in_writers);
        w.run.check(w.readers == 0, "a writer is alone");
        yield();
    }
}

void take_permit(world& w) {
    if (w.run.choose(2) == 0) {
        w.s.acquire();
    } else if (!w.s.try_acquire_for(w.length())) {
        return;
    }
    const at_end back([&w] { w.s.release(); });
    const room::visit here(w.in_semaphore);
    if (w.run.choose(2) == 0) yield();
}

void put(world& w) {
    const int n = w.next_item++;
    switch (w.run.choose(4)) {
    case 0: return w.items.put(n, [&](parcel&& x) { return w.q.put_for(std::move(x), w.length()); });
    case 1: return w.items.put(n, [&](parcel&& x) { return w.meet.put_for(std::move(x), w.length()); });
    case 2: return w.items.put(n, [&](parcel&& x) { return w.jobs.put_for(std::move(x), w.length()); });
    default: return w.items.put(n, [&](parcel&& x) { return w.meet.try_put(std::move(x)); });
    }
}

void get(world& w) {
    switch (w.run.choose(4)) {
    case 0: return w.items.got(w.q.get_for(w.length()));
    case 1: return w.items.got(w.meet.get_for(w.length()));
    case 2: return w.items.got(w.jobs.get_for(w.length()));
    default: return w.items.got(w.meet.try_get());
    }
}

// Its own item comes out of the case again, if it was not put.
void put_or_get(world& w) {
    const int n = w.next_item++;
    w.items.put(n, [&](parcel&& x) {
        auto mine = copse::on_put(w.meet, std::move(x));
        const at_end keep([&] {
            if (mine.item()) x = std::move(*mine.item());
        });
        const auto chosen =
            copse::select_for(w.length(), mine, copse::on_get(w.q, [&](parcel y) { w.items.got(std::move(y)); }),
                              copse::on_get(w.jobs, [&](parcel y) { w.items.got(std::move(y)); }),
                              copse::on_get(w.meet, [&](parcel y) { w.items.got(std::move(y)); }));
        return chosen == 0U;
    });
}

void signal(world& w) {
    switch (w.run.choose(3)) {
    case 0: return w.e.set();
    case 1: return w.e.clear();
    default: w.e.wait_for(w.length());
    }
}

void interfere(world& w) {
    const any_fiber other = w.somebody();
    switch (w.run.choose(5)) {
    case 0: return other.request_kill();
    case 1: other.kill_for(w.length()); return;
    case 2: other.join_for(w.length()); return;
    case 3: copse::wait_any({.timeout = w.length()}, other, w.e, w.s); return;
    default: copse::join_all({.timeout = w.length(), .count = 2}, w.all);
    }
}

void employ(world& w) {
    const auto work = [&w] {
        const room::visit here(w.in_pool);
        take_permit(w);
    };
    switch (w.run.choose(4)) {
    case 0: w.workers.spawn_for(w.length(), work); return;
    case 1: w.workers.apply_async(work); return;
    case 2: w.others.spawn([&w] { lock(w); }); return;
    default: w.workers.wait_available_for(w.length());
    }
}

void raise_children(world& w) {
    int mine = 0;
    const at_end over([&] { w.run.check(mine == 0, "no child outlives the nursery"); });
    copse::with_nursery([&](copse::nursery& n) {
        const auto child = [&] {
            ++mine;
            const at_end leave([&] { --mine; });
            take_permit(w);
        };
        n.spawn(child);
        n.spawn(child);
        if (w.run.choose(3) == 0) n.cancel();
        if (w.run.choose(2) == 0) yield();
    });
}

void step(world& w) {
    switch (w.run.choose(11)) {
    case 0: return lock(w);
    case 1: return read_or_write(w);
    case 2: return take_permit(w);
    case 3: return put(w);
    case 4: return get(w);
    case 5: return put_or_get(w);
    case 6: return signal(w);
    case 7: return interfere(w);
    case 8: return employ(w);
    case 9: return raise_children(w);
    default: return copse::sleep(w.length());
    }
}

void live(world& w, std::size_t steps) {
    for (std::size_t i = 0; i < steps; ++i) {
        if (w.run.choose(4) != 0) {
            step(w);
            continue;
        }
        const copse::timeout limit(w.length());
        try {
            step(w);
        } catch (const copse::timeout_expired& e) {
            if (!limit.threw(e)) throw;
        }
    }
}

copse::scenario program(std::size_t fibers, std::size_t steps) {
    return [=](exploration& run) {
        world w(run);
        for (std::size_t i = 0; i < fibers; ++i) w.all.push_back(spawn([&w, steps] { live(w, steps); }));
        copse::join_all(w.all);
        w.workers.join();
        w.others.join();
        while (auto x = w.q.try_get()) w.items.got(std::move(*x));
        while (auto x = w.jobs.try_get()) w.items.got(std::move(*x));
        w.items.settle();
        run.check(!w.m.locked(), "the mutex is free in the end");
        run.check(!w.table.locked() && w.table.readers() == 0, "the shared mutex is free in the end");
        run.check(w.s.available() == 2, "the permits are back");
        run.check(w.workers.free_count() == 2 && w.workers.queued() == 0, "the slots are back");
        run.check(w.meet.balance() == 0, "nobody stands at the channel");
    };
}

TEST_F(ExplorePrograms, OfFour) {
    explore_seeds({.name = "four",
                   .kills = true,
                   .timeouts = true,
                   .deadlines = true,
                   .interferences = 2,
                   .seeds = effort(20'000)},
                  program(4, 4));
}

TEST_F(ExplorePrograms, OfTwelve) {
    explore_seeds({.name = "twelve",
                   .kills = true,
                   .timeouts = true,
                   .deadlines = true,
                   .interferences = 5,
                   .seeds = effort(8'000)},
                  program(12, 6));
}

TEST_F(ExplorePrograms, OfTwenty) {
    explore_seeds({.name = "twenty", .deadlines = true, .interferences = 20, .seeds = effort(4'000)}, program(20, 10));
}

}  // namespace
