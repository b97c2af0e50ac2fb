// Locks, once flags and condition variables in every order of small scenarios: SY01 to SY12, P2, P5; decisions 3 and 4.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exploring.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <vector>

using copse::exploration;
using copse::spawn;
using copse::yield;
using copse_test::fair_line;
using copse_test::room;
using namespace std::chrono_literals;

namespace {

class ExploreLocks : public copse_test::exploring {};

TEST_F(ExploreLocks, AMutexIsHandedOverInOrder) {
    explore_all("mutex", [](exploration& run) {
        copse::mutex m;
        room inside(run, 1);
        fair_line line(run);
        const auto work = [&] {
            for (int i = 0; i < 2; ++i) {
                line.pass([&] { m.lock(); });
                const std::lock_guard held(m, std::adopt_lock);
                const room::visit here(inside);
                if (i == 0) yield();
            }
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto c = spawn(work);
        copse::join_all(a, b, c);
        run.check(!m.locked(), "it is free in the end");
    });
}

TEST_F(ExploreLocks, AMutexWithFourWays) {
    explore_all("mutex_ways", [](exploration& run) {
        copse::mutex m;
        room inside(run, 1);
        const auto stay = [&] {
            const std::lock_guard held(m, std::adopt_lock);
            const room::visit here(inside);
            yield();
        };
        const auto a = spawn([&] {
            m.lock();
            stay();
        });
        const auto b = spawn([&] {
            if (m.try_lock_for(1ms)) stay();
        });
        const auto c = spawn([&] {
            if (m.try_lock()) stay();
            if (m.try_lock_for(0ms)) stay();
        });
        const auto d = spawn([&] {
            m.lock();
            stay();
        });
        copse::join_all(a, b, c, d);
        run.check(!m.locked(), "it is free in the end");
    });
}

TEST_F(ExploreLocks, TwoMutexesAtOnce) {
    explore_all("scoped_lock", [](exploration& run) {
        copse::mutex m;
        copse::mutex n;
        room inside(run, 1);
        const auto forth = [&] {
            const std::scoped_lock both(m, n);
            const room::visit here(inside);
            yield();
        };
        const auto back = [&] {
            const std::scoped_lock both(n, m);
            const room::visit here(inside);
            yield();
        };
        const auto a = spawn(forth);
        const auto b = spawn(back);
        const auto c = spawn(forth);
        copse::join_all(a, b, c);
        run.check(!m.locked() && !n.locked(), "both are free in the end");
    });
}

TEST_F(ExploreLocks, ARecursiveMutex) {
    explore_all("recursive_mutex", [](exploration& run) {
        copse::recursive_mutex m;
        room inside(run, 1);
        const auto work = [&] {
            const std::lock_guard outer(m);
            const room::visit here(inside);
            yield();
            const std::lock_guard inner(m);
            yield();
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto c = spawn([&] {
            if (!m.try_lock_for(1ms)) return;
            const std::lock_guard held(m, std::adopt_lock);
            const room::visit here(inside);
            yield();
        });
        copse::join_all(a, b, c);
        run.check(m.try_lock(), "it is free in the end");
        m.unlock();
    });
}

TEST_F(ExploreLocks, ASharedMutex) {
    explore_all("shared_mutex", [](exploration& run) {
        copse::shared_mutex m;
        room writers(run, 1);
        int readers = 0;
        const auto write = [&] {
            const std::unique_lock held(m);
            const room::visit here(writers);
            run.check(readers == 0, "a writer is alone");
            yield();
        };
        const auto read = [&] {
            const std::shared_lock held(m);
            ++readers;
            run.check(writers.inside() == 0, "readers are among themselves");
            const copse_test::at_end leave([&readers] { --readers; });
            yield();
        };
        const auto a = spawn(read);
        const auto b = spawn(write);
        const auto c = spawn(read);
        const auto d = spawn([&] {
            if (!m.try_lock_for(1ms)) return;
            const std::unique_lock held(m, std::adopt_lock);
            const room::visit here(writers);
            run.check(readers == 0, "a writer is alone");
            yield();
        });
        copse::join_all(a, b, c, d);
        run.check(!m.locked() && m.readers() == 0, "it is free in the end");
    });
}

TEST_F(ExploreLocks, AReaderBehindAWriterThatGivesUp) {
    explore_all("shared_mutex_line", [](exploration& run) {
        copse::shared_mutex m;
        m.lock_shared();
        const auto writer = spawn([&] {
            if (m.try_lock_for(1ms)) m.unlock();
        });
        const auto reader = spawn([&] {
            if (!m.try_lock_shared_for(5ms)) return false;
            m.unlock_shared();
            return true;
        });
        const auto other = spawn([&] {
            m.lock_shared();
            m.unlock_shared();
        });
        copse::sleep(10ms);
        m.unlock_shared();
        copse::join_all(writer, reader, other);
        run.check(!m.locked() && m.readers() == 0, "it is free in the end");
        run.check(run.interfered() || reader.get(), "the reader goes past a writer that has given up");
    });
}

TEST_F(ExploreLocks, OnceIsOnce) {
    explore_all("call_once", [](exploration& run) {
        copse::once_flag flag;
        room inside(run, 1);
        int calls = 0;
        const auto work = [&] {
            copse::call_once(flag, [&] {
                const room::visit here(inside);
                yield();
                ++calls;
            });
            run.check(flag.done(), "who returns finds it done");
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto c = spawn(work);
        copse::join_all(a, b, c);
        run.check(calls <= 1 && flag.done() == (calls == 1), "it has been done once");
        run.check(calls == 1 || run.interfered(), "it has been done");
    });
}

TEST_F(ExploreLocks, OnceUntilItSucceeds) {
    explore_all("call_once_throws", [](exploration& run) {
        copse::once_flag flag;
        int tries = 0;
        const auto work = [&] {
            try {
                copse::call_once(flag, [&] {
                    yield();
                    if (++tries < 3) throw 1;
                });
            } catch (int) {
                return;
            }
            run.check(flag.done(), "who returns finds it done");
        };
        const auto a = spawn(work);
        const auto b = spawn(work);
        const auto c = spawn(work);
        copse::join_all(a, b, c);
        run.check(run.interfered() || (tries == 3 && flag.done()), "the third has done it");
    });
}

// What is counted up under the lock is never left behind while somebody waits for it.
TEST_F(ExploreLocks, NoNotificationIsLost) {
    explore_all("condition_variable", [](exploration& run) {
        copse::mutex m;
        copse::condition_variable more;
        int left = 0;
        int taken = 0;
        const auto take = [&] {
            std::unique_lock held(m);
            more.wait(held, [&] { return left > 0; });
            --left;
            ++taken;
        };
        const auto a = spawn(take);
        const auto b = spawn(take);
        const auto c = spawn(take);
        for (int i = 0; i < 3; ++i) {
            const std::lock_guard held(m);
            ++left;
            more.notify_one();
            yield();
        }
        copse::join_all(a, b, c);
        run.check(left + taken == 3, "all is accounted for");
        run.check(!m.locked(), "it is free in the end");
    });
}

TEST_F(ExploreLocks, ANotificationOrADeadline) {
    explore_all("condition_variable_timed", [](exploration& run) {
        copse::mutex m;
        copse::condition_variable_any changed;
        int notified = 0;
        const auto wait = [&](auto length) {
            const std::lock_guard held(m);
            if (changed.wait_for(m, length) == std::cv_status::no_timeout) ++notified;
            run.check(m.owned(), "the lock is held again");
        };
        const auto a = spawn([&] { wait(1ms); });
        const auto b = spawn([&] { wait(0ms); });
        const auto c = spawn([&] { wait(1h); });
        const auto d = spawn([&] {
            copse::sleep(1ms);
            changed.notify_one();
            changed.notify_one();
        });
        copse::join_all(a, b, c, d);
        run.check(notified <= 2, "a notification is for one");
        run.check(!m.locked(), "it is free in the end");
    });
}

}  // namespace
