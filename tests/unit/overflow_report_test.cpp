#include "overflow_report.hpp"
#include "stack_pool.hpp"

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <ostream>
#include <string>
#include <thread>

namespace copse::detail {
namespace {

struct owner {
    const char* name;
    std::uint64_t id;
};

owner_description describe(const void* pointer) noexcept {
    const auto* described = static_cast<const owner*>(pointer);
    return {.name = described->name, .id = described->id, .file = "field.cpp", .line = 42};
}

volatile std::byte* untouchable = nullptr;

// A member of a null object: UBSan, which has words of its own about null itself, leaves it to the processor.
int* volatile nowhere = reinterpret_cast<int*>(64);

void write_nowhere() { *nowhere = 1; }

volatile bool deeper = true;  // opaque: compilers refuse a recursion that they can see has no end

[[gnu::noinline]] void recurse(volatile char* above) {
    volatile char frame[256];
    frame[0] = above == nullptr ? 'a' : *above;
    if (deeper) recurse(frame);
    frame[1] = frame[0];
}

int refuse_advice(void*, std::size_t, int) {
    errno = EINVAL;
    return -1;
}

/// In a child process whose signals nobody handles: runs `body` on a stack of 64 KiB.
[[noreturn]] void run_on_stack(void (*body)()) {
    ::signal(SIGSEGV, SIG_DFL);
    ::signal(SIGBUS, SIG_DFL);
    set_describe_owner(describe);
    install_overflow_report();
    prepare_thread_for_overflow_report();
    static owner deep{"deep\n", 7};
    static stack_pool pool;
    stack_slot* slot = pool.take(std::size_t{64} * 1024);
    slot->owner = &deep;
    untouchable = slot->limit - 60'000;
    static ucontext_t here;
    ucontext_t there;
    ::getcontext(&there);
    there.uc_stack.ss_sp = slot->limit;
    there.uc_stack.ss_size = static_cast<std::size_t>(slot->top - slot->limit);
    there.uc_link = &here;
    ::makecontext(&there, body, 0);
    ::swapcontext(&here, &there);
    ::_exit(0);
}

/// Matches what is silent about us; sanitizers have their own say.
struct says_nothing {
    using is_gtest_matcher = void;
    bool MatchAndExplain(const std::string& text, std::ostream*) const {
        return text.find("copse:") == std::string::npos;
    }
    void DescribeTo(std::ostream* out) const { *out << "says nothing of copse's"; }
    void DescribeNegationTo(std::ostream* out) const { *out << "says something of copse's"; }
};

constexpr const char* whole_line = "(^|\n)copse: stack overflow in greenlet 'deep\\?' \\(#7\\), stack 65536 bytes, "
                                   "high-water 65536 bytes, spawned at field.cpp:42\n$";

TEST(OverflowReportDeathTest, Fault_ST01_RecursionIsReportedAndKills) {
    EXPECT_EXIT(run_on_stack([] { recurse(nullptr); }), testing::KilledBySignal(SIGSEGV), whole_line);
}

TEST(OverflowReportDeathTest, Fault_ST01_SoItIsWithMprotectGuards) {
    const auto run = [] {
        stack_calls.madvise = refuse_advice;
        reset_guard_kind();
        run_on_stack([] { recurse(nullptr); });
    };
    EXPECT_EXIT(run(), testing::KilledBySignal(SIGSEGV), whole_line);
}

TEST(OverflowReportDeathTest, Fault_ST01_OnAThreadOfItsOwn) {
    const auto run = [] { std::thread([] { run_on_stack([] { recurse(nullptr); }); }).join(); };
    EXPECT_EXIT(run(), testing::KilledBySignal(SIGSEGV), whole_line);
}

TEST(OverflowReportDeathTest, Fault_ST02_FarInsideTheZone) {
    EXPECT_EXIT(run_on_stack([] { *untouchable = std::byte{1}; }), testing::KilledBySignal(SIGSEGV),
                "(^|\n)copse: stack overflow in greenlet 'deep\\?' \\(#7\\), stack 65536 bytes, high-water "
                "(4096|8192|12288) bytes, "
                "spawned at field.cpp:42\n$");
}

TEST(OverflowReportDeathTest, AStrayPointerIsToldFromAnOverflow) {
    const auto run = [] {
        static stack_pool other;
        static owner bystander{"bystander", 8};
        stack_slot* slot = other.take(0);
        slot->owner = &bystander;
        static volatile std::byte* stray = nullptr;
        stray = slot->limit - 1;
        run_on_stack([] { *stray = std::byte{1}; });
    };
    EXPECT_EXIT(run(), testing::KilledBySignal(SIGSEGV), "greenlet 'bystander' .*, touched from another stack\n$");
}

TEST(OverflowReportDeathTest, Fault_ST04_OtherFaultsAreNotReported) {
    EXPECT_EXIT(run_on_stack(write_nowhere), testing::KilledBySignal(SIGSEGV), says_nothing{});
}

TEST(OverflowReportDeathTest, Fault_ST04_ASignalSentByHandKeepsItsMeaning) {
    EXPECT_EXIT(run_on_stack([] { ::raise(SIGSEGV); }), testing::KilledBySignal(SIGSEGV), says_nothing{});
    EXPECT_EXIT(run_on_stack([] { ::raise(SIGBUS); }), testing::KilledBySignal(SIGBUS), says_nothing{});
}

/// Called in the child before anything of ours is installed.
void handle_before_us(void (*body)()) {
    struct sigaction action {};
    action.sa_handler = [](int) { ::_exit(33); };
    action.sa_flags = SA_ONSTACK;
    ::sigaction(SIGSEGV, &action, nullptr);
    install_overflow_report();
    static stack_pool pool;
    static owner deep{"deep", 7};
    set_describe_owner(describe);
    prepare_thread_for_overflow_report();
    stack_slot* slot = pool.take(0);
    slot->owner = &deep;
    untouchable = slot->limit - 1;
    body();
}

TEST(OverflowReportDeathTest, Fault_ST04_OtherFaultsReachTheHandlerBeforeUs) {
    EXPECT_EXIT(handle_before_us(write_nowhere), testing::ExitedWithCode(33), says_nothing{});
}

TEST(OverflowReportDeathTest, AnOverflowReachesTheHandlerBeforeUsAfterTheReport) {
    EXPECT_EXIT(handle_before_us([] { *untouchable = std::byte{1}; }), testing::ExitedWithCode(33),
                "(^|\n)copse: stack overflow");
}

TEST(OverflowReport, RespectsAnAlternateStackAndRemovesItsOwn) {
    std::thread([] {
        static char users[128 * 1024];
        stack_t before{};
        ::sigaltstack(nullptr, &before);
        const stack_t set{.ss_sp = users, .ss_flags = 0, .ss_size = sizeof users};
        ASSERT_EQ(::sigaltstack(&set, nullptr), 0);
        prepare_thread_for_overflow_report();
        stack_t now{};
        ::sigaltstack(nullptr, &now);
        EXPECT_EQ(now.ss_sp, users);
        ::sigaltstack(&before, nullptr);
    }).join();
    std::thread([] {
        prepare_thread_for_overflow_report();
        stack_t first{};
        ::sigaltstack(nullptr, &first);
        EXPECT_EQ(first.ss_flags & SS_DISABLE, 0);
        EXPECT_GE(first.ss_size, std::size_t{16} * 1024);
        prepare_thread_for_overflow_report();
        stack_t second{};
        ::sigaltstack(nullptr, &second);
        EXPECT_EQ(first.ss_sp, second.ss_sp);
    }).join();
}

}  // namespace
}  // namespace copse::detail
