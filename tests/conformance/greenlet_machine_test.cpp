// What of the machine and of the thread travels with a greenlet, and what its stack may do. Rules 70, 71, 85.

#include <copse/greenlet.hpp>
#include <copse/stack.hpp>

#include "exceptions.hpp"
#include "leak_check.hpp"
#include "sanitizer.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <cfenv>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <system_error>
#include <xmmintrin.h>

using copse::greenlet;
using copse_test::to_parent;

namespace {

class GreenletMachine : public copse_test::leak_check {};
class GreenletStart : public copse_test::leak_check {};

unsigned sse_rounding() { return _mm_getcsr() & static_cast<unsigned>(_MM_ROUND_MASK); }

// rule 71
TEST_F(GreenletMachine, RoundingModeSetInsideStaysInside) {
    ASSERT_EQ(std::fegetround(), FE_TONEAREST);
    greenlet g([] {
        std::fesetround(FE_UPWARD);
        for (int i = 0; i < 3; ++i) {
            to_parent();
            EXPECT_EQ(std::fegetround(), FE_UPWARD);
            EXPECT_EQ(sse_rounding(), static_cast<unsigned>(_MM_ROUND_UP));
        }
    });
    for (int i = 0; i < 4; ++i) {
        g.switch_to();
        EXPECT_EQ(std::fegetround(), FE_TONEAREST);
        EXPECT_EQ(sse_rounding(), static_cast<unsigned>(_MM_ROUND_NEAREST));
    }
    EXPECT_TRUE(g.dead());
}

// rule 71
TEST_F(GreenletMachine, NewOneInheritsTheRoundingModeOfItsStarter) {
    greenlet g([] { return std::fegetround(); });
    std::fesetround(FE_DOWNWARD);
    const int inherited = g.switch_to().as<int>();
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(inherited, FE_DOWNWARD);
}

thread_local int per_thread = 0;

// rule 71
TEST_F(GreenletMachine, ErrnoAndThreadLocalsStayWithTheThread) {
    per_thread = 1;
    errno = ERANGE;
    greenlet g([] {
        EXPECT_EQ(per_thread, 1);
        EXPECT_EQ(errno, ERANGE);
        per_thread = 2;
        errno = EDOM;
        to_parent();
    });
    g.switch_to();
    EXPECT_EQ(errno, EDOM);
    EXPECT_EQ(per_thread, 2);
    errno = 0;
}

// rule 70: each has a stack of its own, so nested starts are limited by memory alone
TEST_F(GreenletMachine, StartsNestDeep) {
    const int depth = copse_test::up_to(2'000);
    int deepest = 0;
    const std::function<void(int)> start = [&](int level) {
        deepest = level;
        if (level == depth) return;
        greenlet({.name = "nested", .parent = {}}, [&start, level] { start(level + 1); }).switch_to();
    };
    start(0);
    EXPECT_EQ(deepest, depth);
}

// rule 85: a stack has what was asked for
TEST_F(GreenletMachine, StackHoldsWhatWasAskedFor) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{16'384}, std::size_t{100'000}, std::size_t{4'000'000}}) {
        greenlet g({.stack_size = size, .parent = {}}, [size] {
            const std::size_t room = size * 3 / 4;
            auto* const array = static_cast<volatile char*>(__builtin_alloca(room));
            for (std::size_t i = 0; i < room; i += 512) array[i] = 1;
            return room == 0 ? '\1' : static_cast<char>(array[0]);
        });
        EXPECT_EQ(g.switch_to().as<char>(), 1);
    }
}

// Keeps the process from mapping more than it has, as long as it lives.
class no_more_memory {
public:
    no_more_memory() {
        ::getrlimit(RLIMIT_AS, &before_);
        rlimit now = before_;
        now.rlim_cur = mapped() + (std::size_t{32} << 20);
        ::setrlimit(RLIMIT_AS, &now);
    }
    no_more_memory(const no_more_memory&) = delete;
    no_more_memory& operator=(const no_more_memory&) = delete;
    ~no_more_memory() { ::setrlimit(RLIMIT_AS, &before_); }

private:
    static std::size_t mapped() {
        std::size_t pages = 0;
        if (std::FILE* statm = std::fopen("/proc/self/statm", "r")) {
            if (std::fscanf(statm, "%zu", &pages) != 1) pages = 0;
            std::fclose(statm);
        }
        return pages * 4096;
    }

    rlimit before_{};
};

// Each test wants stacks of another size, so that none is there already.
constexpr std::size_t mebibyte = std::size_t{1} << 20;

TEST_F(GreenletStart, WithoutAStackFailsInTheCallerAndCanBeRepeated) {
    if (copse_test::sanitized) GTEST_SKIP() << "sanitizers need their address space";
    greenlet g({.stack_size = 1024 * mebibyte, .parent = {}}, [](int n) { return n; });
    {
        const no_more_memory limit;
        EXPECT_THROW(g.switch_to(1), std::system_error);
        EXPECT_FALSE(g.started());
        EXPECT_THROW(g.switch_to(1), std::system_error);
    }
    EXPECT_EQ(g.switch_to(2).as<int>(), 2);
}

// rule 24: an ancestor that cannot start hands its own error on and stays unstarted
TEST_F(GreenletStart, ParentWithoutAStackPassesItsOwnErrorOn) {
    if (copse_test::sanitized) GTEST_SKIP() << "sanitizers need their address space";
    const greenlet parent({.stack_size = 896 * mebibyte, .parent = {}}, [](int n) { return n; });
    const greenlet child([] { return 5; }, parent);
    {
        const no_more_memory limit;
        EXPECT_THROW(child.switch_to(), std::system_error);
        EXPECT_TRUE(child.dead());
        EXPECT_FALSE(parent.started());
        EXPECT_THROW(child.switch_to(6), std::system_error) << "forwarding fails like a switch to the parent itself";
        EXPECT_FALSE(parent.started());
    }
    EXPECT_EQ(child.switch_to(7).as<int>(), 7);
}

// rule 24: an exception never starts an ancestor, so it arrives as it is
TEST_F(GreenletStart, ExceptionPassesAParentWithoutAStack) {
    if (copse_test::sanitized) GTEST_SKIP() << "sanitizers need their address space";
    const greenlet parent({.stack_size = 768 * mebibyte, .parent = {}}, [](int n) { return n; });
    const greenlet child([] { throw 5; }, parent);
    const no_more_memory limit;
    EXPECT_THROW(child.switch_to(), int);
    EXPECT_TRUE(parent.dead());
}

}  // namespace
