// Exceptions in flight and being handled belong to the greenlet. Rules 64 to 66, 77, 78, 80, 86.

#include <copse/greenlet.hpp>

#include "at_end.hpp"
#include "exceptions.hpp"
#include "leak_check.hpp"
#include "sanitizer.hpp"

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using copse::greenlet;
using copse::greenlet_exit;
using copse_test::at_end;
using copse_test::to_parent;
using copse_test::what_is_thrown_by;

namespace {

class GreenletExceptions : public copse_test::leak_check {};

std::string rethrown() {
    return std::current_exception() == nullptr ? "none" : what_is_thrown_by([] { throw; });
}

// rule 64
TEST_F(GreenletExceptions, OneStartedInsideAHandlerSeesNone) {
    try {
        throw 1;
    } catch (int) {
        greenlet g([&] {
            log(rethrown());
            try {
                throw 2;
            } catch (int) {
                log(rethrown());
            }
            log(rethrown());
        });
        g.switch_to();
        log(rethrown());
    }
    EXPECT_EQ(log.text(), "none int 2 none int 1");
}

// rules 64, 65
TEST_F(GreenletExceptions, EachHandlerSeesItsOwnInAnyOrderOfLeaving) {
    const auto body = [&](int n) {
        try {
            throw n;
        } catch (int) {
            to_parent();
            log(rethrown());
            to_parent();
        }
        log(n, ":", rethrown());
    };
    greenlet a(body);
    greenlet b(body);
    a.switch_to(1);
    b.switch_to(2);
    EXPECT_EQ(std::current_exception(), nullptr);
    a.switch_to();
    b.switch_to();
    a.switch_to();  // entered first, left first
    b.switch_to();
    EXPECT_EQ(log.text(), "int 1 int 2 1:none 2:none");
}

// rules 64, 65
TEST_F(GreenletExceptions, BothSidesOfASwitchMayBeInHandlers) {
    greenlet g([&] {
        try {
            throw 2;
        } catch (int) {
            for (int i = 0; i < 3; ++i) {
                log(rethrown());
                to_parent();
            }
        }
    });
    try {
        throw 1;
    } catch (int) {
        for (int i = 0; i < 3; ++i) {
            g.switch_to();
            log(rethrown());
        }
        g.switch_to();
        EXPECT_TRUE(g.dead());
        log(rethrown());
    }
    EXPECT_EQ(log.text(), "int 2 int 1 int 2 int 1 int 2 int 1 int 1");
}

// rule 65
TEST_F(GreenletExceptions, HandlerRethrowsItsOwnAfterOthersCameAndWent) {
    greenlet g([] {
        try {
            throw std::runtime_error("mine");
        } catch (...) {
            to_parent();
            throw;
        }
    });
    g.switch_to();
    try {
        throw std::logic_error("another");
    } catch (const std::logic_error&) {
        EXPECT_EQ(what_is_thrown_by([&] { g.switch_to(); }), "mine");
        EXPECT_EQ(rethrown(), "another");
    }
}

// rule 64
TEST_F(GreenletExceptions, NestedHandlersAreKeptNested) {
    greenlet g([&] {
        try {
            throw 1;
        } catch (int) {
            try {
                throw 2;
            } catch (int) {
                to_parent();
                log(rethrown());
            }
            to_parent();
            log(rethrown());
        }
        log(rethrown());
    });
    g.switch_to();
    try {
        throw 3;
    } catch (int) {
        g.switch_to();
        log(rethrown());
    }
    g.switch_to();
    EXPECT_EQ(log.text(), "int 2 int 3 int 1 none");
}

// rule 65
TEST_F(GreenletExceptions, DestructorMaySwitchDuringUnwinding) {
    greenlet g([&] {
        try {
            const at_end guard([&] {
                log("g:", std::uncaught_exceptions());
                to_parent();
                log("g:", std::uncaught_exceptions());
            });
            throw 1;
        } catch (int n) {
            log("caught", n, ":", std::uncaught_exceptions());
        }
    });
    g.switch_to();
    log("main:", std::uncaught_exceptions());
    g.switch_to();
    log("main:", std::uncaught_exceptions());
    EXPECT_EQ(log.text(), "g:1 main:0 g:1 caught1:0 main:0");
}

// rule 65
TEST_F(GreenletExceptions, BothSidesOfASwitchMayUnwind) {
    greenlet g([&] {
        try {
            const at_end guard([&] {
                to_parent();
                log("g:", std::uncaught_exceptions());
            });
            throw 1;
        } catch (int) {}
    });
    g.switch_to();
    try {
        const at_end guard([&] {
            log("main:", std::uncaught_exceptions());
            g.switch_to();
            log("main:", std::uncaught_exceptions());
        });
        throw std::runtime_error("in flight");
    } catch (const std::runtime_error& e) {
        log(e.what());
    }
    EXPECT_EQ(log.text(), "main:1 g:1 main:1 in flight");
}

// rule 65: also on first entry and last exit
TEST_F(GreenletExceptions, OneThatIsBornAndDiesDuringUnwindingCountsNothing) {
    try {
        const at_end guard([&] {
            greenlet g([&] { log("g:", std::uncaught_exceptions()); });
            g.switch_to();
            log("main:", std::uncaught_exceptions());
        });
        throw 1;
    } catch (int) {}
    EXPECT_EQ(log.text(), "g:0 main:1");
}

// rule 66: the counts are right however often they were put aside
TEST_F(GreenletExceptions, CountsNeverDrift) {
    greenlet g([] {
        for (;;) {
            try {
                to_parent();
            } catch (int) {
                to_parent();
            }
        }
    });
    g.switch_to();
    for (int i = 0; i < 1000; ++i) {
        g.raise(i);
        ASSERT_EQ(std::uncaught_exceptions(), 0);
        ASSERT_EQ(std::current_exception(), nullptr);
        try {
            throw i;
        } catch (int) {
            g.switch_to();
        }
    }
    g = greenlet();
    EXPECT_EQ(std::uncaught_exceptions(), 0);
}

// rule 77
TEST_F(GreenletExceptions, FourThatSuspendInsideTryEachCatchTheirOwn) {
    struct thrower {
        static void deep(int depth, int n) {
            if (depth > 0) return deep(depth - 1, n);
            to_parent();
            throw n;
        }
    };
    std::vector<greenlet> all;
    for (int n = 0; n < 4; ++n) {
        all.emplace_back([&, n] {
            try {
                thrower::deep(n * 3, n);
            } catch (int caught) {
                log(n, "caught", caught);
            }
        });
        all.back().switch_to();
    }
    for (const int n : {2, 0, 3, 1}) all[static_cast<std::size_t>(n)].switch_to();
    EXPECT_EQ(log.text(), "2caught2 0caught0 3caught3 1caught1");
}

// rule 77: a try block of the switcher's is no handler of the child's
TEST_F(GreenletExceptions, OnlyTheParentReceives) {
    greenlet second([] { throw std::runtime_error("thrown in second"); });
    greenlet first([&] {
        try {
            second.switch_to();
        } catch (...) {
            log("wrongly caught");
        }
    });
    EXPECT_EQ(what_is_thrown_by([&] { first.switch_to(); }), "thrown in second");
    EXPECT_EQ(log.text(), "");
}

TEST_F(GreenletExceptions, AThousandOutOfChildrenLeaveNothing) {
    for (int i = 0; i < 1000; ++i) {
        greenlet outer([i] {
            greenlet inner([i] { throw std::runtime_error(std::to_string(i)); });
            inner.switch_to();
        });
        ASSERT_EQ(what_is_thrown_by([&] { outer.switch_to(); }), std::to_string(i));
    }
}

// rule 78
TEST_F(GreenletExceptions, SwallowingTheExitWithCatchAllIsSurvivable) {
    greenlet g([&] {
        try {
            to_parent();
        } catch (...) {
            log("swallowed");
        }
        return 3;
    });
    g.switch_to();
    EXPECT_EQ(g.raise().as<int>(), 3);
    greenlet dropped([&] {
        try {
            to_parent();
        } catch (...) {
            log("swallowed");
        }
    });
    dropped.switch_to();
    dropped = greenlet();
    EXPECT_EQ(log.text(), "swallowed swallowed");
}

// rule 80: a switch under noexcept is fine as long as nothing is raised there
TEST_F(GreenletExceptions, NoexceptFunctionsMaySwitch) {
    greenlet g([&] {
        const auto quiet = [&]() noexcept { return to_parent().as<int>(); };
        log(quiet());
    });
    g.switch_to();
    g.switch_to(8);
    EXPECT_EQ(log.text(), "8");
}

void unwind_through(int depth, int& left) {
    const at_end guard([&] { ++left; });
    if (depth == 0) {
        to_parent();
    } else {
        unwind_through(depth - 1, left);
    }
}

// rule 86: a checker that does not know about the stacks complains here
TEST_F(GreenletExceptions, UnwindingADeepStackFromAnother) {
    int left = 0;
    greenlet g([&] { unwind_through(100, left); });
    g.switch_to();
    EXPECT_THROW(g.raise(std::runtime_error("x")), std::runtime_error);
    EXPECT_EQ(left, 101);
    left = 0;
    greenlet dropped([&] { unwind_through(100, left); });
    dropped.switch_to();
    dropped = greenlet();
    EXPECT_EQ(left, 101);
}

}  // namespace
