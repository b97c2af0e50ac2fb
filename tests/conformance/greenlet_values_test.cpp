// What travels with a switch, and where it arrives. Rules 11 to 17 and 84.

#include <copse/greenlet.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using copse::greenlet;
using copse::value;
using copse_test::to_parent;
using namespace std::string_literals;

namespace {

class GreenletSwitch : public copse_test::leak_check {};
class GreenletPayload : public copse_test::leak_check {};

TEST_F(GreenletSwitch, PingPongRunsInOrder) {
    greenlet g([&] {
        log(1);
        to_parent();
        log(3);
    });
    log(0);
    g.switch_to();
    log(2);
    g.switch_to();
    log(4);
    EXPECT_EQ(log.text(), "0 1 2 3 4");
}

TEST_F(GreenletSwitch, TwoSwitchToEachOther) {
    greenlet first;
    greenlet second;
    first = greenlet([&] {
        log(12);
        second.switch_to();
        log(34);
        second.switch_to();
    });
    second = greenlet([&] {
        log(56);
        first.switch_to();
        log(78);
    });
    first.switch_to();
    EXPECT_EQ(log.text(), "12 56 34 78");
    EXPECT_TRUE(second.dead());
    EXPECT_TRUE(first.active());
}

TEST_F(GreenletSwitch, TwoChildrenOfOneFunctionInterleave) {
    const auto body = [&](const std::string& name) {
        log(name, 1);
        to_parent();
        log(name, 2);
    };
    greenlet a(body);
    greenlet b(body);
    a.switch_to("a");
    b.switch_to("b");
    log("main");
    a.switch_to();
    EXPECT_TRUE(a.dead());
    EXPECT_FALSE(b.dead());
    b.switch_to();
    EXPECT_TRUE(b.dead());
    EXPECT_EQ(log.text(), "a1 b1 main a2 b2");
}

TEST_F(GreenletSwitch, AChildMayStartAChild) {
    const auto kept = std::make_shared<int>(0);
    {
        const auto inner_body = [&, kept] { log("inner"); };
        greenlet outer([&, kept] {
            log("outer");
            greenlet inner(inner_body);
            inner.switch_to();
            log("outer");
        });
        outer.switch_to();
        EXPECT_EQ(log.text(), "outer inner outer");
        EXPECT_EQ(kept.use_count(), 2) << "the bodies of dead greenlets are kept";
    }
    EXPECT_EQ(kept.use_count(), 1);
}

// rule 11
TEST_F(GreenletPayload, FirstIsTheArgumentLaterOnesAreResults) {
    greenlet g([&](const std::string& first) {
        log(first);
        log(to_parent("x").as<std::string>());
        log(to_parent("y").as<std::string>());
        return "z"s;
    });
    EXPECT_EQ(g.switch_to("a").as<std::string>(), "x");
    EXPECT_EQ(g.switch_to("b").as<std::string>(), "y");
    EXPECT_EQ(g.switch_to("c").as<std::string>(), "z");
    EXPECT_EQ(log.text(), "a b c");
}

// rule 11
TEST_F(GreenletPayload, SeveralFirstOnesAreSeveralArguments) {
    greenlet g([](int a, std::string& b, std::unique_ptr<int> c) { return b + std::to_string(a + *c); });
    EXPECT_EQ(g.switch_to(1, "sum ", std::make_unique<int>(2)).as<std::string>(), "sum 3");
    greenlet raw([](value all) { return std::get<1>(all.as<std::tuple<int, int>>()); });
    EXPECT_EQ(raw.switch_to(1, 2).as<int>(), 2);
}

// rule 12
TEST_F(GreenletPayload, NothingOneAndSeveralArriveAsTheyWerePacked) {
    greenlet g([] {
        EXPECT_FALSE(to_parent().has_value());
        EXPECT_EQ(to_parent().as<int>(), 1);
        EXPECT_EQ((to_parent().as<std::tuple<int, std::string>>()), std::tuple(1, "two"s));
        EXPECT_TRUE(to_parent().holds<std::tuple<>>());
        EXPECT_EQ((to_parent().as<std::tuple<int, std::string>>()), std::tuple(3, "four"s));
    });
    g.switch_to();
    g.switch_to();
    g.switch_to(1);
    g.switch_to(1, "two");
    g.switch_to(std::tuple<>());          // told apart from no argument
    g.switch_to(std::tuple(3, "four"s));  // the same as two
    EXPECT_TRUE(g.dead());
}

// rule 13
TEST_F(GreenletPayload, ResultArrivesAsItIs) {
    EXPECT_FALSE(greenlet([] {}).switch_to().has_value());
    EXPECT_FALSE(greenlet([] { return value(); }).switch_to().has_value());
    EXPECT_TRUE(greenlet([] { return std::tuple<>(); }).switch_to().holds<std::tuple<>>());
    EXPECT_TRUE(greenlet([] { return std::tuple(1); }).switch_to().holds<std::tuple<int>>());
    EXPECT_EQ((greenlet([] { return std::tuple(1, 2); }).switch_to().as<std::tuple<int, int>>()), std::tuple(1, 2));
    EXPECT_EQ(greenlet([] { return "text"; }).switch_to().as<std::string>(), "text");
    EXPECT_EQ(*greenlet([] { return std::make_unique<int>(5); }).switch_to().as<std::unique_ptr<int>>(), 5);
    EXPECT_EQ(greenlet([](value v) { return v; }).switch_to(7).as<int>(), 7);
    EXPECT_EQ(greenlet([] { return std::vector(1000, 'x'); }).switch_to().as<std::vector<char>>().size(), 1000U);
}

// rule 14
TEST_F(GreenletPayload, NeedNotComeFromWhoWasSwitchedTo) {
    greenlet a;
    greenlet b;
    greenlet c;
    const greenlet main = greenlet::current();
    a = greenlet([&] { b.switch_to(); });
    b = greenlet([&] { c.switch_to(); });
    c = greenlet([&] { main.switch_to("from c"); });
    EXPECT_EQ(a.switch_to().as<std::string>(), "from c");
}

// rule 15
TEST_F(GreenletSwitch, ToTheCurrentOneReturnsThePayloadAtOnce) {
    EXPECT_EQ(greenlet::current().switch_to(5).as<int>(), 5);
    EXPECT_FALSE(greenlet::current().switch_to().has_value());
    greenlet g([&] {
        EXPECT_EQ(greenlet::current().switch_to("me").as<std::string>(), "me");
        EXPECT_EQ((greenlet::current().switch_to(1, 2).as<std::tuple<int, int>>()), std::tuple(1, 2));
        log("ran through");
    });
    g.switch_to();
    EXPECT_EQ(log.text(), "ran through");
}

// rule 17
TEST_F(GreenletSwitch, DeadTargetForwardsToParent) {
    greenlet child;
    greenlet parent([&] {
        child = greenlet([] {});
        child.switch_to();
        log("parent got ", to_parent().as<int>());
        return "end";
    });
    parent.switch_to();
    ASSERT_TRUE(child.dead());
    EXPECT_EQ(child.switch_to(7).as<std::string>(), "end");
    EXPECT_EQ(log.text(), "parent got 7");
    EXPECT_EQ(child.switch_to(8).as<int>(), 8) << "both are dead now: back to main";
}

// rule 17
TEST_F(GreenletSwitch, DeadTargetStartsAnUnstartedParent) {
    greenlet dead([] {});
    dead.switch_to();
    dead.set_parent(greenlet([](int a, int b) { return a + b; }));
    EXPECT_EQ(dead.switch_to(20, 22).as<int>(), 42);
    EXPECT_EQ(dead.switch_to(1, 2).type(), typeid(std::tuple<int, int>)) << "the parent is dead too";
}

// rule 17
TEST_F(GreenletSwitch, DeadTargetForwardsToMe) {
    greenlet outer([&] {
        greenlet inner([] {});
        inner.switch_to();
        EXPECT_EQ(inner.switch_to("mine").as<std::string>(), "mine");
        EXPECT_FALSE(inner.switch_to().has_value());
        log("outer went on");
    });
    outer.switch_to();
    EXPECT_EQ(log.text(), "outer went on");
}

// rule 17
TEST_F(GreenletSwitch, DeadTargetForwardsPastAThousand) {
    greenlet last([] {});
    for (int i = 0; i < 1000; ++i) last = greenlet([] {}, last);
    EXPECT_THROW(last.raise(std::runtime_error("all die")), std::runtime_error);
    EXPECT_EQ(last.switch_to(6).as<int>(), 6);
}

// A payload whose move runs a hook once, which may do anything.
struct hooked {
    explicit hooked(std::string text) : text_(std::move(text)) {}
    hooked(hooked&& other) noexcept(false) : text_(std::move(other.text_)) {
        if (hook) std::exchange(hook, nullptr)();
    }
    hooked& operator=(hooked&&) = delete;
    ~hooked() = default;

    static inline std::function<void()> hook;
    std::string text_;
};

// rules 16, 84
TEST_F(GreenletPayload, MoveConstructorMaySwitchWhilePacking) {
    greenlet other([&] {
        log("other ", to_parent("first").as<std::string>());
        return "second";
    });
    greenlet target([&](const hooked& h) { log("target ", h.text_); });
    hooked::hook = [&] {
        log("hook ", other.switch_to().as<std::string>());
        log("hook ", other.switch_to("inner").as<std::string>());
    };
    target.switch_to(hooked("outer"));
    EXPECT_EQ(log.text(), "hook first other inner hook second target outer");
}

// rules 16, 84
TEST_F(GreenletPayload, MoveConstructorMaySwitchWhileTheArgumentIsTaken) {
    const greenlet main = greenlet::current();
    greenlet target;
    target = greenlet([&](hooked h) { return h.text_; });
    hooked sent("outer");
    value packed(std::move(sent));
    hooked::hook = [&] { log("hook ", main.switch_to("from the hook").as<std::string>()); };
    EXPECT_EQ(target.switch_to(std::move(packed)).as<std::string>(), "from the hook");
    EXPECT_EQ(target.switch_to("go on").as<std::string>(), "outer");
    EXPECT_EQ(log.text(), "hook go on");
}

// rules 16, 84
TEST_F(GreenletPayload, MoveConstructorMayReenterTheVeryTarget) {
    greenlet target([&] {
        log(to_parent().as<std::string>());
        value v = to_parent();
        log(v.as<hooked&>().text_);
    });
    target.switch_to();
    hooked::hook = [&] { target.switch_to("nested"); };
    target.switch_to(hooked("outer"));
    EXPECT_EQ(log.text(), "nested outer");
}

// rule 84
TEST_F(GreenletPayload, DestructorMaySwitch) {
    greenlet other([&] {
        for (;;) log("other ", to_parent().as<int>());
    });
    other.switch_to();
    greenlet target([&](value v) {
        v.reset();
        log("after");
    });
    target.switch_to(copse_test::at_end([&] { other.switch_to(4); }));
    EXPECT_TRUE(target.active()) << "other's parent is main";
    target.switch_to();
    EXPECT_EQ(log.text(), "other 4 after");
}

TEST_F(GreenletPayload, IsNotKeptAfterManySwitches) {
    const auto kept = std::make_shared<int>(0);
    greenlet g([](value v) {
        for (;;) v = to_parent();
    });
    for (int i = 0; i < 100; ++i) g.switch_to(kept);
    EXPECT_EQ(kept.use_count(), 2) << "the last one is in the body's variable";
    g.switch_to();
    EXPECT_EQ(kept.use_count(), 1);
}

TEST_F(GreenletPayload, ResultIsNotKept) {
    const auto kept = std::make_shared<int>(0);
    std::vector<greenlet> dead;
    for (int i = 0; i < 100; ++i) {
        dead.emplace_back([&] { return kept; });
        EXPECT_EQ(dead.back().switch_to().as<std::shared_ptr<int>>(), kept);
    }
    EXPECT_EQ(kept.use_count(), 1);
}

}  // namespace
