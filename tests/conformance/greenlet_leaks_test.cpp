// Nothing is kept: memory stays flat, counters come back to where they were.

#include <copse/debug.hpp>
#include <copse/greenlet.hpp>
#include <copse/stack.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "sanitizer.hpp"
#include "worker.hpp"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <vector>

using copse::greenlet;
using copse_test::in_thread;
using copse_test::to_parent;
using copse_test::up_to;

namespace {

class GreenletLeaks : public copse_test::leak_check {
protected:
    static long resident_kib() {
        long total = 0;
        long resident = 0;
        if (std::FILE* statm = std::fopen("/proc/self/statm", "r")) {
            if (std::fscanf(statm, "%ld %ld", &total, &resident) != 2) resident = 0;
            std::fclose(statm);
        }
        return resident * (::sysconf(_SC_PAGESIZE) / 1024);
    }

    // `round` is repeated; after the first few the process must not grow any more.
    template <class F>
    static void expect_flat(F&& round) {
        for (int warm = 0; warm < 3; ++warm) round();
        const long before = resident_kib();
        for (int again = 0; again < 10; ++again) round();
        const long grown = resident_kib() - before;
        EXPECT_TRUE(copse_test::sanitized || grown < 512) << grown << " KiB";
    }
};

TEST_F(GreenletLeaks, ArgumentsAreReleased) {
    const auto kept = std::make_shared<int>(0);
    std::vector<greenlet> dead;
    for (int i = 0; i < 100; ++i) {
        dead.emplace_back([](const std::shared_ptr<int>&) {});
        dead.back().switch_to(kept);
    }
    EXPECT_EQ(kept.use_count(), 1);
}

TEST_F(GreenletLeaks, ThreadThatOnlyTouchedTheLibraryLeavesNothing) {
    for (int i = 0; i < 10; ++i) {
        copse::weak_greenlet main;
        in_thread([&] { main = copse::weak_greenlet(greenlet::current()); });
        EXPECT_TRUE(main.expired());
    }
}

TEST_F(GreenletLeaks, ThreadsFinishedChildrenLeaveNothing) {
    for (int i = 0; i < 10; ++i) {
        std::vector<copse::weak_greenlet> weak;
        in_thread([&] {
            std::vector<greenlet> children;
            for (int k = 0; k < 10; ++k) {
                children.emplace_back([] {});
                children.back().switch_to();
                weak.emplace_back(children.back());
            }
        });
        for (const auto& w : weak) EXPECT_TRUE(w.expired());
    }
}

// rules 54, 58
TEST_F(GreenletLeaks, ForeignDropsAreFreedByTheOwnersNextCall) {
    copse_test::worker owner;
    const auto kept = std::make_shared<int>(0);
    for (int i = 0; i < 10; ++i) {
        greenlet g;
        owner.run([&] {
            g = greenlet([kept] { to_parent(); });
            g.switch_to();
        });
        g = greenlet();
        EXPECT_EQ(kept.use_count(), 2);
        owner.run([&] {
            greenlet::current();
            EXPECT_EQ(kept.use_count(), 1);
            EXPECT_EQ(copse::debug::live_greenlets(), 0U);
            EXPECT_EQ(copse::debug::live_stacks(), 0U);
        });
    }
}

// rule 58
TEST_F(GreenletLeaks, ForeignDropsAreFreedByTheOwnersEnd) {
    const auto kept = std::make_shared<int>(0);
    for (int i = 0; i < 10; ++i) {
        copse_test::worker owner;
        std::vector<greenlet> dropped;
        owner.run([&] {
            for (int k = 0; k < 10; ++k) {
                dropped.emplace_back([kept] { to_parent(); });
                dropped.back().switch_to();
            }
        });
        dropped.clear();
        owner.finish();
        EXPECT_EQ(kept.use_count(), 1);
    }
}

TEST_F(GreenletLeaks, RaisingAtAnExitedThreadsGreenletKeepsNothing) {
    const auto kept = std::make_shared<int>(0);
    {
        greenlet g;
        in_thread([&] {
            g = greenlet([kept] { to_parent(); });
            g.switch_to();
        });
        EXPECT_EQ(kept.use_count(), 1);
        for (int i = 0; i < 2; ++i) {
            EXPECT_THROW(g.raise(kept), copse::thread_exited);
            EXPECT_THROW(g.switch_to(kept), copse::thread_exited);
        }
    }
    EXPECT_EQ(kept.use_count(), 1);
}

TEST_F(GreenletLeaks, MemoryStaysFlatOverManyShortLives) {
    // ThreadSanitizer takes a third of a millisecond for each, and memory is not what it is asked about.
    const int count = copse_test::thread_sanitized ? 1'000 : 10'000;
    expect_flat([&] {
        for (int i = 0; i < count; ++i) greenlet([] {}).switch_to();
    });
}

TEST_F(GreenletLeaks, MemoryStaysFlatOverManyKilled) {
    const int count = up_to(20'000);
    expect_flat([&] {
        int exits = 0;
        {
            std::vector<greenlet> all;
            for (int i = 0; i < count; ++i) {
                all.emplace_back([&exits] {
                    const copse_test::at_end last([&exits] { ++exits; });
                    to_parent();
                });
                all.back().switch_to();
            }
        }
        EXPECT_EQ(exits, count);
    });
    copse::trim_stacks();
}

TEST_F(GreenletLeaks, MemoryStaysFlatOverThreadsWhoseGreenletsAreDroppedElsewhere) {
    const int count = up_to(2'000);
    expect_flat([&] {
        std::vector<greenlet> all;
        int exits = 0;
        in_thread([&] {
            for (int i = 0; i < count; ++i) {
                all.emplace_back([&exits] {
                    const copse_test::at_end last([&exits] { ++exits; });
                    to_parent();
                });
                all.back().switch_to();
            }
        });
        EXPECT_EQ(exits, count);
        all.clear();
    });
}

}  // namespace
