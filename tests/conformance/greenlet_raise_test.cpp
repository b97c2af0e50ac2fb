// Entering a greenlet by throwing there. Rules 29 to 36.

#include <copse/greenlet.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"

#include <memory>
#include <stdexcept>
#include <string>

using copse::greenlet;
using copse::greenlet_exit;
using copse_test::holds_exit;
using copse_test::to_parent;
using copse_test::what_is_thrown_by;

namespace {

class GreenletRaise : public copse_test::leak_check {};

TEST_F(GreenletRaise, ExceptionIsCaughtInsideAndTheGreenletGoesOn) {
    greenlet g([&] {
        try {
            to_parent("ready");
        } catch (const std::runtime_error& e) {
            log("caught ", e.what());
            to_parent("caught");
        }
        return "end";
    });
    EXPECT_EQ(g.switch_to().as<std::string>(), "ready");
    EXPECT_EQ(g.raise(std::runtime_error("ciao")).as<std::string>(), "caught");
    EXPECT_TRUE(g.active());
    EXPECT_EQ(g.switch_to().as<std::string>(), "end");
    EXPECT_EQ(log.text(), "caught ciao");
}

TEST_F(GreenletRaise, TakesAnyExceptionObjectOrAPointerToOne) {
    const auto arrives = [](auto&& thrown) {
        greenlet g([] { return what_is_thrown_by([] { to_parent(); }); });
        g.switch_to();
        return g.raise(std::forward<decltype(thrown)>(thrown)).template as<std::string>();
    };
    EXPECT_EQ(arrives(5), "int 5");
    EXPECT_EQ(arrives(std::runtime_error("by type")), "by type");
    EXPECT_EQ(arrives(std::make_exception_ptr(std::logic_error("by pointer"))), "by pointer");
    EXPECT_EQ(arrives(greenlet_exit()), "greenlet_exit");
    EXPECT_EQ(arrives(copse::wrong_thread("exported")), "exported");
}

// rule 29
TEST_F(GreenletRaise, WithoutArgumentIsExit) {
    greenlet g([&] {
        try {
            to_parent();
        } catch (const greenlet_exit& e) {
            log(e.what());
            throw;
        }
    });
    g.switch_to();
    EXPECT_TRUE(holds_exit(g.raise()));
    EXPECT_TRUE(g.dead());
    EXPECT_TRUE(holds_exit(g.raise())) << "a dead one gives it back";
    EXPECT_EQ(log.text(), "greenlet_exit");
}

TEST_F(GreenletRaise, ExitIsNotAStdException) {
    static_assert(!std::is_base_of_v<std::exception, greenlet_exit>);
    static_assert(std::is_base_of_v<std::logic_error, copse::error>);
    greenlet g([&] {
        try {
            to_parent();
        } catch (const std::exception&) {
            log("wrongly caught");
        }
    });
    g.switch_to();
    EXPECT_TRUE(holds_exit(g.raise()));
    EXPECT_EQ(log.text(), "");
}

// rule 30
TEST_F(GreenletRaise, UnstartedOneNeverRuns) {
    greenlet g([&] { log("ran"); });
    EXPECT_EQ(what_is_thrown_by([&] { g.raise(std::runtime_error("x")); }), "x");
    EXPECT_TRUE(g.dead());
    greenlet h([&] { log("ran"); });
    EXPECT_TRUE(holds_exit(h.raise()));
    EXPECT_TRUE(h.dead());
    EXPECT_EQ(log.text(), "");
}

// rule 30
TEST_F(GreenletRaise, IntoUnstartedGoesToItsParentNotToTheCaller) {
    const greenlet main = greenlet::current();
    greenlet target([&] { log("ran"); }, main);
    greenlet caller([&] {
        try {
            target.raise(std::runtime_error("to main"));
        } catch (...) {
            log("wrongly caught");
        }
    });
    EXPECT_EQ(what_is_thrown_by([&] { caller.switch_to(); }), "to main");
    EXPECT_TRUE(caller.active());
    EXPECT_EQ(log.text(), "");
}

// rule 30
TEST_F(GreenletRaise, ExitIntoUnstartedComesBackAsAValueToItsParent) {
    const greenlet main = greenlet::current();
    greenlet target([] {}, main);
    greenlet caller([&] { target.raise(); });
    EXPECT_TRUE(holds_exit(caller.switch_to()));
    EXPECT_TRUE(caller.active());
}

// rule 31
TEST_F(GreenletRaise, IntoSuspendedThatDiesGoesToItsParentNotToTheCaller) {
    const greenlet main = greenlet::current();
    greenlet target([] { to_parent(); });
    target.switch_to();
    greenlet caller([&] {
        try {
            target.raise(std::runtime_error("to main"));
        } catch (...) {
            log("wrongly caught");
        }
    });
    EXPECT_EQ(what_is_thrown_by([&] { caller.switch_to(); }), "to main");
    EXPECT_TRUE(target.dead());
    EXPECT_TRUE(caller.active());
    EXPECT_EQ(log.text(), "");
}

// rule 31
TEST_F(GreenletRaise, IntoSuspendedThatCatchesResumesTheCallerWhenSomeoneSwitchesToIt) {
    greenlet caller;
    greenlet target([&] {
        try {
            to_parent();
        } catch (int n) {
            log("target caught ", n);
            caller.switch_to("answer");
        }
    });
    target.switch_to();
    caller = greenlet([&] { log("caller got ", target.raise(4).as<std::string>()); });
    caller.switch_to();
    EXPECT_EQ(log.text(), "target caught 4 caller got answer");
    EXPECT_TRUE(target.active());
}

// rule 32
TEST_F(GreenletRaise, IntoDeadForwardsToTheNearestLivingAncestor) {
    greenlet child;
    greenlet parent([&] {
        child = greenlet([] {});
        child.switch_to();
        log("parent: ", what_is_thrown_by([] { to_parent(); }));
        log("parent: ", holds_exit(to_parent()) ? "exit as a value" : "?");
    });
    parent.switch_to();
    child.raise(std::runtime_error("E"));
    child.raise();
    EXPECT_EQ(log.text(), "parent: E parent: exit as a value");
    EXPECT_TRUE(holds_exit(child.raise()));
    EXPECT_EQ(what_is_thrown_by([&] { child.raise(3); }), "int 3");
}

// rule 33
TEST_F(GreenletRaise, IntoTheCurrentOneThrowsRightHere) {
    EXPECT_EQ(what_is_thrown_by([] { greenlet::current().raise(1); }), "int 1");
    EXPECT_EQ(what_is_thrown_by([] { greenlet::current().raise(); }), "greenlet_exit");
    greenlet caught([&] {
        log(what_is_thrown_by([] { greenlet::current().raise(2); }));
        log(what_is_thrown_by([] { greenlet::current().raise(); }));
    });
    caught.switch_to();
    EXPECT_EQ(log.text(), "int 2 greenlet_exit");
    greenlet uncaught([&] {
        greenlet::current().raise();
        log("never");
    });
    EXPECT_TRUE(holds_exit(uncaught.switch_to()));
    EXPECT_EQ(log.text(), "int 2 greenlet_exit");
}

// rule 34
TEST_F(GreenletRaise, MainMayBeTheTarget) {
    const greenlet main = greenlet::current();
    greenlet g([&] { log("resumed with ", main.raise(std::runtime_error("to main")).as<int>()); });
    EXPECT_EQ(what_is_thrown_by([&] { g.switch_to(); }), "to main");
    EXPECT_TRUE(g.active());
    g.switch_to(6);
    EXPECT_EQ(log.text(), "resumed with 6");
}

// rule 35
TEST_F(GreenletRaise, NullPointerIsRefusedBeforeAnythingMoves) {
    greenlet suspended([] { return to_parent().as<int>(); });
    suspended.switch_to();
    EXPECT_THROW(suspended.raise(std::exception_ptr()), std::invalid_argument);
    EXPECT_TRUE(suspended.active());
    EXPECT_EQ(suspended.switch_to(5).as<int>(), 5);
    greenlet unstarted([] {});
    EXPECT_THROW(unstarted.raise(std::exception_ptr()), std::invalid_argument);
    EXPECT_FALSE(unstarted.started());
}

// rule 36
TEST_F(GreenletRaise, ObjectKeepsItsIdentity) {
    const auto thrown = std::make_exception_ptr(std::runtime_error("x"));
    greenlet catches([&] {
        try {
            to_parent();
        } catch (...) {
            EXPECT_EQ(std::current_exception(), thrown);
            throw;
        }
    });
    catches.switch_to();
    try {
        catches.raise(thrown);
    } catch (...) {
        EXPECT_EQ(std::current_exception(), thrown);
    }
    const auto exit = std::make_exception_ptr(greenlet_exit());
    greenlet quiet([] { to_parent(); });
    quiet.switch_to();
    EXPECT_EQ(quiet.raise(exit).as<std::exception_ptr>(), exit);
}

// rule 36: what the thrower handles is its own
TEST_F(GreenletRaise, ThrowersHandledExceptionStaysBehind) {
    greenlet target([&] {
        try {
            to_parent();
        } catch (int n) {
            log("target ", n);
            EXPECT_EQ(what_is_thrown_by([] { throw; }), "int 2");
        }
        EXPECT_EQ(std::current_exception(), nullptr);
    });
    target.switch_to();
    try {
        throw 1;
    } catch (int n) {
        target.raise(2);
        log("thrower ", n);
        EXPECT_EQ(what_is_thrown_by([] { throw; }), "int 1");
    }
    EXPECT_EQ(log.text(), "target 2 thrower 1");
}

TEST_F(GreenletRaise, HelperWhoseParentIsGRaisesIntoG) {
    const greenlet main = greenlet::current();
    greenlet g([&] { log("g: ", what_is_thrown_by([&] { main.switch_to(); })); });
    g.switch_to();
    greenlet helper([] { throw std::runtime_error("sent"); }, g);
    helper.switch_to();
    EXPECT_EQ(log.text(), "g: sent");
    EXPECT_TRUE(g.dead());
}

TEST_F(GreenletRaise, ThreeWaysToTheOriginalParent) {
    const greenlet main = greenlet::current();
    for (const bool started : {false, true}) {
        greenlet first;
        greenlet second([&] {
            if (started) main.switch_to();
        });
        if (started) second.switch_to();
        first = greenlet([&] {
            try {
                second.raise(std::logic_error("for main"));
            } catch (const std::logic_error&) {
                log("wrongly caught");
            }
        });
        EXPECT_EQ(what_is_thrown_by([&] { first.switch_to(); }), "for main");
        EXPECT_TRUE(second.dead());
        EXPECT_FALSE(first.dead());
    }
    greenlet second;
    greenlet first([&] {
        second = greenlet([] {}, greenlet::current());
        second.raise(std::logic_error("for first"));
    });
    EXPECT_EQ(what_is_thrown_by([&] { first.switch_to(); }), "for first");
    EXPECT_TRUE(first.dead() && second.dead());
    EXPECT_EQ(log.text(), "");
}

// User code that throws and catches for itself while an exception is on its way does not lose it.
TEST_F(GreenletRaise, DestructorThatThrowsAndCatchesLosesNothing) {
    const auto noisy = [&] { return copse_test::at_end([&] { log(what_is_thrown_by([] { throw 7; })); }); };
    greenlet unstarted([callable = noisy()] {});
    EXPECT_EQ(what_is_thrown_by([&] { unstarted.raise(std::runtime_error("thrown in")); }), "thrown in");
    greenlet suspended([callable = noisy(), &noisy] {
        const auto local = noisy();
        to_parent();
    });
    suspended.switch_to();
    EXPECT_EQ(what_is_thrown_by([&] { suspended.raise(std::runtime_error("thrown in")); }), "thrown in");
    EXPECT_EQ(log.text(), "int 7 int 7 int 7");
}

// E9: an endless loop, ended in three ways
TEST_F(GreenletRaise, EndsAnEndlessLoop) {
    const auto loop = [] {
        for (;;) to_parent();
    };
    greenlet a(loop);
    a.switch_to();
    EXPECT_TRUE(holds_exit(a.raise()));
    greenlet b(loop);
    b.switch_to();
    EXPECT_THROW(b.raise(std::domain_error("d")), std::domain_error);
    greenlet c([&] {
        try {
            loop();
        } catch (const std::domain_error&) {
            return "caught";
        }
        return "left the loop";
    });
    c.switch_to();
    EXPECT_EQ(c.raise(std::domain_error("d")).as<std::string>(), "caught");
}

}  // namespace
