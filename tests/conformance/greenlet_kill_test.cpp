// What a greenlet does that is killed because its last handle was dropped, and what the dropper sees of it. Rules 42 to 51, 79.

#include <copse/debug.hpp>
#include <copse/greenlet.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "worker.hpp"

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using copse::greenlet;
using copse::greenlet_exit;
using copse_test::at_end;
using copse_test::error_recorder;
using copse_test::to_parent;
using copse_test::what_is_thrown_by;

namespace {

class GreenletKill : public copse_test::leak_check {
protected:
    // A suspended greenlet that calls `handler` when it is killed, and then returns.
    template <class F>
    greenlet suspended(F handler) {
        greenlet g([handler]() mutable {
            try {
                to_parent();
            } catch (const greenlet_exit&) {
                handler();
            }
        });
        g.switch_to();
        return g;
    }
};

// rule 42
TEST_F(GreenletKill, ControlReturnsToTheDropperThoughTheParentIsAnother) {
    greenlet parent([&] {
        to_parent();
        log("parent was entered");
    });
    parent.switch_to();
    greenlet victim([] { to_parent(); });
    victim.switch_to();
    victim.set_parent(parent);
    greenlet dropper([&] {
        victim = greenlet();
        log("dropper");
    });
    dropper.switch_to();
    log("main");
    EXPECT_EQ(log.text(), "dropper main");
}

// rules 42, 46
TEST_F(GreenletKill, ParentIsTheDropperUntilItIsOver) {
    greenlet saved;
    const greenlet real_parent([] {});
    greenlet dropper;
    greenlet victim = suspended([&] {
        log(greenlet::current().parent() == dropper ? "dropper is parent" : "?");
        saved = greenlet::current();
        to_parent();
    });
    victim.set_parent(real_parent);
    dropper = greenlet([&] { victim = greenlet(); });
    dropper.switch_to();
    EXPECT_EQ(log.text(), "dropper is parent");
    EXPECT_TRUE(saved.active());
    EXPECT_EQ(saved.parent(), real_parent);
}

// rule 42
TEST_F(GreenletKill, ParentSetByTheHandlerIsDiscarded) {
    greenlet saved;
    const greenlet main = greenlet::current();
    const greenlet other([] {});
    greenlet victim = suspended([&] {
        saved = greenlet::current();
        saved.set_parent(other);
        main.switch_to();
    });
    victim = greenlet();
    EXPECT_EQ(saved.parent(), main);
}

// rule 43
TEST_F(GreenletKill, WhatTheVictimReturnsIsNobodys) {
    greenlet victim([] {
        try {
            to_parent();
        } catch (const greenlet_exit&) {}
        return 99;
    });
    victim.switch_to();
    greenlet dropper([&] {
        victim = greenlet();
        log("got ", to_parent("from dropper").as<int>());
    });
    EXPECT_EQ(dropper.switch_to().as<std::string>(), "from dropper");
    dropper.switch_to(1);
    EXPECT_EQ(log.text(), "got 1");
}

// rule 44
TEST_F(GreenletKill, OtherExceptionReachesTheErrorHandlerOnce) {
    const error_recorder errors;
    greenlet victim = suspended([] { throw std::runtime_error("not the exit"); });
    const auto id = victim.id();
    EXPECT_NO_THROW(victim = greenlet());
    ASSERT_EQ(errors.count(), 1U);
    EXPECT_EQ(errors[0].what, "not the exit");
    EXPECT_EQ(errors[0].greenlet_id, id);
}

// rule 44
TEST_F(GreenletKill, ErrorHandlerThatThrowsIsContained) {
    const error_recorder restores;
    copse::set_error_handler([](const std::exception_ptr&, const greenlet&) { throw 1; });
    testing::internal::CaptureStderr();
    greenlet victim = suspended([] { throw std::runtime_error("printed instead"); });
    EXPECT_NO_THROW(victim = greenlet());
    EXPECT_NE(testing::internal::GetCapturedStderr().find("printed instead"), std::string::npos);
}

// rule 44
TEST_F(GreenletKill, WithoutHandlerOtherExceptionsArePrinted) {
    testing::internal::CaptureStderr();
    greenlet victim = suspended([] { throw std::runtime_error("escaped from a kill"); });
    victim.set_name("the victim");
    victim = greenlet();
    const std::string printed = testing::internal::GetCapturedStderr();
    EXPECT_NE(printed.find("escaped from a kill"), std::string::npos) << printed;
    EXPECT_NE(printed.find("the victim"), std::string::npos) << printed;
}

// rule 45: on a thread of its own, which also ends what was left
TEST_F(GreenletKill, SurvivorWithoutAHandleIsReportedAndKeptUntilTheThreadEnds) {
    copse_test::in_thread([&] {
        const auto before = copse::debug::live_greenlets();
        const error_recorder errors;
        greenlet victim = suspended([&] {
            log("swallowed");
            const at_end last([&] { log("ended"); });
            to_parent();
        });
        const auto id = victim.id();
        victim = greenlet();
        log("dropper");
        EXPECT_EQ(errors.count(), 1U);
        EXPECT_EQ(errors[0].greenlet_id, id);
        EXPECT_EQ(copse::debug::live_greenlets(), before + 1);
    });
    EXPECT_EQ(log.text(), "swallowed dropper ended");
}

// rule 46
TEST_F(GreenletKill, OneThatStoresAHandleLivesAndCanBeDroppedAgain) {
    const error_recorder errors;
    greenlet saved;
    greenlet victim([&] {
        for (int round = 1;; ++round) {
            try {
                log("got ", to_parent("alive").as<int>());
            } catch (const greenlet_exit&) {
                log("exit", round);
                if (round > 2) throw;
                saved = greenlet::current();
            }
        }
    });
    victim.switch_to();
    victim = greenlet();
    EXPECT_TRUE(saved.active());
    EXPECT_EQ(saved.switch_to(5).as<std::string>(), "alive");
    saved = greenlet();
    EXPECT_EQ(log.text(), "exit1 got 5 exit3");
    EXPECT_EQ(errors.count(), 0U);
}

// rule 47
TEST_F(GreenletKill, HandlerMayStartOthersAndSwitchToItself) {
    greenlet victim = suspended([&] {
        const greenlet child([&](int n) { log("child", n); });
        child.switch_to(1);
        log("self", greenlet::current().switch_to(2).as<int>());
    });
    victim = greenlet();
    EXPECT_EQ(log.text(), "child1 self2");
}

// rule 47
TEST_F(GreenletKill, HandlerMayDropFurtherOnes) {
    greenlet inner = suspended([&] { log("inner"); });
    greenlet middle = suspended([&] {
        log("middle");
        inner = greenlet();
        log("middle");
    });
    greenlet outer = suspended([&] {
        log("outer");
        middle = greenlet();
        log("outer");
    });
    outer = greenlet();
    EXPECT_EQ(log.text(), "outer middle inner middle outer");
}

// rule 47
TEST_F(GreenletKill, HandlerMaySwitchToTheDropperAndBeFinishedLater) {
    greenlet saved;
    greenlet victim = suspended([&] {
        saved = greenlet::current();
        log("cleaning");
        to_parent();
        log("cleaned");
    });
    victim = greenlet();
    log("dropper");
    saved.switch_to();
    EXPECT_TRUE(saved.dead());
    EXPECT_EQ(log.text(), "cleaning dropper cleaned");
}

// rule 49
TEST_F(GreenletKill, DroppersHandledExceptionIsPutBack) {
    greenlet victim = suspended([&] {
        EXPECT_EQ(what_is_thrown_by([] { throw; }), "greenlet_exit");
        try {
            throw 2;
        } catch (int) {
            log(what_is_thrown_by([] { throw; }));
        }
    });
    try {
        throw 1;
    } catch (int) {
        victim = greenlet();
        log(what_is_thrown_by([] { throw; }));
    }
    EXPECT_EQ(log.text(), "int 2 int 1");
}

// rule 79
TEST_F(GreenletKill, ByADestructorDuringUnwindingStartsWithNothingInFlight) {
    greenlet victim([&] {
        const at_end local([&] { log("local:", std::uncaught_exceptions()); });
        try {
            to_parent();
        } catch (const greenlet_exit&) {
            log("handler:", std::uncaught_exceptions());
            throw;
        }
    });
    victim.switch_to();
    try {
        const at_end dropper([&] {
            log("dropper:", std::uncaught_exceptions());
            victim = greenlet();
            log("dropper:", std::uncaught_exceptions());
        });
        throw std::runtime_error("in flight");
    } catch (const std::runtime_error& e) {
        log(e.what(), ":", std::uncaught_exceptions());
    }
    EXPECT_EQ(log.text(), "dropper:1 handler:0 local:1 dropper:1 in flight:0");
}

// rule 79
TEST_F(GreenletKill, ByAHandleThatIsUnwound) {
    try {
        const greenlet held = suspended([&] { log("killed:", std::uncaught_exceptions()); });
        throw std::runtime_error("x");
    } catch (const std::runtime_error& e) {
        log(e.what());
    }
    EXPECT_EQ(log.text(), "killed:0 x");
}

// rule 50: the value on its way is what arrives, though the kill runs other switches in between
TEST_F(GreenletKill, OnArrivalDoesNotDisturbThePayload) {
    greenlet g;
    g = greenlet([&] {
        const at_end local([&] {
            greenlet helper([](const std::string& noise) { return to_parent(noise); });
            log(helper.switch_to("noise").as<std::string>());
        });
        g = greenlet();
        to_parent("kept");
    });
    log(g.switch_to().as<std::string>());
    EXPECT_EQ(log.text(), "noise kept");
}

// rules 51, 87: what upstream leaks for ever is ended by the thread
TEST_F(GreenletKill, CyclesAreEndedByTheirThread) {
    copse_test::in_thread([&] {
        greenlet outer([&] {
            const at_end last([&] { log("outer"); });
            greenlet inner([&] {
                const at_end last_inner([&] { log("inner"); });
                greenlet::current().parent().parent().switch_to();
            });
            inner.switch_to();
        });
        outer.switch_to();
        greenlet keeps_itself([&] {
            const greenlet me = greenlet::current();
            const at_end last([&] { log("itself"); });
            to_parent();
        });
        keeps_itself.switch_to();
        outer = greenlet();
        keeps_itself = greenlet();
        log("end");
    });
    EXPECT_EQ(log.text(), "end itself inner outer");
}

// E14: a view, or a weak handle, on its own stack is no cycle
TEST_F(GreenletKill, ViewOfItselfIsNoCycle) {
    greenlet g([&] {
        const greenlet& me = greenlet::current();
        const copse::weak_greenlet weak(me);
        const at_end last([&] { log(me.active() ? "killed" : "?"); });
        to_parent();
    });
    g.switch_to();
    g = greenlet();
    EXPECT_EQ(log.text(), "killed");
}

}  // namespace
