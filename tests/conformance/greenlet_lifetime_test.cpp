// What keeps a greenlet, and what happens when nothing does any more: order and memory. Rules 40, 41, 46 to 48, 50, 82.
// What the killed greenlet may do is in greenlet_kill_test.cpp.

#include <copse/greenlet.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using copse::greenlet;
using copse::greenlet_exit;
using copse::weak_greenlet;
using copse_test::at_end;
using copse_test::to_parent;

namespace {

class GreenletLifetime : public copse_test::leak_check {};
class GreenletSelfDrop : public copse_test::leak_check {};
class WeakGreenlet : public copse_test::leak_check {};

// rule 41
TEST_F(GreenletLifetime, DroppingASuspendedOneRaisesExitAtOnce) {
    greenlet g([&] {
        const at_end local([&] { log("local"); });
        try {
            to_parent();
        } catch (const greenlet_exit& e) {
            log(e.what());
            throw;
        }
    });
    g.switch_to();
    log("drop");
    g = greenlet();
    log("after");
    EXPECT_EQ(log.text(), "drop greenlet_exit local after");
}

// rule 41
TEST_F(GreenletLifetime, EachDroppedOneSeesItsOwnExit) {
    const auto body = [&](const std::string& name) {
        try {
            to_parent();
        } catch (const greenlet_exit&) {
            log(name);
        }
    };
    greenlet a(body);
    greenlet b(body);
    a.switch_to("a");
    b.switch_to("b");
    EXPECT_EQ(log.text(), "");
    a = greenlet();
    EXPECT_EQ(log.text(), "a");
    b = greenlet();
    EXPECT_EQ(log.text(), "a b");
}

// rule 41
TEST_F(GreenletLifetime, OnlyTheLastHandleCounts) {
    greenlet a([&] {
        const at_end local([&] { log("killed"); });
        to_parent();
    });
    a.switch_to();
    greenlet b = a;
    a = greenlet();
    log("one left");
    b = greenlet();
    EXPECT_EQ(log.text(), "one left killed");
}

// E13: a worker that loops for ever is ended by the end of a scope
TEST_F(GreenletLifetime, EndOfAScopeEndsTheWorker) {
    {
        greenlet worker([&](int job) {
            const at_end last([&] { log("closed"); });
            for (;;) {
                log("job", job);
                job = to_parent().as<int>();
            }
        });
        for (int job = 1; job <= 3; ++job) worker.switch_to(job);
    }
    EXPECT_EQ(log.text(), "job1 job2 job3 closed");
}

// rule 41: destroying a container of handles is dropping them
TEST_F(GreenletLifetime, ContainerThatIsTornDownKillsWhatItHeld) {
    std::vector<greenlet> held;
    for (int i = 0; i < 3; ++i) {
        held.emplace_back([&, i] {
            const at_end local([&, i] { log("killed", i); });
            to_parent();
        });
        held.back().switch_to();
    }
    std::vector<greenlet>().swap(held);
    EXPECT_EQ(log.text(), "killed0 killed1 killed2");
}

// rule 41: what only a suspended greenlet holds goes with it
TEST_F(GreenletLifetime, LocalsOfASuspendedOneAreReleasedWithIt) {
    const auto kept = std::make_shared<int>(0);
    const greenlet main = greenlet::current();
    greenlet holder;
    holder = greenlet([&, kept] {
        greenlet inner(
            [&, kept] {
                const auto local = kept;
                holder.switch_to();
            },
            main);  // with the holder as parent they would keep each other: rule 51
        inner.switch_to();
        to_parent();
    });
    holder.switch_to();
    EXPECT_EQ(kept.use_count(), 4);
    holder = greenlet();
    EXPECT_EQ(kept.use_count(), 1);
}

TEST_F(GreenletLifetime, OneThatReturnsAHandleToItselfIsFreed) {
    weak_greenlet weak;
    {
        greenlet g([] { return greenlet::current(); });
        weak = weak_greenlet(g);
        EXPECT_EQ(g.switch_to().as<greenlet>(), g);
    }
    EXPECT_TRUE(weak.expired());
}

// rule 46
TEST_F(GreenletLifetime, TenResurrectedOnesAreFreedInTheEnd) {
    std::vector<greenlet> saved;
    for (int i = 0; i < 10; ++i) {
        greenlet g([&] {
            try {
                to_parent();
            } catch (const greenlet_exit&) {
                saved.push_back(greenlet::current());
                to_parent();
            }
        });
        g.switch_to();
    }
    EXPECT_EQ(saved.size(), 10U);
    for (const greenlet& g : saved) EXPECT_TRUE(g.active());
    saved.clear();
}

// A chain of owned objects; each counts as alive until all below it are gone.
struct link {
    struct count {
        explicit count(int& n) : alive(n) { ++alive; }
        count(const count&) = delete;
        count& operator=(const count&) = delete;
        ~count() { --alive; }
        int& alive;
    };

    link(std::unique_ptr<link> below, std::function<void()> last, int& alive)
        : counted(alive), next(std::move(below)), at_last(std::move(last)) {}

    count counted;
    std::unique_ptr<link> next;
    at_end at_last;
};

// `deepest` is called when the teardown has reached the other end.
std::unique_ptr<link> links(int length, int& alive, std::function<void()> deepest) {
    std::unique_ptr<link> chain;
    for (int i = 0; i < length; ++i)
        chain = std::make_unique<link>(std::move(chain), std::exchange(deepest, nullptr), alive);
    return chain;
}

// rule 47: a destructor deep in one teardown starts a greenlet that tears down as deep, stays suspended there, is killed later
TEST_F(GreenletLifetime, DestructorsMaySwitchDeepInATeardown) {
    int alive = 0;
    greenlet second([&] {
        auto chain = links(1000, alive, [&] {
            log("inner");
            to_parent();
            log("inner-resumed");
        });
        chain.reset();
        to_parent();
    });
    auto chain = links(1000, alive, [&] {
        log("outer");
        second.switch_to();
        log("outer-resumed:", alive);
    });
    chain.reset();
    log("main:", alive);
    second.switch_to();
    log("main:", alive);
    EXPECT_EQ(log.text(), "outer inner outer-resumed:2000 main:1000 inner-resumed main:0");
}

// rule 48
TEST_F(GreenletSelfDrop, DoesNotInterruptTheRunningOne) {
    greenlet g;
    g = greenlet([&] {
        g = greenlet();
        log("still running");
        EXPECT_TRUE(greenlet::current().active());
        return "result";
    });
    EXPECT_EQ(g.switch_to().as<std::string>(), "result");
    EXPECT_EQ(log.text(), "still running");
}

// rules 48, 50, 82
TEST_F(GreenletSelfDrop, SwitchingAwayKillsItBeforeTheTargetGoesOn) {
    greenlet g;
    g = greenlet([&] {
        const at_end local([&] { log("killed"); });
        g = greenlet();
        log("leaves");
        to_parent("payload");
        log("never");
    });
    log(g.switch_to().as<std::string>());
    EXPECT_EQ(log.text(), "leaves killed payload");
}

// rules 48, 50
TEST_F(GreenletSelfDrop, SwitchingToAnUnstartedOneKillsItFirst) {
    greenlet g;
    const greenlet next([&](int n) { log("next", n); });
    g = greenlet([&] {
        const at_end local([&] { log("killed"); });
        g = greenlet();
        next.switch_to(5);
    });
    g.switch_to();
    EXPECT_EQ(log.text(), "killed next5");
}

// rules 46, 48, 50
TEST_F(GreenletSelfDrop, MaySaveItselfAndTheValueIsNotLost) {
    greenlet g;
    greenlet saved;
    greenlet initiator;
    g = greenlet([&] {
        const int n = to_parent().as<int>();
        initiator.set_parent(greenlet::current().parent());
        g = greenlet();
        try {
            to_parent(n);
        } catch (const greenlet_exit&) {
            saved = greenlet::current();
            throw;
        }
    });
    g.switch_to();
    initiator = greenlet([] { return 42; }, g);
    EXPECT_EQ(initiator.switch_to().as<int>(), 42);
    EXPECT_TRUE(saved.dead());
}

// rule 48
TEST_F(GreenletSelfDrop, HandleFoundAgainBeforeLeavingKeepsIt) {
    greenlet g;
    greenlet again;
    g = greenlet([&] {
        g = greenlet();
        again = greenlet::current();
        to_parent("left");
        return "end";
    });
    EXPECT_EQ(g.switch_to().as<std::string>(), "left");
    EXPECT_TRUE(again.active());
    EXPECT_EQ(again.switch_to().as<std::string>(), "end");
}

// rule 48: the exception in flight arrives although its thrower is killed on the way
TEST_F(GreenletSelfDrop, RaisingElsewhereStillArrives) {
    greenlet g;
    g = greenlet([&] {
        const at_end local([&] { log("killed"); });
        g = greenlet();
        greenlet::current().parent().raise(std::runtime_error("raised"));
    });
    EXPECT_EQ(copse_test::what_is_thrown_by([&] { g.switch_to(); }), "raised");
    EXPECT_EQ(log.text(), "killed");
}

TEST_F(WeakGreenlet, DoesNotKeep) {
    greenlet unstarted([] {});
    greenlet dead([] {});
    dead.switch_to();
    for (greenlet* g : {&unstarted, &dead}) {
        const weak_greenlet weak(*g);
        EXPECT_FALSE(weak.expired());
        EXPECT_EQ(weak.lock(), *g);
        *g = greenlet();
        EXPECT_TRUE(weak.expired());
        EXPECT_TRUE(weak.lock().empty());
    }
    EXPECT_TRUE(weak_greenlet().expired());
    EXPECT_TRUE(weak_greenlet(greenlet()).expired());
}

TEST_F(WeakGreenlet, CopiesAndMoves) {
    greenlet g([] {});
    const weak_greenlet a(g);
    weak_greenlet b = a;
    const weak_greenlet c = std::move(b);
    b = a;
    EXPECT_TRUE(a.lock() == g && b.lock() == g && c.lock() == g);
    g = greenlet();
    EXPECT_TRUE(a.expired() && b.expired() && c.expired());
}

TEST_F(WeakGreenlet, OfAChildIsExpiredWhileItsParentIsKilled) {
    weak_greenlet weak;
    greenlet child;
    {
        greenlet parent([&] {
            const at_end local([&] { log(weak.expired() ? "expired" : "alive"); });
            to_parent();
        });
        parent.switch_to();
        child = greenlet([] {}, parent);
    }
    weak = weak_greenlet(child);
    EXPECT_FALSE(weak.expired());
    child = greenlet();
    EXPECT_EQ(log.text(), "expired");
}

// rule 46
TEST_F(WeakGreenlet, CannotBeLockedWhileItsGreenletIsKilledUnlessThatSavesItself) {
    weak_greenlet weak;
    greenlet saved;
    greenlet g([&] {
        try {
            to_parent();
        } catch (const greenlet_exit&) {
            saved = greenlet::current();
            to_parent();
        }
    });
    weak = weak_greenlet(g);
    g.switch_to();
    g = greenlet();
    EXPECT_EQ(weak.lock(), saved);
    saved = greenlet();
    EXPECT_TRUE(weak.expired());
}

}  // namespace
