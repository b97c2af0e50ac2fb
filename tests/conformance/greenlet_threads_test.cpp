// Greenlets and threads: who may do what, and what happens to drops from elsewhere and at the end of a thread.
// Rules 1, 39, 52 to 58, 75, 83, 87.

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
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using copse::greenlet;
using copse::greenlet_exit;
using copse_test::at_end;
using copse_test::in_thread;
using copse_test::to_parent;
using copse_test::worker;

namespace {

class GreenletThreads : public copse_test::leak_check {};

class GreenletForeignDrop : public copse_test::leak_check {
protected:
    // A suspended greenlet of the worker's, which logs where it is killed.
    greenlet victim_of(worker& owner) {
        greenlet g;
        owner.run([&] {
            g = greenlet([this, owner_id = std::this_thread::get_id()] {
                const at_end last([=, this] { log(std::this_thread::get_id() == owner_id ? "killed" : "killed elsewhere"); });
                to_parent();
            });
            g.switch_to();
        });
        return g;
    }
};

class GreenletThreadEnd : public copse_test::leak_check {};

TEST_F(GreenletThreads, TenThreadsEachPlayPingPong) {
    std::vector<std::string> played(10);
    std::vector<std::thread> threads;
    for (std::string& text : played) {
        threads.emplace_back([&text] {
            greenlet g([&] {
                text += '1';
                to_parent();
                text += '3';
            });
            text += '0';
            g.switch_to();
            text += '2';
            g.switch_to();
            text += '4';
        });
    }
    for (std::thread& t : threads) t.join();
    for (const std::string& text : played) EXPECT_EQ(text, "01234");
}

// rule 52
TEST_F(GreenletThreads, AnothersGreenletIsRefusedInEveryState) {
    worker owner;
    greenlet unstarted;
    greenlet suspended;
    greenlet dead;
    greenlet main;
    owner.run([&] {
        unstarted = greenlet([](int n) { return n; });
        suspended = greenlet([] { return to_parent().as<int>(); });
        suspended.switch_to();
        dead = greenlet([] {});
        dead.switch_to();
        main = greenlet::current();
    });
    for (const greenlet* g : {&unstarted, &suspended, &dead, &main}) {
        EXPECT_THROW(g->switch_to(), copse::wrong_thread);
        EXPECT_THROW(g->switch_to(1), copse::wrong_thread);
        EXPECT_THROW(g->raise(), copse::wrong_thread);
        EXPECT_THROW(g->raise(std::runtime_error("x")), copse::wrong_thread);
        EXPECT_THROW(g->set_name("x"), copse::wrong_thread);
        EXPECT_THROW(g->backtrace(), copse::wrong_thread);
    }
    EXPECT_TRUE(dead.dead());
    EXPECT_FALSE(suspended.dead());
    owner.run([&] {
        EXPECT_EQ(unstarted.switch_to(1).as<int>(), 1);
        EXPECT_EQ(suspended.switch_to(2).as<int>(), 2);
        unstarted = suspended = dead = greenlet();
        EXPECT_EQ(copse::debug::live_greenlets(), 0U);
    });
}

// rule 52: the message says whose it is
TEST_F(GreenletThreads, RefusalNamesBothMains) {
    worker owner;
    greenlet foreign;
    owner.run([&] { foreign = greenlet([] {}); });
    const std::string text = copse_test::what_is_thrown_by([&] { foreign.switch_to(); });
    EXPECT_NE(text.find("#" + std::to_string(greenlet::current().id())), std::string::npos) << text;
    std::string its_main;
    owner.run([&] { its_main = "#" + std::to_string(greenlet::current().id()); });
    EXPECT_NE(text.find(its_main), std::string::npos) << text;
}

// rule 52: a payload on its way is not disturbed by a refused one
TEST_F(GreenletThreads, RefusedSwitchLeavesPendingPayloadsAlone) {
    worker owner;
    greenlet target;
    std::string got;
    owner.run([&] {
        target = greenlet([&](const std::string& first) {
            in_thread([&] { EXPECT_THROW(target.switch_to("foreign"), copse::wrong_thread); });
            got = first;
            got += to_parent("back").as<std::string>();
        });
        EXPECT_EQ(target.switch_to("a").as<std::string>(), "back");
        target.switch_to("b");
    });
    EXPECT_EQ(got, "ab");
}

// rules 52, 83: many threads try others' greenlets while their owners switch
TEST_F(GreenletThreads, HammeringOthersGreenletsOnlyGivesErrors) {
    constexpr int pairs = 16;
    constexpr int rounds = 200;
    std::vector<greenlet> shared(pairs);
    std::vector<int> refused(pairs, 0);
    std::latch made(pairs);
    std::latch tried(pairs);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < pairs; ++i) {
        threads.emplace_back([&, i] {
            greenlet mine([] {
                for (;;) to_parent();
            });
            mine.switch_to();
            shared[i] = mine;
            made.arrive_and_wait();
            for (int round = 0; round < rounds; ++round) mine.switch_to(round);
            tried.wait();
            shared[i] = greenlet();
        });
        threads.emplace_back([&, i] {
            made.wait();
            for (int round = 0; round < rounds; ++round) {
                try {
                    shared[i].switch_to(round);
                } catch (const copse::wrong_thread&) {
                    ++refused[i];
                }
                EXPECT_FALSE(greenlet(shared[i]).dead());
            }
            tried.count_down();
        });
    }
    for (std::thread& t : threads) t.join();
    for (const int n : refused) EXPECT_EQ(n, rounds);
}

// rule 1: two threads may block inside greenlets at the same time
TEST_F(GreenletThreads, BlockingInsideGreenletsOfTwoThreadsDisturbsNeither) {
    std::latch both_inside(2);
    const auto run = [&](std::string& text) {
        greenlet g([&] {
            text += 'a';
            both_inside.arrive_and_wait();
            to_parent();
            text += 'c';
        });
        g.switch_to();
        text += 'b';
        g.switch_to();
    };
    std::string mine;
    std::string its;
    std::thread other([&] { run(its); });
    run(mine);
    other.join();
    EXPECT_EQ(mine, "abc");
    EXPECT_EQ(its, "abc");
}

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

// rules 56, 87
TEST_F(GreenletThreadEnd, KillsSuspendedOnesThatOthersStillHold) {
    worker owner;
    greenlet g;
    std::thread::id killed_on;
    std::thread::id owner_id;
    owner.run([&] {
        owner_id = std::this_thread::get_id();
        g = greenlet([&] {
            const at_end last([&] { killed_on = std::this_thread::get_id(); });
            to_parent();
        });
        g.switch_to();
    });
    EXPECT_FALSE(g.dead());
    owner.finish();
    EXPECT_EQ(killed_on, owner_id);
    EXPECT_TRUE(g.dead());
    EXPECT_FALSE(g.active());
    EXPECT_TRUE(to_string(g).ends_with(" (thread exited) dead>")) << to_string(g);
}

// rule 56
TEST_F(GreenletThreadEnd, AfterItEverythingOfTheThreadIsRefusedAsExited) {
    greenlet unstarted;
    greenlet suspended;
    greenlet dead;
    greenlet main;
    in_thread([&] {
        unstarted = greenlet([] {});
        suspended = greenlet([] { to_parent(); });
        suspended.switch_to();
        dead = greenlet([] {});
        dead.switch_to();
        main = greenlet::current();
    });
    for (const greenlet* g : {&unstarted, &suspended, &dead, &main}) {
        EXPECT_TRUE(g->dead());
        EXPECT_FALSE(g->active());
        EXPECT_THROW(g->switch_to(), copse::thread_exited);
        EXPECT_THROW(g->raise(), copse::thread_exited);
        EXPECT_THROW(g->raise(1), copse::thread_exited);
        EXPECT_THROW(g->backtrace(), copse::thread_exited);
    }
}

// rule 57
TEST_F(GreenletThreadEnd, OnesThatOnlyItsOwnStackHoldsGoWithTheStack) {
    in_thread([&] {
        greenlet g([&] {
            const at_end last([&] { log("killed"); });
            to_parent();
        });
        g.switch_to();
        log("returns");
        const at_end after([&] { log("never before"); });
        g = greenlet();
    });
    EXPECT_EQ(log.text(), "returns killed never before");
}

// rules 57, 87: held by nothing that ends before the thread's greenlets do
TEST_F(GreenletThreadEnd, KillsTheNewestFirst) {
    std::vector<greenlet> kept;
    in_thread([&] {
        for (int i = 1; i <= 3; ++i) {
            kept.emplace_back([&, i] {
                const at_end last([&, i] { log("killed", i); });
                to_parent();
            });
        }
        for (const int i : {1, 0, 2}) kept[static_cast<std::size_t>(i)].switch_to();  // the order of starting counts
    });
    EXPECT_EQ(log.text(), "killed3 killed1 killed2");
}

// rule 87
TEST_F(GreenletThreadEnd, CleanUpMayStartAndSwitchToOthers) {
    greenlet first;
    greenlet second;
    in_thread([&] {
        first = greenlet([&] {
            for (;;) log("first", to_parent().as<int>());
        });
        second = greenlet([&] {
            const at_end last([&] {
                greenlet child([&](int n) { log("child", n); });
                child.switch_to(1);
            });
            to_parent();
        });
        first.switch_to();
        second.switch_to();
        log("end");
    });
    EXPECT_EQ(log.text(), "end child1");
    EXPECT_TRUE(first.dead() && second.dead());
}

// rule 87
TEST_F(GreenletThreadEnd, SurvivorIsReportedAndAbandoned) {
    static greenlet survivor;  // static: its block is never given back
    std::vector<std::string> reported;
    in_thread([&] {
        copse::set_error_handler([&](const std::exception_ptr& e, const greenlet& g) {
            EXPECT_EQ(g, survivor);
            reported.push_back(copse_test::what_of(e));
        });
        survivor = greenlet([&] {
            for (;;) {
                try {
                    to_parent();
                } catch (const greenlet_exit&) {
                    log("swallowed");
                }
            }
        });
        survivor.switch_to();
    });
    EXPECT_EQ(log.text(), "swallowed");
    EXPECT_EQ(reported.size(), 1U);
    EXPECT_TRUE(survivor.dead());
    EXPECT_THROW(survivor.switch_to(), copse::thread_exited);
}

// rule 44 at the end of a thread
TEST_F(GreenletThreadEnd, OtherExceptionsReachTheErrorHandler) {
    std::vector<std::string> reported;
    greenlet kept;
    in_thread([&] {
        copse::set_error_handler([&](const std::exception_ptr& e, const greenlet&) { reported.push_back(copse_test::what_of(e)); });
        kept = greenlet([] {
            try {
                to_parent();
            } catch (const greenlet_exit&) {
                throw std::runtime_error("late");
            }
        });
        kept.switch_to();
    });
    EXPECT_EQ(reported, std::vector<std::string>{"late"});
}

// Ends after the thread's greenlets, because it is made before them.
struct late_user {
    std::string* refused = nullptr;
    ~late_user() {
        if (refused == nullptr) return;
        try {
            greenlet::current();
            *refused = "not refused";
        } catch (const copse::thread_exited& e) {
            *refused = "thread_exited";
        }
    }
};
thread_local late_user ends_late;

// rule 75
TEST_F(GreenletThreadEnd, LaterDestructorsOfTheThreadAreRefused) {
    std::string refused;
    in_thread([&] {
        ends_late.refused = &refused;
        greenlet([] {}).switch_to();
    });
    EXPECT_EQ(refused, "thread_exited");
}

// rule 75
TEST_F(GreenletThreadEnd, HandlesMayBeDroppedAfterIt) {
    std::vector<greenlet> kept;
    for (int i = 0; i < 10; ++i) {
        in_thread([&] {
            for (int k = 0; k < 10; ++k) {
                kept.emplace_back([] { to_parent(); });
                if (k % 2 == 0) kept.back().switch_to();
            }
            kept.push_back(greenlet::current());
        });
    }
    kept.clear();
}

}  // namespace
