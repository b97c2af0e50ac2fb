// Watching switches. Rules 15, 59 to 63; a trace function that switches or throws meets every other rule as well.

#include <copse/greenlet.hpp>
#include <copse/trace.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "trace_recorder.hpp"
#include "worker.hpp"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

using copse::greenlet;
using copse::set_trace;
using copse::trace_event;
using copse::trace_function;
using copse_test::label;
using copse_test::to_parent;
using copse_test::trace_recorder;
using copse_test::what_is_thrown_by;

namespace {

class GreenletTrace : public copse_test::leak_check {};

template <class F>
greenlet named(const char* name, F&& body) {
    return greenlet({.name = name, .parent = {}}, std::forward<F>(body));
}

// rule 59
TEST_F(GreenletTrace, SetAndCurrentGiveTheOneBefore) {
    EXPECT_FALSE(copse::current_trace());
    int marker = 0;
    EXPECT_FALSE(set_trace([&marker](trace_event, const greenlet&, const greenlet&) { marker = 1; }));
    EXPECT_TRUE(copse::current_trace());
    greenlet([] {}).switch_to();
    EXPECT_EQ(marker, 1);
    const trace_function before = set_trace({});
    ASSERT_TRUE(before);
    marker = 0;
    before(trace_event::switched, greenlet::current(), greenlet::current());
    EXPECT_EQ(marker, 1);
    EXPECT_FALSE(copse::current_trace());
}

// rule 59
TEST_F(GreenletTrace, SettingTheSameTwiceIsHarmless) {
    int calls = 0;
    const trace_function trace = [&](trace_event, const greenlet&, const greenlet&) { ++calls; };
    set_trace(trace);
    set_trace(trace);
    greenlet([] {}).switch_to();
    set_trace({});
    EXPECT_EQ(calls, 2);
    greenlet([] {}).switch_to();
    EXPECT_EQ(calls, 2);
}

// rule 59
TEST_F(GreenletTrace, SetInsideAGreenletStaysForTheThread) {
    std::optional<trace_recorder> recorder;
    greenlet g = named("g", [&] { recorder.emplace(log); });
    g.switch_to();
    named("h", [] {}).switch_to();
    recorder.reset();
    EXPECT_EQ(log.text(), "switched:g>main switched:main>h switched:h>main");
}

// rule 59
TEST_F(GreenletTrace, IsPerThread) {
    const trace_recorder recorder(log);
    copse_test::in_thread([] {
        EXPECT_FALSE(copse::current_trace());
        greenlet([] {}).switch_to();
    });
    EXPECT_EQ(log.text(), "");
}

// rule 60
TEST_F(GreenletTrace, RunsInTheTargetAfterControlHasMoved) {
    greenlet g = named("g", [] { to_parent(); });
    set_trace([&](trace_event, const greenlet& from, const greenlet& to) {
        EXPECT_EQ(greenlet::current(), to);
        EXPECT_FALSE(from == to);
        log(label(to));
    });
    g.switch_to();
    g.switch_to();
    set_trace({});
    EXPECT_EQ(log.text(), "g main g main");
}

// rules 60, 61
TEST_F(GreenletTrace, TellsValuesFromExceptions) {
    const trace_recorder recorder(log);
    greenlet a = named("a", [] { to_parent(); });
    a.switch_to();
    a.switch_to();
    EXPECT_EQ(log.take(), "switched:main>a switched:a>main switched:main>a switched:a>main");
    greenlet b = named("b", [] { throw 1; });
    EXPECT_THROW(b.switch_to(), int);
    EXPECT_EQ(log.take(), "switched:main>b raised:b>main");
    greenlet c = named("c", [] {
        try {
            to_parent();
        } catch (int) {}
    });
    c.switch_to();
    c.raise(1);
    EXPECT_EQ(log.take(), "switched:main>c switched:c>main raised:main>c switched:c>main");
}

// rule 61
TEST_F(GreenletTrace, DeathByExitIsASwitch) {
    const trace_recorder recorder(log);
    greenlet g = named("g", [] { to_parent(); });
    g.switch_to();
    log.take();
    g.raise();
    EXPECT_EQ(log.text(), "raised:main>g switched:g>main");
}

// rule 61
TEST_F(GreenletTrace, KillIsARaiseAndASwitchBack) {
    const trace_recorder recorder(log);
    greenlet g = named("g", [&] { to_parent(); });
    g.switch_to();
    log.take();
    g = greenlet();
    EXPECT_EQ(log.text(), "raised:main>g switched:g>main");
}

// rule 61
TEST_F(GreenletTrace, SkippedDeadAncestorsDoNotAppear) {
    greenlet dead = named("dead", [] {});
    dead.switch_to();
    const trace_recorder recorder(log);
    greenlet g({.name = "g", .parent = dead}, [] {});
    g.switch_to();
    EXPECT_EQ(log.text(), "switched:main>g switched:g>main");
}

// rules 15, 61
TEST_F(GreenletTrace, SwitchToMyselfIsOneEvent) {
    greenlet dead = named("dead", [] {});
    dead.switch_to();
    const trace_recorder recorder(log);
    greenlet::current().switch_to(1);
    dead.switch_to(2);
    EXPECT_THROW(greenlet::current().raise(3), int);
    EXPECT_EQ(log.text(), "switched:main>main switched:main>main raised:main>main");
}

// rule 61
TEST_F(GreenletTrace, RaiseIntoAnUnstartedOneGoesStraightToItsParent) {
    const trace_recorder recorder(log);
    greenlet parent = named("parent", [&] {
        greenlet child = named("child", [] {});
        EXPECT_THROW(child.raise(1), int);
    });
    parent.switch_to();
    EXPECT_EQ(log.text(), "switched:main>parent raised:parent>parent switched:parent>main");
}

// E16
TEST_F(GreenletTrace, SixTransfersBetweenTwo) {
    greenlet a;
    greenlet b;
    a = named("a", [&] {
        b.switch_to();
        b.switch_to();
    });
    b = named("b", [&] {
        a.switch_to();
        a.switch_to();
    });
    {
        const trace_recorder recorder(log);
        a.switch_to();
        b.switch_to();
    }
    EXPECT_EQ(log.text(), "switched:main>a switched:a>b switched:b>a switched:a>b switched:b>a switched:a>main "
                          "switched:main>b switched:b>main");
}

// rule 62
TEST_F(GreenletTrace, ThrowingOneIsRemovedAndReplacesTheValue) {
    greenlet g([&] {
        log("ran");
        log(what_is_thrown_by([] { to_parent(); }));
    });
    g.switch_to();
    log.take();
    set_trace([](trace_event, const greenlet&, const greenlet&) { throw std::runtime_error("trace"); });
    g.switch_to("lost");
    EXPECT_FALSE(copse::current_trace());
    EXPECT_EQ(log.text(), "trace");
    EXPECT_TRUE(g.dead());
}

// rule 62
TEST_F(GreenletTrace, ThrowingOneReplacesTheException) {
    greenlet g([&] { log(what_is_thrown_by([] { to_parent(); })); });
    g.switch_to();
    set_trace([](trace_event, const greenlet&, const greenlet&) { throw std::runtime_error("trace"); });
    g.raise(std::runtime_error("lost"));
    EXPECT_EQ(log.text(), "trace");
}

// rule 62
TEST_F(GreenletTrace, ThrowingOneAtTheFirstEntryKeepsTheBodyFromRunning) {
    greenlet g([&] { log("ran"); });
    set_trace([](trace_event, const greenlet&, const greenlet&) { throw std::runtime_error("trace"); });
    EXPECT_EQ(what_is_thrown_by([&] { g.switch_to(); }), "trace");
    EXPECT_TRUE(g.dead());
    EXPECT_EQ(log.text(), "");
    EXPECT_FALSE(copse::current_trace());
}

// rule 62
TEST_F(GreenletTrace, ThrowingOneOnTheWayBackArrivesInTheSwitch) {
    set_trace([](trace_event, const greenlet&, const greenlet& to) {
        if (to.is_main()) throw std::runtime_error("trace");
    });
    greenlet g([&] { log("ran"); });
    EXPECT_EQ(what_is_thrown_by([&] { g.switch_to(); }), "trace");
    EXPECT_TRUE(g.dead());
    EXPECT_EQ(log.text(), "ran");
    EXPECT_FALSE(copse::current_trace());
}

// rule 62
TEST_F(GreenletTrace, ThrowingOneDuringAKillIsSeenInsteadOfTheExit) {
    const copse_test::error_recorder errors;
    greenlet g([&] { log(what_is_thrown_by([] { to_parent(); })); });
    g.switch_to();
    set_trace([](trace_event, const greenlet&, const greenlet&) { throw std::runtime_error("trace"); });
    g = greenlet();
    EXPECT_EQ(log.text(), "trace");
    EXPECT_EQ(errors.count(), 0U);
    EXPECT_FALSE(copse::current_trace());
}

// rule 63
TEST_F(GreenletTrace, MaySwitchAndTheInterruptedArrivalKeepsItsPayload) {
    bool once = true;
    greenlet other = named("other", [&](const std::string& arg) { log("other:", arg); });
    greenlet g = named("g", [&](int n) { log("g:", n); });
    other.set_parent(g);
    set_trace([&](trace_event, const greenlet& from, const greenlet& to) {
        log(label(from), ">", label(to));
        if (std::exchange(once, false)) other.switch_to("noise");
    });
    g.switch_to(5);
    set_trace({});
    EXPECT_EQ(log.text(), "main>g g>other other:noise other>g g:5 g>main");
}

// Rules 16, 63: the trace function switches to a second greenlet in the middle of the first one's start.
TEST_F(GreenletTrace, ReentrantSwitchOfTwo) {
    greenlet second = named("second", [&] {
        log("second");
        to_parent();
        log("second");
    });
    greenlet first = named("first", [&] { log("first"); });
    bool once = true;
    set_trace([&](trace_event, const greenlet&, const greenlet&) {
        if (std::exchange(once, false)) second.switch_to();
    });
    first.switch_to();
    log("main");
    second.switch_to();
    log("main");
    first.switch_to();
    log("main");
    set_trace({});
    EXPECT_EQ(log.text(), "second main second main first main");
    EXPECT_TRUE(first.dead() && second.dead());
}

// Rules 16, 63: while the first one's start is interrupted, main sends it something that its body cannot take. That is what the
// interrupting switch returns; the start keeps what it was started with.
TEST_F(GreenletTrace, ReentrantSwitchOfThreeWithSomethingElseSentMeanwhile) {
    greenlet second = named("second", [&] { to_parent("from second"); });
    greenlet first = named("first", [&](int n) { log("first ", n); });
    bool once = true;
    set_trace([&](trace_event, const greenlet&, const greenlet&) {
        if (std::exchange(once, false)) log("trace got ", second.switch_to().as<std::string>());
    });
    EXPECT_EQ(first.switch_to(1).as<std::string>(), "from second");
    first.switch_to("not a number");
    set_trace({});
    EXPECT_EQ(log.text(), "trace got not a number first 1");
}

// The same with everything written down.
TEST_F(GreenletTrace, ReentrantSwitchOfThreeInFull) {
    bool once = true;
    greenlet second = named("second", [&](const std::string& arg) {
        log("second:", arg);
        log("second:", to_parent("from-second").as<std::string>());
        return "second-done";
    });
    greenlet first = named("first", [&](const std::string& arg) {
        log("first:", arg);
        log("first:", to_parent("from-first").as<std::string>());
        return "first-done";
    });
    set_trace([&](trace_event event, const greenlet& from, const greenlet& to) {
        log(event == trace_event::switched ? "switched:" : "raised:", label(from), ">", label(to));
        if (std::exchange(once, false)) log("trace:", second.switch_to("from-trace").as<std::string>());
    });
    log("main:", first.switch_to("a").as<std::string>());
    log("main:", first.switch_to("b").as<std::string>());
    log("main:", first.switch_to("c").as<std::string>());
    log("main:", second.switch_to("d").as<std::string>());
    set_trace({});
    EXPECT_EQ(log.text(),
              "switched:main>first switched:first>second second:from-trace switched:second>main main:from-second "
              "switched:main>first trace:b first:a switched:first>main main:from-first "
              "switched:main>first first:c switched:first>main main:first-done "
              "switched:main>second second:d switched:second>main main:second-done");
}

// Rule 16: what a callable's destructor switches to in the middle of a death does not touch the result.
TEST_F(GreenletTrace, CallableThatSwitchesWhenItIsDestroyedUnused) {
    greenlet other = named("other", [&] { log("other"); });
    greenlet unused = named("unused", [last = copse_test::at_end([&] { other.switch_to(); })] {});
    const trace_recorder recorder(log);
    EXPECT_THROW(unused.raise(std::runtime_error("x")), std::runtime_error);
    EXPECT_TRUE(unused.dead());
    EXPECT_EQ(log.text(), "switched:main>other other switched:other>main raised:main>main");
}

// A trace function may replace or remove itself while it runs.
TEST_F(GreenletTrace, MayReplaceItself) {
    set_trace([&](trace_event, const greenlet&, const greenlet&) {
        log("first");
        set_trace([&](trace_event, const greenlet&, const greenlet&) {
            log("second");
            set_trace({});
        });
    });
    greenlet g([] { to_parent(); });
    g.switch_to();
    g.switch_to();
    EXPECT_EQ(log.text(), "first second");
}

}  // namespace
