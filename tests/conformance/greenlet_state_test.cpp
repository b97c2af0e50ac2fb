// What a greenlet is, which states it goes through, what it tells about itself. Rules 1 to 10.

#include <copse/greenlet.hpp>
#include <copse/version.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "worker.hpp"

#include <array>
#include <functional>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <unordered_set>
#include <vector>

using copse::greenlet;
using copse::value;
using copse_test::to_parent;

namespace {

class GreenletState : public copse_test::leak_check {};
class GreenletText : public copse_test::leak_check {};
class GreenletHandle : public copse_test::leak_check {};
class GreenletCallable : public copse_test::leak_check {};
class GreenletStack : public copse_test::leak_check {};

std::string state_of(const greenlet& g) {
    std::string text = g.started() ? "started" : "unstarted";
    if (g.active()) text += " active";
    if (g.dead()) text += " dead";
    return text;
}

// rule 1
TEST_F(GreenletState, EachThreadHasOneMain) {
    const greenlet mine = greenlet::current();
    EXPECT_EQ(greenlet::current(), mine);
    greenlet other;
    copse_test::in_thread([&] {
        other = greenlet::current();
        EXPECT_TRUE(other.is_main());
        EXPECT_EQ(greenlet::current(), other);
        EXPECT_FALSE(other == mine);
    });
    EXPECT_EQ(greenlet::current(), mine);
    EXPECT_FALSE(other == mine);
}

// rule 2
TEST_F(GreenletState, MainIsActiveFromBirthAndHasNoParent) {
    copse_test::in_thread([] {
        const greenlet& main = greenlet::current();
        EXPECT_TRUE(main.is_main());
        EXPECT_EQ(state_of(main), "started active");
        EXPECT_TRUE(main.parent().empty());
    });
}

// rule 2
TEST_F(GreenletState, MainIsAnOrdinaryGreenletObject) {
    const greenlet main = greenlet::current();
    greenlet child([] {}, main);
    EXPECT_EQ(child.parent(), main);
    child.switch_to();
    EXPECT_EQ(state_of(main), "started active");
    EXPECT_TRUE(main.switch_to(3).as<int>() == 3);
}

// rule 3
TEST_F(GreenletState, CurrentInABodyIsThatGreenlet) {
    const greenlet main = greenlet::current();
    greenlet child;
    child = greenlet([&] {
        EXPECT_EQ(greenlet::current(), child);
        EXPECT_FALSE(greenlet::current().is_main());
        EXPECT_EQ(greenlet::current().parent(), main);
        EXPECT_TRUE(greenlet::current().parent().parent().empty());
    });
    child.switch_to();
    EXPECT_EQ(greenlet::current(), main);
}

// rule 4
TEST_F(GreenletState, GoesThroughItsStatesOnce) {
    greenlet child;
    child = greenlet([&] {
        log(state_of(child), ",");
        to_parent();
        log(state_of(child), ",");
    });
    log(state_of(child), ",");
    child.switch_to();
    log(state_of(child), ",");
    child.switch_to();
    log(state_of(child), ",");
    child.switch_to();
    log(state_of(child), ".");
    EXPECT_EQ(log.text(), "unstarted, started active, started active, started active, started dead, started dead.");
}

// rule 4
TEST_F(GreenletState, RaisingIntoAnUnstartedOneMakesItDead) {
    const greenlet child([] {});
    child.raise();
    EXPECT_EQ(state_of(child), "started dead");
}

// rule 7
TEST_F(GreenletState, ParentIsWhoCreatesNotWhoSwitchesFirst) {
    greenlet creator;
    greenlet child;
    creator = greenlet([&] {
        child = greenlet([] { return "result"; });
        log(to_parent().as<std::string>());
    });
    creator.switch_to();
    EXPECT_EQ(child.parent(), creator);
    child.switch_to();
    EXPECT_EQ(log.text(), "result");
}

// rule 7
TEST_F(GreenletState, EmptyParentMeansTheCurrentOne) {
    greenlet outer([&] {
        const greenlet a([] {}, greenlet());
        const greenlet b({.name = "b"}, [] {});
        EXPECT_EQ(a.parent(), greenlet::current());
        EXPECT_EQ(b.parent(), greenlet::current());
    });
    outer.switch_to();
}

// rule 7
TEST_F(GreenletState, ParentCanBeGivenAtConstruction) {
    const greenlet a([] {});
    EXPECT_EQ(greenlet([] {}, a).parent(), a);
    EXPECT_EQ(greenlet({.parent = a}, [] {}).parent(), a);
}

// rule 5
TEST_F(GreenletText, NamesTheState) {
    const auto shows = [](const greenlet& g, const std::string& words) {
        const std::string text = to_string(g);
        EXPECT_TRUE(text.ends_with(words + ">")) << text;
    };
    const greenlet main = greenlet::current();
    shows(main, " current active started main");
    greenlet child;
    child = greenlet([&] {
        shows(main, " suspended active started main");
        shows(child, " current active started");
        to_parent();
    });
    shows(child, " pending");
    child.switch_to();
    shows(child, " suspended active started");
    child.switch_to();
    shows(child, " dead");
    for (const char* word : {"active", "started", "suspended", "pending", "current", "main"}) {
        EXPECT_EQ(to_string(child).find(word), std::string::npos) << word;
    }
}

// rule 5
TEST_F(GreenletText, TellsThatTheThreadHasExited) {
    copse_test::worker other;
    greenlet its_main;
    other.run([&] { its_main = greenlet::current(); });
    EXPECT_TRUE(to_string(its_main).ends_with(" suspended active started main>")) << to_string(its_main);
    EXPECT_FALSE(its_main.dead());
    other.finish();
    for (int again = 0; again < 2; ++again) {
        EXPECT_TRUE(to_string(its_main).ends_with(" (thread exited) dead>")) << to_string(its_main);
        EXPECT_TRUE(its_main.dead());
    }
}

TEST_F(GreenletText, ShowsTheNameAndStreams) {
    const greenlet g({.name = "parser"}, [] {});
    std::ostringstream out;
    out << g;
    EXPECT_EQ(out.str(), to_string(g));
    EXPECT_NE(out.str().find("\"parser\""), std::string::npos);
    EXPECT_EQ(to_string(greenlet()), "<greenlet empty>");
}

// rule 6
TEST_F(GreenletHandle, ComparesAndHashesByIdentity) {
    const greenlet a([] {});
    const greenlet b([] {});
    const greenlet& same = a;
    const greenlet copy = a;
    EXPECT_TRUE(a == same && a == copy);
    EXPECT_FALSE(a == b);
    EXPECT_EQ(std::hash<greenlet>()(a), std::hash<greenlet>()(copy));
    const std::unordered_set<greenlet> distinct{a, b, copy, greenlet(), greenlet()};
    EXPECT_EQ(distinct.size(), 3U);
}

// rule 6
TEST_F(GreenletHandle, CopyingSharesTheGreenlet) {
    greenlet a([&] { log("ran"); });
    greenlet b = a;
    a = greenlet();
    b.switch_to();
    EXPECT_TRUE(b.dead());
    EXPECT_EQ(log.text(), "ran");
    a = b;
    EXPECT_TRUE(a.dead());
}

TEST_F(GreenletHandle, EmptyOneIsRefusedByEverything) {
    const greenlet none;
    EXPECT_TRUE(none.empty());
    EXPECT_FALSE(static_cast<bool>(none));
    const greenlet g([] {});
    const std::vector<std::function<void()>> uses{
        [&] { none.switch_to(); },   [&] { none.switch_to(1); }, [&] { none.raise(); },
        [&] { none.raise(1); },      [&] { none.parent(); },     [&] { none.set_parent(g); },
        [&] { g.set_parent(none); }, [&] { none.started(); },    [&] { none.active(); },
        [&] { none.dead(); },        [&] { none.is_main(); },    [&] { none.name(); },
        [&] { none.set_name("x"); }, [&] { none.id(); },         [&] { none.stack_usage(); },
        [&] { none.backtrace(); }};
    for (const auto& use : uses) EXPECT_THROW(use(), copse::empty_handle) << &use - uses.data();
}

TEST_F(GreenletHandle, MovedFromOneIsEmpty) {
    greenlet a([] {});
    const greenlet b = std::move(a);
    EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): the state is documented
    EXPECT_TRUE(static_cast<bool>(b));
    EXPECT_THROW(a.switch_to(), copse::empty_handle);
}

TEST_F(GreenletHandle, NamesAreFreeAndNumbersAreUnique) {
    const greenlet a({.name = "first"}, [] {});
    const greenlet b([] {});
    EXPECT_EQ(a.name(), "first");
    EXPECT_EQ(b.name(), "");
    b.set_name("first");
    EXPECT_EQ(b.name(), "first");
    b.set_name("");
    EXPECT_EQ(b.name(), "");
    const std::set<std::uint64_t> ids{a.id(), b.id(), greenlet([] {}).id(), greenlet([] {}).id(),
                                      greenlet::current().id()};
    EXPECT_EQ(ids.size(), 5U);
}

// rule 8: a null callable is refused when the greenlet is made
TEST_F(GreenletCallable, NullIsRefused) {
    void (*function)() = nullptr;
    EXPECT_THROW(greenlet(function, greenlet()), copse::null_callable);
    EXPECT_THROW(greenlet{function}, copse::null_callable);
    EXPECT_THROW(greenlet(std::function<void()>()), copse::null_callable);
    EXPECT_THROW(greenlet({.name = "n"}, std::function<value(value)>()), copse::null_callable);
}

void plain_function(int n) { to_parent(n + 1); }

struct counter {
    int calls = 0;
    int operator()() { return ++calls; }
};

TEST_F(GreenletCallable, MayBeAnythingThatCanBeCalled) {
    greenlet function(plain_function);
    EXPECT_EQ(function.switch_to(1).as<int>(), 2);
    greenlet pointer(&plain_function);
    EXPECT_EQ(pointer.switch_to(2).as<int>(), 3);
    greenlet object{counter{41}};
    EXPECT_EQ(object.switch_to().as<int>(), 42);
    greenlet generic([](auto first) { return first; });
    EXPECT_EQ(generic.switch_to(5).as<int>(), 5);
    greenlet movable([owned = std::make_unique<int>(3)] { return *owned; });
    EXPECT_EQ(movable.switch_to().as<int>(), 3);
    struct alignas(64) wide {
        std::array<char, 64> room{};
    };
    greenlet aligned([w = wide()] { return reinterpret_cast<std::uintptr_t>(&w) % 64; });
    EXPECT_EQ(aligned.switch_to().as<std::uintptr_t>(), 0U);
}

// rule 9
TEST_F(GreenletCallable, WrongPayloadEndsTheGreenletAndReachesItsParent) {
    greenlet number([&](int) { log("entered"); });
    EXPECT_EQ(copse_test::what_is_thrown_by([&] { number.switch_to("text"); }),
              "value holds std::string, asked for int");
    EXPECT_TRUE(number.dead());

    greenlet pair([&](int, int) { log("entered"); });
    EXPECT_THROW(pair.switch_to(1), copse::bad_value_cast);
    EXPECT_TRUE(pair.dead());

    greenlet nothing([&] { log("entered"); });
    EXPECT_THROW(nothing.switch_to(1), copse::bad_value_cast);
    EXPECT_TRUE(nothing.dead());

    greenlet something([&](int) { log("entered"); });
    EXPECT_THROW(something.switch_to(), copse::bad_value_cast);
    EXPECT_EQ(log.text(), "");
}

// rule 9: it is the parent that learns of it, not the caller
TEST_F(GreenletCallable, WrongPayloadIsNotToldToTheCaller) {
    greenlet parent;
    greenlet child;
    parent = greenlet([&] {
        child = greenlet([](int) {});
        log(copse_test::what_is_thrown_by([] { to_parent(); }));
    });
    parent.switch_to();
    EXPECT_NO_THROW(child.switch_to("text"));
    EXPECT_EQ(log.text(), "value holds std::string, asked for int");
}

// rule 10
TEST_F(GreenletCallable, DroppingAnUnstartedOneRunsNothingButDestructors) {
    greenlet g([&, last = copse_test::at_end([&] {
                       log("destroyed in ", greenlet::current().is_main() ? "main" : "another");
                   })] { log("ran"); });
    log("drop");
    g = greenlet();
    log("after");
    EXPECT_EQ(log.text(), "drop destroyed in main after");
}

[[gnu::noinline]] int use_stack(int pages) {
    volatile char page[4096] = {};
    page[0] = 1;
    return pages > 1 ? use_stack(pages - 1) + page[0] : page[0];
}

TEST_F(GreenletStack, UsageIsZeroUnlessActive) {
    const greenlet main = greenlet::current();
    greenlet g([] {
        to_parent();
        use_stack(30);
        to_parent();
    });
    EXPECT_EQ(main.stack_usage(), 0U);
    EXPECT_EQ(g.stack_usage(), 0U);
    g.switch_to();
    const std::size_t shallow = g.stack_usage();
    EXPECT_GT(shallow, 0U);
    g.switch_to();
    EXPECT_GE(g.stack_usage(), shallow);
    EXPECT_GE(g.stack_usage(), 100'000U);
    g.switch_to();
    EXPECT_EQ(g.stack_usage(), 0U);
}

TEST_F(GreenletStack, MoreThanTheMaximumIsRefused) {
    EXPECT_THROW(greenlet({.stack_size = std::size_t{1} << 40}, [] {}), std::invalid_argument);
}

int factorial_while_suspended(int n);
int (*volatile next_level)(int) = &factorial_while_suspended;  // keeps the compiler from making it a loop

int factorial_while_suspended(int n) { return n == 0 ? to_parent().as<int>() : n * next_level(n - 1); }

TEST_F(GreenletStack, BacktraceShowsTheFramesOfASuspendedOne) {
    const auto frames_at_depth = [](int depth) {
        greenlet g([depth] { return factorial_while_suspended(depth); });
        EXPECT_TRUE(g.backtrace().empty());
        g.switch_to();
        const std::size_t frames = g.backtrace().size();
        EXPECT_EQ(g.backtrace().size(), frames);
        EXPECT_EQ(g.switch_to(10).as<int>(), depth == 5 ? 1200 : 10);
        EXPECT_TRUE(g.backtrace().empty());
        return frames;
    };
    const std::size_t flat = frames_at_depth(0);
    EXPECT_GT(flat, 0U);
    EXPECT_EQ(frames_at_depth(5), flat + 5);
}

TEST_F(GreenletStack, BacktraceOfTheCurrentOneIsItsOwn) {
    greenlet g([] { EXPECT_FALSE(greenlet::current().backtrace().empty()); });
    g.switch_to();
}

TEST(GreenletVersion, NumbersAndTextAgree) {
    EXPECT_EQ(std::to_string(copse::version_major) + "." + std::to_string(copse::version_minor) + "." +
                  std::to_string(copse::version_patch),
              copse::version_string);
}

}  // namespace
