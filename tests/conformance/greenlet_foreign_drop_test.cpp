// The last handle of a greenlet is dropped on a thread that does not own it. Rules 54, 55, 58.

#include <copse/debug.hpp>
#include <copse/greenlet.hpp>
#include <copse/trace.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "worker.hpp"

#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using copse::greenlet;
using copse_test::at_end;
using copse_test::in_thread;
using copse_test::to_parent;
using copse_test::worker;

namespace {

class GreenletForeignDrop : public copse_test::leak_check {
protected:
    // A suspended greenlet of the worker's, which logs where it is killed.
    greenlet victim_of(worker& owner) {
        greenlet g;
        owner.run([&] {
            g = greenlet([this, owner_id = std::this_thread::get_id()] {
                const at_end last(
                    [=, this] { log(std::this_thread::get_id() == owner_id ? "killed" : "killed elsewhere"); });
                to_parent();
            });
            g.switch_to();
        });
        return g;
    }
};

// rule 54
TEST_F(GreenletForeignDrop, RunsNothingUntilTheOwnerAsksWhoIsCurrent) {
    worker owner;
    greenlet g = victim_of(owner);
    g = greenlet();
    EXPECT_EQ(log.text(), "");
    owner.run([&] {
        copse::current_trace();
        EXPECT_EQ(log.text(), "") << "asking for the trace is no such moment";
        greenlet::current();
        EXPECT_EQ(log.text(), "killed");
    });
}

// rule 54
TEST_F(GreenletForeignDrop, IsDoneWhenTheOwnerMakesAGreenlet) {
    worker owner;
    greenlet g = victim_of(owner);
    g = greenlet();
    owner.run([&] {
        const greenlet fresh([] {});
        EXPECT_EQ(log.text(), "killed");
    });
}

// rule 54
TEST_F(GreenletForeignDrop, IsDoneWhenTheOwnerSwitches) {
    for (const bool with_payload : {false, true}) {
        worker owner;
        greenlet mine;
        owner.run([&] {
            mine = greenlet([&] {
                for (;;) {
                    to_parent();
                    log("mine");
                }
            });
            mine.switch_to();
        });
        greenlet g = victim_of(owner);
        g = greenlet();
        owner.run([&] {
            with_payload ? mine.switch_to(1) : mine.switch_to();
            log("main");
            mine = greenlet();
        });
    }
    EXPECT_EQ(log.text(), "killed mine main killed mine main");
}

// rule 54
TEST_F(GreenletForeignDrop, OfUnstartedAndDeadOnesHappensAtOnce) {
    worker owner;
    greenlet unstarted;
    greenlet dead;
    owner.run([&] {
        unstarted = greenlet([last = at_end([&] { log("callable"); })] {});
        dead = greenlet([] {});
        dead.switch_to();
    });
    unstarted = greenlet();
    EXPECT_EQ(log.text(), "callable");
    {
        const copse::weak_greenlet weak(dead);
        dead = greenlet();
        EXPECT_TRUE(weak.expired());
    }
    owner.run([] {
        greenlet::current();
        EXPECT_EQ(copse::debug::live_greenlets(), 0U);
    });
}

// rule 54: a parent that only its child held goes with the child's mail
TEST_F(GreenletForeignDrop, OfAChildHandsItsSuspendedParentToTheOwner) {
    worker owner;
    greenlet child;
    {
        greenlet parent = victim_of(owner);
        owner.run([&] {
            child = greenlet([] {}, parent);
            parent = greenlet();
        });
    }
    child = greenlet();
    EXPECT_EQ(log.text(), "");
    owner.run([&] { greenlet::current(); });
    EXPECT_EQ(log.text(), "killed");
}

// rule 55 (U2)
TEST_F(GreenletForeignDrop, DoesNotDisturbTheOperationThatTriggersIt) {
    worker owner;
    greenlet dead;
    owner.run([&] {
        dead = greenlet([] {});
        dead.switch_to();
    });
    const std::vector<std::function<void()>> operations{
        [&] { EXPECT_EQ(greenlet::current().switch_to("self").as<std::string>(), "self"); },
        [&] { EXPECT_EQ(dead.switch_to("dead").as<std::string>(), "dead"); },
        [&] { EXPECT_EQ(copse_test::what_is_thrown_by([] { greenlet::current().raise(1); }), "int 1"); },
        [&] { EXPECT_EQ(copse_test::what_is_thrown_by([&] { dead.raise(2); }), "int 2"); },
        [&] { EXPECT_TRUE(copse_test::holds_exit(dead.raise())); },
        [&] { EXPECT_EQ(greenlet([](int n) { return n; }).switch_to(3).as<int>(), 3); },
    };
    for (const auto& operation : operations) {
        greenlet g = victim_of(owner);
        g = greenlet();
        owner.run([&] {
            operation();
            greenlet::current();
        });
        EXPECT_EQ(log.take(), "killed");
    }
    owner.run([&] { dead = greenlet(); });
}

// rules 54, 55: a destructor that runs in the drained kill may let another thread go on
TEST_F(GreenletForeignDrop, DestructorInTheDrainMayWakeAnotherThread) {
    worker owner;
    std::latch destroyed(1);
    greenlet g;
    owner.run([&] {
        g = greenlet([&] {
            const at_end last([&] { destroyed.count_down(); });
            to_parent();
        });
        g.switch_to();
    });
    std::thread other([&] { destroyed.wait(); });
    g = greenlet();
    owner.run([] { EXPECT_TRUE(greenlet::current().is_main()); });
    other.join();
}

// rule 54: a handle that was found again in time
TEST_F(GreenletForeignDrop, OfOneThatIsCurrentDoesNotInterruptIt) {
    worker owner;
    greenlet g;
    owner.run([&] {
        g = greenlet([&] {
            const at_end last([&] { log("killed"); });
            in_thread([&] { g = greenlet(); });
            log("still running");
            to_parent("left");
            log("never");
        });
        log(g.switch_to().as<std::string>());
        greenlet::current();
    });
    EXPECT_EQ(log.text(), "still running killed left");
}

TEST_F(GreenletForeignDrop, FiftyThreadsGreenletsDroppedFromHere) {
    constexpr int threads = 50;
    std::vector<std::unique_ptr<worker>> owners;
    std::vector<greenlet> dropped;
    for (int i = 0; i < threads; ++i) {
        owners.push_back(std::make_unique<worker>());
        for (int k = 0; k < 3; ++k) dropped.push_back(victim_of(*owners.back()));
    }
    dropped.clear();
    EXPECT_EQ(log.take(), "");
    for (auto& owner : owners) {
        owner->run([] {
            greenlet::current();
            EXPECT_EQ(copse::debug::live_greenlets(), 0U);
            EXPECT_EQ(copse::debug::live_stacks(), 0U);
        });
        EXPECT_EQ(log.take(), "killed killed killed");
    }
}

// rule 58
TEST_F(GreenletForeignDrop, IsDoneBeforeAnOwnerEndsThatNeverAsks) {
    worker owner;
    greenlet g = victim_of(owner);
    g = greenlet();
    EXPECT_EQ(log.text(), "");
    owner.finish();
    EXPECT_EQ(log.text(), "killed");
}

}  // namespace
