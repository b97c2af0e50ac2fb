// context_var<T>. gevent §1.9: a fiber starts with an empty context, unless the variable is inheritable.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "hub_test.hpp"
#include "worker.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

using copse::context_var;
using copse::greenlet;
using copse::hub;
using copse::inherit;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using namespace std::chrono_literals;

namespace {

class ContextVar : public copse_test::hub_test {};

TEST_F(ContextVar, HasItsDefaultUntilItIsSet) {
    context_var<std::string> v("default");
    EXPECT_EQ(v.get(), "default");
    EXPECT_EQ(v.find(), nullptr);
    auto t = v.set("set");
    EXPECT_EQ(v.get(), "set");
    EXPECT_EQ(*v.find(), "set");
    EXPECT_EQ(t.before(), nullptr);
    v.reset(t);
    EXPECT_EQ(v.get(), "default");
}

TEST_F(ContextVar, WithoutDefaultAndValueGetThrows) {
    for (const inherit how : {inherit::no, inherit::yes}) {
        context_var<int> v(how);
        EXPECT_THROW(v.get(), copse::error);
        const auto now = v.scoped(3);
        EXPECT_EQ(v.get(), 3);
    }
}

// gevent §1.9 [V]
TEST_F(ContextVar, AFiberStartsEmptyUnlessItInherits) {
    context_var<int> plain(0);
    context_var<int> handed_on(0, inherit::yes);
    const auto a = plain.scoped(1);
    const auto b = handed_on.scoped(2);
    spawn([&] { log(plain.get(), handed_on.get()); }).join();
    greenlet([&] { log(plain.get(), handed_on.get()); }).switch_to();
    EXPECT_EQ(log.text(), "02 00");
}

TEST_F(ContextVar, WhatIsInheritedIsASnapshotOfTheSpawn) {
    context_var<int> v(0, inherit::yes);
    auto first = v.set(1);
    const auto f = spawn([&] {
        log(v.get());
        v.set(10);
        yield();
        log(v.get());
        spawn([&] { log(v.get()); }).join();
    });
    v.set(2);
    yield();
    EXPECT_EQ(v.get(), 2);
    v.set(3);
    f.join();
    EXPECT_EQ(log.text(), "1 10 10");
    EXPECT_EQ(v.get(), 3);
    v.reset(first);
    EXPECT_EQ(v.find(), nullptr);
}

TEST_F(ContextVar, InheritedByThoseThatStartLaterToo) {
    context_var<int> v(0, inherit::yes);
    copse::fiber<int> f;
    {
        const auto now = v.scoped(4);
        f = copse::spawn_after(1s, [&] { return v.get(); });
    }
    EXPECT_EQ(f.get(), 4);
}

TEST_F(ContextVar, ScopesNest) {
    for (const inherit how : {inherit::no, inherit::yes}) {
        context_var<int> v(0, how);
        {
            const auto a = v.scoped(1);
            {
                const auto b = v.scoped(2);
                EXPECT_EQ(v.get(), 2);
            }
            EXPECT_EQ(v.get(), 1);
        }
        EXPECT_EQ(v.get(), 0);
        EXPECT_EQ(v.find(), nullptr);
    }
}

TEST_F(ContextVar, VariablesDoNotDisturbEachOther) {
    context_var<int> a(0, inherit::yes);
    context_var<std::string> b("", inherit::yes);
    context_var<int> c(0, inherit::yes);
    auto ta = a.set(1);
    auto tb = b.set("b");
    auto tc = c.set(3);
    a.reset(ta);
    EXPECT_EQ(a.get(), 0);
    EXPECT_EQ(b.get(), "b");
    EXPECT_EQ(c.get(), 3);
    b.reset(tb);
    c.reset(tc);
}

TEST_F(ContextVar, ATokenIsGoodForOneResetOfItsVariableInItsGreenlet) {
    for (const inherit how : {inherit::no, inherit::yes}) {
        context_var<int> v(0, how);
        context_var<int> other(0, how);
        auto t = v.set(1);
        EXPECT_THROW(other.reset(t), copse::error);
        spawn([&] { EXPECT_THROW(v.reset(t), copse::error); }).join();
        EXPECT_EQ(v.get(), 1);
        v.set(2);
        v.reset(t);
        EXPECT_EQ(v.get(), 0) << "what was set since does not count";
        EXPECT_THROW(v.reset(t), copse::error);
    }
}

TEST_F(ContextVar, TheLastHolderEndsAnInheritedValue) {
    context_var<std::shared_ptr<at_end>> v(nullptr, inherit::yes);
    const auto f = spawn([] {});
    copse::fiber<void> heir;
    {
        const auto now = v.scoped(std::make_shared<at_end>([&] { log("ended"); }));
        heir = spawn([&] { yield(); });
    }
    yield();
    EXPECT_EQ(log.text(), "");
    heir.join();
    EXPECT_EQ(log.text(), "ended");
}

TEST_F(ContextVar, AFiberKilledBeforeItStartsLetsGoOfWhatItInherited) {
    context_var<std::shared_ptr<int>> v(nullptr, inherit::yes);
    const auto counted = std::make_shared<int>(1);
    {
        const auto now = v.scoped(counted);
        const auto f = spawn([] {});
        EXPECT_EQ(counted.use_count(), 2) << "the fiber shares the value";
        f.kill();
    }
    EXPECT_EQ(counted.use_count(), 1);
}

TEST_F(ContextVar, TheObjectMayEndBeforeItsGreenlets) {
    for (const inherit how : {inherit::no, inherit::yes}) {
        std::optional<context_var<std::string>> v;
        v.emplace("default", how);
        const auto f = spawn([&] {
            v->set("value");
            yield();
            context_var<std::string> next("other", how);
            EXPECT_EQ(next.get(), "other");
            next.set("mine");
            EXPECT_EQ(next.get(), "mine");
        });
        yield();
        v.reset();
        f.join();
    }
}

TEST_F(ContextVar, ThreadsAreApart) {
    static context_var<int> v(0, inherit::yes);
    const auto now = v.scoped(1);
    copse_test::in_thread([] {
        EXPECT_EQ(v.get(), 0);
        const auto here = v.scoped(2);
        spawn([] { EXPECT_EQ(v.get(), 2); }).join();
    });
    EXPECT_EQ(v.get(), 1);
}

TEST_F(ContextVar, AGroupAndAPoolHandOnTheSpawnersContext) {
    context_var<int> v(0, inherit::yes);
    const auto now = v.scoped(5);
    copse::pool p(1);
    EXPECT_EQ(p.apply([&] { return v.get(); }), 5);
    copse::group g;
    EXPECT_EQ(g.spawn([&] { return v.get(); }).get(), 5);
}

}  // namespace
