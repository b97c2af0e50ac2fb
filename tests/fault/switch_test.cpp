// Faults in switching and exceptions: SW01 to SW19 of the fault catalogue, each test under its number.
// SW14 (a switch inside a signal handler) and SW15 (longjmp from one greenlet into another) are undefined behaviour, documented.

#include <copse/fiber.hpp>
#include <copse/greenlet.hpp>
#include <copse/hub.hpp>
#include <copse/trace.hpp>
#include <copse/typed_greenlet.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "sanitizer.hpp"
#include "worker.hpp"

#include <cfenv>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using copse::greenlet;
using copse::value;
using copse_test::at_end;
using copse_test::in_thread;
using copse_test::to_parent;
using copse_test::what_is_thrown_by;

namespace {

class FaultSwitch : public copse_test::leak_check {};

TEST_F(FaultSwitch, Fault_SW01_EscapeFromAFiberIsStoredForGet) {
    in_thread([] {
        const auto failing = copse::spawn([]() -> int { throw std::runtime_error("stored"); });
        EXPECT_EQ(what_is_thrown_by([&] { failing.get(); }), "stored");
    });
}

TEST_F(FaultSwitch, Fault_SW01_EscapeThatNobodyGetsReachesTheErrorHandler) {
    in_thread([] {
        const copse_test::error_recorder errors;
        copse::spawn([] { throw std::runtime_error("reported"); });
        copse::hub::current().run_until_idle();
        ASSERT_EQ(errors.count(), 1U);
        EXPECT_EQ(errors[0].what, "reported");
    });
}

TEST_F(FaultSwitch, Fault_SW02_EscapeFromAGreenletIsRaisedInItsParentIntact) {
    struct payload : std::runtime_error {
        payload() : std::runtime_error("typed") {}
        std::vector<int> numbers{1, 2, 3};
    };
    greenlet g([] { throw payload(); });
    try {
        g.switch_to();
        FAIL() << "nothing arrived";
    } catch (const payload& p) {
        EXPECT_EQ(p.numbers.size(), 3U);
    }
}

TEST_F(FaultSwitch, Fault_SW03_ExitIsANormalEndAndArrivesAsAValue) {
    greenlet g([] { throw copse::greenlet_exit(); });
    EXPECT_TRUE(copse_test::holds_exit(g.switch_to()));
    EXPECT_TRUE(g.dead());
}

TEST_F(FaultSwitch, Fault_SW04_EachCatchBlockSeesItsOwnException) {
    greenlet g([&] {
        try {
            throw std::runtime_error("g's");
        } catch (...) {
            to_parent();
            log(copse_test::what_of(std::current_exception()));
            log(what_is_thrown_by([] { throw; }));
        }
    });
    g.switch_to();
    try {
        throw std::runtime_error("main's");
    } catch (...) {
        g.switch_to();
        log(copse_test::what_of(std::current_exception()));
        log(what_is_thrown_by([] { throw; }));
    }
    EXPECT_EQ(log.text(), "g's g's main's main's");
}

// Acts only when its scope is left by an exception that was thrown inside it.
class scope_fail {
public:
    explicit scope_fail(std::function<void()> act) : act_(std::move(act)) {}
    scope_fail(const scope_fail&) = delete;
    scope_fail& operator=(const scope_fail&) = delete;
    ~scope_fail() {
        if (std::uncaught_exceptions() > before_) act_();
    }

private:
    int before_ = std::uncaught_exceptions();
    std::function<void()> act_;
};

TEST_F(FaultSwitch, Fault_SW05_SwitchesDuringUnwindingThreeDeepKeepTheCounts) {
    greenlet peer([&] {
        for (;;) {
            EXPECT_EQ(std::uncaught_exceptions(), 0);
            to_parent();
        }
    });
    peer.switch_to();
    const std::function<void(int)> unwind = [&](int level) {
        if (level == 0) return;
        try {
            const scope_fail fails([&] { log("fail", level); });
            const at_end quiet([&] {
                const scope_fail succeeds([&] { log("wrong", level); });
                EXPECT_EQ(std::uncaught_exceptions(), 4 - level);
                peer.switch_to();
                EXPECT_EQ(std::uncaught_exceptions(), 4 - level);
                unwind(level - 1);
                EXPECT_EQ(std::uncaught_exceptions(), 4 - level);
            });
            throw level;
        } catch (int n) {
            log("caught", n);
        }
    };
    greenlet g([&] { unwind(3); });
    peer.set_parent(g);
    g.switch_to();
    peer.set_parent(greenlet::current());
    EXPECT_EQ(log.text(), "fail1 caught1 fail2 caught2 fail3 caught3");
}

TEST_F(FaultSwitch, Fault_SW06_OneObjectRethrownInAHundredAtOnce) {
    const auto shared = std::make_exception_ptr(std::runtime_error("shared"));
    std::vector<greenlet> all;
    for (int i = 0; i < 100; ++i) {
        all.emplace_back([&] {
            try {
                std::rethrow_exception(shared);
            } catch (const std::runtime_error& e) {
                to_parent();
                EXPECT_STREQ(e.what(), "shared");
                throw;
            }
        });
        all.back().switch_to();
    }
    for (const greenlet& g : all) EXPECT_EQ(what_is_thrown_by([&] { g.switch_to(); }), "shared");
}

TEST_F(FaultSwitch, Fault_SW06_OneObjectRethrownOnManyThreads) {
    const auto shared = std::make_exception_ptr(std::runtime_error("shared"));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&shared] {
            for (int i = 0; i < 100; ++i) {
                greenlet g([&shared] { std::rethrow_exception(shared); });
                EXPECT_EQ(what_is_thrown_by([&] { g.switch_to(); }), "shared");
            }
        });
    }
    for (std::thread& t : threads) t.join();
}

TEST_F(FaultSwitch, Fault_SW07_RaiseIntoUnstartedNeverRunsItAndDestroysWhatItHeld) {
    const auto held = std::make_shared<int>(0);
    greenlet g([&, held] { log("ran"); });
    EXPECT_EQ(held.use_count(), 2);
    EXPECT_EQ(what_is_thrown_by([&] { g.raise(std::runtime_error("x")); }), "x");
    EXPECT_TRUE(g.dead());
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_EQ(log.text(), "");
}

TEST_F(FaultSwitch, Fault_SW08_AFinishedOneGivesEverythingToItsParent) {
    greenlet g([] {});
    g.switch_to();
    EXPECT_EQ(g.switch_to(1).as<int>(), 1);
    EXPECT_EQ(what_is_thrown_by([&] { g.raise(std::runtime_error("x")); }), "x");
    EXPECT_TRUE(copse_test::holds_exit(g.raise()));
}

TEST_F(FaultSwitch, Fault_SW09_EmptyAndMovedFromHandlesAreRefused) {
    greenlet g([] {});
    const greenlet owner = std::move(g);
    EXPECT_THROW(g.switch_to(), copse::empty_handle);  // NOLINT(bugprone-use-after-move): that is the fault
    EXPECT_THROW(g.switch_to(1), copse::empty_handle);
    EXPECT_THROW(greenlet().raise(), copse::empty_handle);
    EXPECT_FALSE(owner.started());
}

TEST_F(FaultSwitch, Fault_SW10_SwitchToItselfReturnsTheArguments) {
    greenlet g([] {
        EXPECT_EQ((greenlet::current().switch_to(1, "two").as<std::tuple<int, std::string>>()),
                  std::tuple(1, std::string("two")));
    });
    g.switch_to();
    EXPECT_TRUE(g.dead());
}

TEST_F(FaultSwitch, Fault_SW11_BadParentsAreRefusedAndGoodOnesTakeEffectAtOnce) {
    const greenlet a([] {});
    const greenlet b([] {}, a);
    EXPECT_THROW(a.set_parent(b), copse::parent_cycle);
    in_thread([&, main = greenlet::current()] {
        const greenlet mine([] {});
        EXPECT_THROW(mine.set_parent(main), copse::wrong_thread);
    });
    const greenlet dead([] {});
    dead.switch_to();
    b.set_parent(dead);
    EXPECT_EQ(b.parent(), dead);
    const greenlet receiver([&](int n) { log("receiver ", n); });
    greenlet g([&] {
        greenlet::current().set_parent(receiver);
        return 5;
    });
    g.switch_to();
    EXPECT_EQ(log.text(), "receiver 5");
}

TEST_F(FaultSwitch, Fault_SW12_SwitchFromAnotherThreadLeavesTheTargetUntouched) {
    greenlet g([] { return to_parent().as<int>(); });
    g.switch_to();
    in_thread([&] {
        EXPECT_THROW(g.switch_to(1), copse::wrong_thread);
        EXPECT_THROW(g.raise(), copse::wrong_thread);
    });
    EXPECT_TRUE(g.active());
    EXPECT_EQ(g.switch_to(2).as<int>(), 2);
}

TEST_F(FaultSwitch, Fault_SW13_BlockingInAPostedFunctionIsRefused) {
    in_thread([] {
        const auto other = copse::spawn([] {});
        std::string refused = "not called";
        copse::hub::current().post([&] {
            try {
                other.join();
                copse::spawn([] {}).join();
                refused = "not refused";
            } catch (const copse::blocking_in_hub&) {
                refused = "blocking_in_hub";
            }
        });
        copse::hub::current().run_until_idle();
        EXPECT_EQ(refused, "blocking_in_hub");
    });
}

TEST_F(FaultSwitch, Fault_SW13_TheHubAndParkedOnesCannotBeEnteredByHand) {
    in_thread([] {
        greenlet hub;
        copse::hub::current().post([&] { hub = greenlet::current(); });
        const auto parked = copse::spawn([] {
            greenlet me = greenlet::current();
            copse::spawn([] { copse::yield(); }).join();
        });
        copse::yield();
        EXPECT_THROW(parked.underlying().switch_to(), copse::not_switchable);
        EXPECT_THROW(parked.underlying().raise(), copse::not_switchable);
        copse::hub::current().run_until_idle();
        ASSERT_FALSE(hub.empty());
        EXPECT_THROW(hub.switch_to(), copse::not_switchable);
        EXPECT_TRUE(parked.successful());
    });
}

TEST_F(FaultSwitch, Fault_SW16_PayloadOfTheWrongTypeIsNeverReinterpreted) {
    greenlet g([&](int) { log("entered"); });
    EXPECT_THROW(g.switch_to(1L), copse::bad_value_cast);
    greenlet sends_text([] { return "text"; });
    EXPECT_THROW(static_cast<void>(sends_text.switch_to().as<int>()), copse::bad_value_cast);
    static_assert(!std::is_invocable_v<decltype(&copse::typed_greenlet<int(int)>::switch_to),
                                       copse::typed_greenlet<int(int)>, std::string>);
    EXPECT_EQ(log.text(), "");
}

struct breaks_when_copied {
    breaks_when_copied() = default;
    breaks_when_copied(const breaks_when_copied&) { throw std::runtime_error("no copy"); }
    breaks_when_copied& operator=(const breaks_when_copied&) = delete;
    ~breaks_when_copied() = default;
};

TEST_F(FaultSwitch, Fault_SW17_PayloadThatCannotBeCopiedStaysWithTheSender) {
    greenlet g([&](int n) {
        log("first ", n);
        log("second ", to_parent().as<int>());
    });
    const breaks_when_copied payload;
    EXPECT_EQ(what_is_thrown_by([&] { g.switch_to(payload); }), "no copy");
    EXPECT_FALSE(g.started());
    g.switch_to(1);
    EXPECT_EQ(what_is_thrown_by([&] { g.switch_to(1, payload); }), "no copy");
    EXPECT_TRUE(g.active());
    g.switch_to(2);
    EXPECT_EQ(log.text(), "first 1 second 2");
}

TEST_F(FaultSwitch, Fault_SW17_ResultThatCannotBeCopiedReachesTheParentAsItsException) {
    const breaks_when_copied payload;
    greenlet g([&] { return value(payload); });
    EXPECT_EQ(what_is_thrown_by([&] { g.switch_to(); }), "no copy");
    EXPECT_TRUE(g.dead());
}

TEST_F(FaultSwitch, Fault_SW18_RoundingModeStaysWithItsGreenlet) {
    greenlet g([] {
        std::fesetround(FE_TOWARDZERO);
        to_parent();
        EXPECT_EQ(std::fegetround(), FE_TOWARDZERO);
    });
    g.switch_to();
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
    EXPECT_EQ(greenlet([] { return std::fegetround(); }).switch_to().as<int>(), FE_TONEAREST) << "the starter's mode";
    g.switch_to();
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
}

TEST_F(FaultSwitch, Fault_SW19_TraceThatThrowsIsRemovedAndSeenOnce) {
    int calls = 0;
    copse::set_trace([&](copse::trace_event, const greenlet&, const greenlet&) {
        ++calls;
        throw std::runtime_error("trace");
    });
    greenlet g([] { to_parent(); });
    EXPECT_EQ(what_is_thrown_by([&] { g.switch_to(); }), "trace");
    EXPECT_FALSE(copse::current_trace());
    EXPECT_EQ(calls, 1);
    greenlet([] {}).switch_to();
    EXPECT_EQ(calls, 1);
}

TEST_F(FaultSwitch, Fault_SW19_TraceThatSwitchesCompletesTheSwitch) {
    greenlet other([&] {
        for (;;) {
            log("other");
            greenlet::current().parent().switch_to();
        }
    });
    greenlet g([&](int n) { log("g ", n); });
    other.set_parent(g);
    bool once = true;
    copse::set_trace([&](copse::trace_event, const greenlet&, const greenlet&) {
        if (std::exchange(once, false)) other.switch_to();
    });
    g.switch_to(7);
    copse::set_trace({});
    EXPECT_EQ(log.text(), "other g 7");
    other.set_parent(greenlet::current());
}

}  // namespace
