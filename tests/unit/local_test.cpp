// local<T>: a value for each greenlet. gevent §1.9.

#include <copse/fibers.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "hub_test.hpp"
#include "worker.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using copse::greenlet;
using copse::hub;
using copse::local;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::at_end;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class Local : public copse_test::hub_test {};

using logged_end = std::unique_ptr<at_end>;

TEST_F(Local, EveryFiberHasItsOwn) {
    local<int> n;
    n.get() = 5;
    const auto f = spawn([&] {
        EXPECT_EQ(n.find(), nullptr);
        EXPECT_EQ(*n, 0);
        *n = 7;
        yield();
        return *n;
    });
    yield();
    EXPECT_EQ(*n, 5);
    EXPECT_EQ(f.get(), 7);
    n.reset();
    EXPECT_EQ(n.find(), nullptr);
    EXPECT_EQ(*n, 0);
}

TEST_F(Local, GreenletsMadeByHandHaveTheirOwn) {
    local<std::string> name([] { return std::string("fresh"); });
    *name = "main";
    greenlet g([&] {
        *name += "-g";
        copse_test::to_parent();
        log(*name);
    });
    g.switch_to();
    log(*name);
    g.switch_to();
    EXPECT_EQ(log.text(), "main fresh-g");
    name.reset();
}

TEST_F(Local, AFactoryMakesTheFirstValueOnce) {
    int made = 0;
    local<int> n([&] { return ++made * 10; });
    EXPECT_EQ(*n, 10);
    EXPECT_EQ(*n, 10);
    spawn([&] { EXPECT_EQ(*n, 20); }).join();
    EXPECT_EQ(made, 2);
    n.reset();
}

TEST_F(Local, AFactoryThatThrowsLeavesNone) {
    bool fails = true;
    local<int> n([&] { return fails ? throw std::runtime_error("no") : 3; });
    EXPECT_EQ(what_is_thrown_by([&] { n.get(); }), "no");
    EXPECT_EQ(n.find(), nullptr);
    fails = false;
    EXPECT_EQ(*n, 3);
    n.reset();
}

TEST_F(Local, AFactoryMayParkAndMayAskForItsOwnValue) {
    std::optional<local<int>> n;
    int depth = 0;
    n.emplace([&] {
        yield();
        if (++depth < 3) return n->get() + 1;
        return 100;
    });
    EXPECT_EQ(**n, 100) << "the innermost was there first";
    n->reset();
}

TEST_F(Local, AnEmptyFactoryIsRefusedWhereItIsNeeded) {
    struct no_default {
        explicit no_default(int) {}
    };
    local<no_default> n{std::function<no_default()>()};
    EXPECT_THROW(n.get(), copse::null_callable);
}

TEST_F(Local, ValuesEndWithTheFiberAfterItsCapturesBeforeItsJoiner) {
    local<logged_end> a;
    local<logged_end> b;
    const auto f = spawn([&, capture = at_end([&] { log("capture"); })] {
        *b = std::make_unique<at_end>([&] { log("b"); });
        *a = std::make_unique<at_end>([&] {
            log("a");
            yield();
            log("a-parked");
        });
        log("body");
    });
    f.join();
    log("joined");
    EXPECT_EQ(log.text(), "body capture a a-parked b joined");
}

TEST_F(Local, ValuesEndWithAKilledFiberAndWithADroppedGreenlet) {
    local<logged_end> value;
    const auto f = spawn([&] {
        *value = std::make_unique<at_end>([&] { log("fiber"); });
        sleep(1h);
    });
    yield();
    f.kill();
    {
        const greenlet g([&] {
            *value = std::make_unique<at_end>([&] { log("greenlet"); });
            copse_test::to_parent();
        });
        g.switch_to();
    }
    EXPECT_EQ(log.text(), "fiber greenlet");
}

TEST_F(Local, AValueMayMakeAnotherWhileItEnds) {
    local<int> other;
    local<logged_end> value;
    spawn([&] {
        *value = std::make_unique<at_end>([&] {
            *other = 1;
            log("made");
        });
    }).join();
    EXPECT_EQ(log.text(), "made");
}

TEST_F(Local, TheObjectMayEndBeforeItsGreenlets) {
    auto value = std::make_unique<local<logged_end>>();
    const auto f = spawn([&] {
        **value = std::make_unique<at_end>([&] { log("ended"); });
        yield();
        log("body over");
    });
    yield();
    value.reset();
    f.join();
    EXPECT_EQ(log.text(), "body over ended");
}

TEST_F(Local, AnotherObjectDoesNotSeeTheValuesOfOneThatEnded) {
    spawn([&] {
        for (int i = 0; i < 100; ++i) {
            local<int> n;
            EXPECT_EQ(n.find(), nullptr);
            *n = i;
            local<std::string> s;
            EXPECT_EQ(*s, "");
            *s = "used";
        }
    }).join();
}

TEST_F(Local, ManyObjectsKeepTheirReferences) {
    std::vector<std::unique_ptr<local<int>>> all;
    spawn([&] {
        all.push_back(std::make_unique<local<int>>());
        int& first = **all.front();
        for (int i = 0; i < 200; ++i) {
            all.push_back(std::make_unique<local<int>>());
            **all.back() = i;
        }
        first = 77;
        EXPECT_EQ(**all.front(), 77);
        for (int i = 0; i < 200; ++i) EXPECT_EQ(**all[static_cast<std::size_t>(i) + 1], i);
    }).join();
}

TEST_F(Local, ValuesOfMainEndWithItsThread) {
    std::string ends;
    local<logged_end> value;
    {
        copse_test::worker other;
        other.run([&] {
            *value = std::make_unique<at_end>([&] { ends += "main "; });
            spawn([&] {
                *value = std::make_unique<at_end>([&] { ends += "fiber "; });
                sleep(1h);
            });
            yield();
        });
        EXPECT_EQ(ends, "");
    }
    EXPECT_EQ(ends, "fiber main ");
}

TEST_F(Local, ValuesOfMainMaySpawnWhenTheyEnd) {
    bool ran = false;
    local<logged_end> value;
    copse_test::in_thread([&] {
        *value = std::make_unique<at_end>([&] {
            greenlet g([&] { ran = true; });
            g.switch_to();
        });
    });
    EXPECT_TRUE(ran);
}

TEST_F(Local, OneObjectServesManyThreads) {
    static local<int> n;
    *n = 1;
    copse_test::in_thread([] {
        EXPECT_EQ(*n, 0);
        *n = 2;
        spawn([] { EXPECT_EQ(*n, 0); }).join();
    });
    EXPECT_EQ(*n, 1);
    n.reset();
}

TEST_F(Local, OverAlignedValues) {
    struct alignas(128) wide {
        char bytes[128] = {};
    };
    local<wide> value;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&value.get()) % 128, 0u);
    value.reset();
}

}  // namespace
