// Changing parents. Rules 37 to 40.

#include <copse/greenlet.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "worker.hpp"

#include <string>

using copse::greenlet;
using copse_test::to_parent;
using copse_test::what_is_thrown_by;

namespace {

class GreenletParent : public copse_test::leak_check {};

// rule 37
TEST_F(GreenletParent, EmptyOneIsRefused) {
    const greenlet g([] {});
    EXPECT_THROW(g.set_parent(greenlet()), copse::empty_handle);
    EXPECT_EQ(g.parent(), greenlet::current());
}

// rules 2, 37
TEST_F(GreenletParent, MainRefusesEveryParent) {
    const greenlet main = greenlet::current();
    const greenlet g([] {});
    EXPECT_THROW(main.set_parent(g), copse::parent_of_main);
    EXPECT_THROW(main.set_parent(main), copse::parent_of_main) << "checked before the cycle";
    EXPECT_THROW(main.set_parent(greenlet()), copse::parent_of_main) << "nor can it be cleared";
    EXPECT_TRUE(main.parent().empty());
}

// rule 37
TEST_F(GreenletParent, ItselfIsACycle) {
    const greenlet g([] {});
    EXPECT_THROW(g.set_parent(g), copse::parent_cycle);
    EXPECT_EQ(g.parent(), greenlet::current());
}

// rule 37
TEST_F(GreenletParent, DescendantIsACycle) {
    const greenlet a([] {});
    const greenlet b([] {}, a);
    const greenlet c([] {}, b);
    EXPECT_THROW(a.set_parent(c), copse::parent_cycle);
    EXPECT_THROW(a.set_parent(b), copse::parent_cycle);
    EXPECT_EQ(a.parent(), greenlet::current());
    c.set_parent(a);
    b.set_parent(c);
    EXPECT_EQ(b.parent(), c);
}

// rule 37
TEST_F(GreenletParent, MyDescendantIsACycleWhileIRun) {
    greenlet g([&] {
        const greenlet child([] {});
        const greenlet grandchild([] {}, child);
        EXPECT_THROW(greenlet::current().set_parent(grandchild), copse::parent_cycle);
        EXPECT_TRUE(greenlet::current().parent().is_main());
    });
    g.switch_to();
}

// rule 38
TEST_F(GreenletParent, DeadAndUnstartedOnesAreLegal) {
    const greenlet dead([] {});
    dead.switch_to();
    const greenlet unstarted([](int n) { return n * 2; });
    const greenlet a([] { return 1; }, dead);
    EXPECT_EQ(a.switch_to().as<int>(), 1);
    const greenlet b([] { return 2; });
    b.set_parent(unstarted);
    EXPECT_EQ(b.switch_to().as<int>(), 4);
    dead.set_parent(b);
    EXPECT_EQ(dead.parent(), b);
}

// rule 38
TEST_F(GreenletParent, SetBeforeTheSwitchDecidesWhereControlReturns) {
    const greenlet outer([&] {
        const greenlet child([&] { log("child"); }, greenlet::current().parent());
        child.set_parent(greenlet::current());
        child.switch_to();
        log("outer");
        return 1;
    });
    EXPECT_EQ(outer.switch_to().as<int>(), 1);
    EXPECT_EQ(log.text(), "child outer");
}

// Rules 39 and 53 do not apply: a greenlet belongs to the thread that made it, whatever its state.
TEST_F(GreenletParent, FromAnotherThreadIsRefused) {
    copse_test::worker other;
    greenlet foreign;
    greenlet foreign_main;
    other.run([&] {
        foreign = greenlet([] {});
        foreign_main = greenlet::current();
    });
    const greenlet unstarted([] {});
    const greenlet started([] { to_parent(); });
    started.switch_to();
    for (const greenlet* g : {&unstarted, &started}) {
        EXPECT_THROW(g->set_parent(foreign), copse::wrong_thread);
        EXPECT_THROW(g->set_parent(foreign_main), copse::wrong_thread);
        EXPECT_EQ(g->parent(), greenlet::current());
    }
    EXPECT_THROW(foreign.set_parent(greenlet::current()), copse::wrong_thread);
    EXPECT_THROW(greenlet([] {}, foreign_main), copse::wrong_thread);
    EXPECT_THROW(greenlet({.parent = foreign}, [] {}), copse::wrong_thread);
    other.run([&] { foreign = greenlet(); });
}

TEST_F(GreenletParent, FromAnExitedThreadIsRefused) {
    greenlet foreign;
    greenlet foreign_main;
    copse_test::in_thread([&] {
        foreign = greenlet([] {});
        foreign_main = greenlet::current();
    });
    const greenlet mine([] {});
    EXPECT_THROW(mine.set_parent(foreign_main), copse::thread_exited);
    EXPECT_THROW(mine.set_parent(foreign), copse::thread_exited);
    EXPECT_THROW(greenlet([] {}, foreign_main), copse::thread_exited);
    EXPECT_THROW(greenlet({.parent = foreign}, [] {}), copse::thread_exited);
    EXPECT_EQ(mine.parent(), greenlet::current());
}

// rule 40
TEST_F(GreenletParent, IsKeptAliveByItsChild) {
    greenlet child;
    {
        const greenlet parent([](int n) { return n + 1; });
        child = greenlet([] { return 1; }, parent);
    }
    EXPECT_FALSE(child.parent().empty());
    EXPECT_EQ(child.switch_to().as<int>(), 2);
}

// rule 40
TEST_F(GreenletParent, ReplacedOneIsKilledDuringTheAssignment) {
    greenlet child;
    {
        greenlet parent([&] {
            const copse_test::at_end last([&] { log("killed"); });
            to_parent();
        });
        parent.switch_to();
        child = greenlet([] {}, parent);
    }
    log("before");
    child.set_parent(greenlet::current());
    log("after");
    EXPECT_EQ(log.text(), "before killed after");
    EXPECT_EQ(child.parent(), greenlet::current());
}

TEST_F(GreenletParent, SettingTheSameOneAgainIsHarmless) {
    greenlet child;
    {
        const greenlet parent([] {});
        child = greenlet([] {}, parent);
    }
    const greenlet parent = child.parent();
    child.set_parent(parent);
    child.set_parent(child.parent());
    EXPECT_EQ(child.parent(), parent);
}

}  // namespace
