// A thread ends: what it leaves, what others still hold, what its last destructors may do. Rules 44, 56, 57, 75, 87.

#include <copse/greenlet.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "worker.hpp"

#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using copse::greenlet;
using copse::greenlet_exit;
using copse_test::at_end;
using copse_test::in_thread;
using copse_test::to_parent;
using copse_test::worker;

namespace {

class GreenletThreadEnd : public copse_test::leak_check {};

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
        copse::set_error_handler(
            [&](const std::exception_ptr& e, const greenlet&) { reported.push_back(copse_test::what_of(e)); });
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
