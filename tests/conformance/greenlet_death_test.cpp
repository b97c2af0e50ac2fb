// Where the end of a greenlet leads. Rules 18 to 28.

#include <copse/greenlet.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "sanitizer.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using copse::greenlet;
using copse::greenlet_exit;
using copse::value;
using copse_test::holds_exit;
using copse_test::to_parent;
using copse_test::what_is_thrown_by;

namespace {

class GreenletDeath : public copse_test::leak_check {};

// rule 18
TEST_F(GreenletDeath, ResultGoesToTheParentNotToTheStarter) {
    greenlet child([] { return "result"; });  // its parent is main
    greenlet starter([&] {
        log("start");
        child.switch_to();
        log("never");
    });
    EXPECT_EQ(starter.switch_to().as<std::string>(), "result");
    EXPECT_TRUE(starter.active()) << "it may stay suspended for ever";
    EXPECT_EQ(log.text(), "start");
}

// rule 18
TEST_F(GreenletDeath, ParentIsTheOneAtTheMomentOfDeath) {
    greenlet late;
    late = greenlet([&] {
        log("late ", to_parent().as<int>());
        return "from late";
    });
    late.switch_to();
    greenlet child([&] {
        greenlet::current().set_parent(late);
        return 5;
    });
    EXPECT_EQ(child.switch_to().as<std::string>(), "from late");
    EXPECT_EQ(log.text(), "late 5");
}

// rule 19
TEST_F(GreenletDeath, ResultLandsInAPendingSwitchToAThird) {
    greenlet child([] { return "child's result"; });
    greenlet third([&] { child.switch_to(); });
    EXPECT_EQ(third.switch_to().as<std::string>(), "child's result");
}

// rule 20
TEST_F(GreenletDeath, DeadAncestorsAreSkipped) {
    greenlet dead_one([] {});
    greenlet dead_two([] {}, dead_one);
    greenlet child([] { return 9; }, dead_two);
    dead_one.switch_to();
    dead_two.switch_to();
    EXPECT_EQ(child.switch_to().as<int>(), 9);
}

// rule 20
TEST_F(GreenletDeath, UnstartedParentIsStartedWithTheResult) {
    const greenlet parent([&](int n) { return n + 1; });
    const greenlet child([] { return 41; }, parent);
    EXPECT_EQ(child.switch_to().as<int>(), 42);
    EXPECT_TRUE(parent.dead());

    const greenlet takes_nothing([] { return "none"; });
    EXPECT_EQ(greenlet([] {}, takes_nothing).switch_to().as<std::string>(), "none");
}

// rule 20
TEST_F(GreenletDeath, ChainOfUnstartedParentsAddsUp) {
    const int length = copse_test::up_to(100'000);
    greenlet last([](int n) { return n; });
    for (int i = 0; i < length; ++i) last = greenlet([](int n) { return n + 1; }, last);
    EXPECT_EQ(last.switch_to(0).as<int>(), length);
}

// rules 9, 20
TEST_F(GreenletDeath, ResultThatAnUnstartedParentCannotTakeReachesTheGrandparent) {
    const greenlet parent([&] { log("entered"); });
    const greenlet child([] { return 1; }, parent);
    EXPECT_THROW(child.switch_to(), copse::bad_value_cast);
    EXPECT_TRUE(child.dead());
    EXPECT_TRUE(parent.dead());
    EXPECT_EQ(log.text(), "");
}

// rules 9, 17, 20: every attempt starts another parent that cannot take it; the child ran once
TEST_F(GreenletDeath, ParentThatAlwaysFailsToTakeTheResultFailsOnEachAttempt) {
    const greenlet child([&](int n) {
        log("child");
        return n;
    });
    for (int attempt = 0; attempt < 3; ++attempt) {
        child.set_parent(greenlet([](const std::string&) {}));
        EXPECT_THROW(child.switch_to(attempt), copse::bad_value_cast);
    }
    EXPECT_EQ(log.text(), "child");
}

// rules 21, 77
TEST_F(GreenletDeath, UncaughtExceptionIsRaisedInTheParent) {
    greenlet child([] { throw std::runtime_error("from the child"); });
    EXPECT_EQ(what_is_thrown_by([&] { child.switch_to(); }), "from the child");
    EXPECT_TRUE(child.dead());
}

// rule 21
TEST_F(GreenletDeath, UncaughtExceptionBypassesTheSiblingThatSwitched) {
    greenlet failing([] { throw std::runtime_error("oops"); });
    greenlet sibling([&] {
        try {
            failing.switch_to();
        } catch (...) {
            log("wrongly caught");
        }
    });
    EXPECT_EQ(what_is_thrown_by([&] { sibling.switch_to(); }), "oops");
    EXPECT_EQ(log.text(), "");
    EXPECT_TRUE(sibling.active());
}

// rule 21: after the exception both are dead and forward
TEST_F(GreenletDeath, ExceptionLandsInTheParentGivenLater) {
    greenlet first;
    greenlet second;
    first = greenlet([&] {
        EXPECT_EQ(what_is_thrown_by([&] { second.switch_to(); }), "second failed");
        log("first caught");
    });
    second = greenlet([] { throw std::runtime_error("second failed"); });
    second.set_parent(first);
    EXPECT_FALSE(first.switch_to().has_value());
    EXPECT_EQ(log.text(), "first caught");
    EXPECT_TRUE(first.dead() && second.dead());
    EXPECT_FALSE(first.switch_to().has_value());
    EXPECT_EQ(second.switch_to(25).as<int>(), 25);
}

// rule 21
TEST_F(GreenletDeath, ExceptionBuriesUnstartedAncestorsOnItsWay) {
    const greenlet grandparent([&](value) { log("grandparent"); });
    const greenlet parent([&](value) { log("parent"); }, grandparent);
    const greenlet child([] { throw 5; }, parent);
    EXPECT_THROW(child.switch_to(), int);
    EXPECT_TRUE(parent.dead() && grandparent.dead());
    EXPECT_EQ(log.text(), "");
}

// rules 21, 36
TEST_F(GreenletDeath, ExceptionArrivesAsTheSameObject) {
    const void* thrown = nullptr;
    const greenlet child([&] {
        try {
            throw std::runtime_error("x");
        } catch (const std::runtime_error& e) {
            thrown = &e;
            throw;
        }
    });
    const greenlet parent([&] {
        child.set_parent(greenlet::current());
        child.switch_to();
    });
    try {
        parent.switch_to();
        FAIL() << "nothing arrived";
    } catch (const std::runtime_error& e) {
        EXPECT_EQ(&e, thrown);
    }
}

// rule 76: no exception is special but greenlet_exit
TEST_F(GreenletDeath, AnyExceptionTypeTravelsThroughAllParents) {
    struct process_exit {
        int status;
    };
    const greenlet outer([&] {
        const greenlet middle([&] {
            const greenlet inner([] { throw process_exit{3}; });
            inner.switch_to();
        });
        middle.switch_to();
    });
    try {
        outer.switch_to();
        FAIL() << "nothing arrived";
    } catch (const process_exit& e) {
        EXPECT_EQ(e.status, 3);
    }
}

struct coded_exit : greenlet_exit {
    explicit coded_exit(int c) : code(c) {}
    int code;
};

// rule 22
TEST_F(GreenletDeath, ExitArrivesAsAValue) {
    EXPECT_TRUE(holds_exit(greenlet([] { throw greenlet_exit(); }).switch_to()));
    const value arrived = greenlet([] { throw coded_exit(7); }).switch_to();
    try {
        std::rethrow_exception(arrived.as<std::exception_ptr>());
    } catch (const coded_exit& e) {
        EXPECT_EQ(e.code, 7);
    }
}

// rule 22
TEST_F(GreenletDeath, ExitDoesNotCascade) {
    const greenlet parent([&] {
        const greenlet child([] { throw greenlet_exit(); });
        EXPECT_TRUE(holds_exit(child.switch_to()));
        log("parent went on");
        return 1;
    });
    EXPECT_EQ(parent.switch_to().as<int>(), 1);
    EXPECT_EQ(log.text(), "parent went on");
}

// rule 23 (U1)
TEST_F(GreenletDeath, ExitIsTheOneArgumentOfAnUnstartedParent) {
    const greenlet parent([&](const std::exception_ptr& e) {
        try {
            std::rethrow_exception(e);
        } catch (const coded_exit& exit) {
            return exit.code;
        }
    });
    const greenlet child([] { throw coded_exit(11); }, parent);
    EXPECT_EQ(child.switch_to().as<int>(), 11);

    const greenlet takes_any([&](value v) { return holds_exit(v); });
    const greenlet unstarted([] {}, takes_any);
    EXPECT_TRUE(unstarted.raise().as<bool>());

    const greenlet takes_nothing([&] { log("entered"); });
    EXPECT_THROW(greenlet([] { throw greenlet_exit(); }, takes_nothing).switch_to(), copse::bad_value_cast);
    EXPECT_EQ(log.text(), "");
}

// rule 25
TEST_F(GreenletDeath, ArgumentsThenCallableThenDeathThenParent) {
    greenlet g;
    const auto note = [&](const char* what) {
        return copse_test::at_end(
            [&, what] { log(what, greenlet::current() == g ? ":inside" : ":outside", g.dead() ? ":dead" : ""); });
    };
    g = greenlet([&, callable = note("callable")](const copse_test::at_end&) {
        const auto local = note("local");
        return 1;
    });
    g.switch_to(note("argument"));
    log("parent", g.dead() ? ":dead" : "");
    EXPECT_EQ(log.text(), "local:inside argument:inside callable:inside parent:dead");
}

// rule 25
TEST_F(GreenletDeath, CallableMaySwitchInItsDestructorAndTheResultSurvives) {
    greenlet g([&, callable = copse_test::at_end([&] { log("destructor ", to_parent("not yet").as<int>()); })] {
        return "result";
    });
    EXPECT_EQ(g.switch_to().as<std::string>(), "not yet");
    EXPECT_TRUE(g.active());
    EXPECT_EQ(g.switch_to(3).as<std::string>(), "result");
    EXPECT_TRUE(g.dead());
    EXPECT_EQ(log.text(), "destructor 3");
}

// rule 25
TEST_F(GreenletDeath, CallableMaySwitchInItsDestructorAndTheExceptionSurvives) {
    greenlet g([&, callable = copse_test::at_end([] { to_parent("not yet"); })] { throw std::runtime_error("kept"); });
    EXPECT_EQ(g.switch_to().as<std::string>(), "not yet");
    EXPECT_EQ(what_is_thrown_by([&] { g.switch_to(); }), "kept");
}

// rule 26: main is the last resort of every lineage
TEST_F(GreenletDeath, EveryLineageEndsInMain) {
    greenlet g;
    for (int depth = 0; depth < 10; ++depth) g = greenlet([] {}, g);
    const greenlet* up = &g;
    while (!up->is_main()) up = &up->parent();
    EXPECT_EQ(*up, greenlet::current());
}

// rule 27
TEST_F(GreenletDeath, DeadOneKeepsItsParentButNotItsCallable) {
    const auto kept = std::make_shared<int>(0);
    const greenlet parent([] {});
    const greenlet child([kept] { return kept; }, parent);
    parent.switch_to();
    child.switch_to();
    EXPECT_EQ(child.parent(), parent);
    EXPECT_EQ(kept.use_count(), 1);
    EXPECT_EQ(child.stack_usage(), 0U);
    EXPECT_TRUE(child.backtrace().empty());
}

// rule 27
TEST_F(GreenletDeath, DeadOneCanBeReparentedAndForwardsThere) {
    const greenlet child([] {});
    child.switch_to();
    const greenlet next([&](int n) { log("next ", n); });
    child.set_parent(next);
    child.switch_to(4);
    EXPECT_EQ(log.text(), "next 4");
    EXPECT_TRUE(next.dead());
}

// rule 28
TEST_F(GreenletDeath, EndOfTheParentDoesNotTouchItsChildren) {
    greenlet child;
    greenlet parent([&] {
        child = greenlet([&] {
            to_parent();
            log("child");
            return "to the grandparent";
        });
        child.switch_to();
        log("parent");
    });
    parent.switch_to();
    EXPECT_TRUE(parent.dead());
    EXPECT_TRUE(child.active());
    EXPECT_EQ(child.switch_to().as<std::string>(), "to the grandparent");
    EXPECT_EQ(log.text(), "parent child");
}

// E12: the second switch to the dead inner one comes back to the outer, then to main
TEST_F(GreenletDeath, SwitchToADeadInnerOneComesBackToWhoeverIsLeft) {
    greenlet inner;
    greenlet outer([&] {
        inner = greenlet([&] { log("inner"); });
        EXPECT_FALSE(inner.switch_to().has_value());
        log("outer");
        EXPECT_FALSE(inner.switch_to().has_value());
        log("outer");
    });
    outer.switch_to();
    EXPECT_FALSE(inner.switch_to().has_value());
    log("main");
    EXPECT_EQ(log.text(), "inner outer outer main");
}

}  // namespace
