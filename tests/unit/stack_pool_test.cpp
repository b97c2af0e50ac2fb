#include "stack_pool.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

extern "C" [[gnu::weak]] int __asan_address_is_poisoned(const volatile void*);

namespace copse::detail {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t page = 4096;
constexpr int guard_advice = 102;

/// What the kernel does to a byte of ours, without dying of it.
class prober {
public:
    prober() {
        if (::pipe(ends_) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    }
    ~prober() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    prober(const prober&) = delete;
    prober& operator=(const prober&) = delete;

    /// By the pipe's write, which reads memory in the kernel and fails with EFAULT.
    bool readable(const std::byte* address) {
        if (::write(ends_[1], address, 1) != 1) return false;
        char byte{};
        return ::read(ends_[0], &byte, 1) == 1;
    }

private:
    int ends_[2];
};

/// Runs `f` on the slot's stack, to its end.
void run_on(const stack_slot& slot, std::function<void()> f) {
    static thread_local std::function<void()>* running = nullptr;
    static thread_local ucontext_t here;
    ucontext_t there;
    ::getcontext(&there);
    there.uc_stack.ss_sp = slot.limit;
    there.uc_stack.ss_size = static_cast<std::size_t>(slot.top - slot.limit);
    there.uc_link = &here;
    running = &f;
    ::makecontext(
        &there, [] { (*running)(); }, 0);
    ::swapcontext(&here, &there);
}

void touch(std::byte* from, std::byte* to) {
    for (std::byte* at = from; at < to; at += page) *static_cast<volatile std::byte*>(at) = std::byte{1};
}

std::size_t resident_pages(const stack_slot& slot) {
    std::vector<unsigned char> pages(stack_pool::size(slot) / page);
    EXPECT_EQ(::mincore(slot.limit, stack_pool::size(slot), pages.data()), 0);
    std::size_t count = 0;
    for (const unsigned char p : pages) count += p & 1U;
    return count;
}

// What the replaced system calls answer and count.
int refuse_install_with = 0;
int refuse_mprotect_with = 0;
std::size_t largest_mmap = SIZE_MAX;
std::atomic<int> drops = 0;  // pools of several threads count here

int fail_with(int error) {
    errno = error;
    return -1;
}

void* limited_mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, long offset) {
    if (bytes <= largest_mmap) return ::mmap(address, bytes, protection, flags, descriptor, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

int counted_madvise(void* address, std::size_t bytes, int advice) {
    if (advice == guard_advice && refuse_install_with != 0) return fail_with(refuse_install_with);
    drops += advice == MADV_DONTNEED;
    return ::madvise(address, bytes, advice);
}

int limited_mprotect(void* address, std::size_t bytes, int protection) {
    return refuse_mprotect_with != 0 ? fail_with(refuse_mprotect_with) : ::mprotect(address, bytes, protection);
}

class StackPool : public testing::Test {
protected:
    void SetUp() override {
        refuse_install_with = refuse_mprotect_with = 0;
        drops = 0;
        largest_mmap = SIZE_MAX;
        stack_calls.mmap = limited_mmap;
        stack_calls.madvise = counted_madvise;
        stack_calls.mprotect = limited_mprotect;
        reset_guard_kind();
    }

    void TearDown() override {
        stack_calls = {::mmap, ::munmap, ::madvise, ::mprotect, ::mincore};
        reset_guard_kind();
    }

    std::vector<stack_slot*> take_many(std::size_t count, std::size_t usable) {
        std::vector<stack_slot*> taken;
        for (std::size_t i = 0; i < count; ++i) taken.push_back(pool_->take(usable));
        return taken;
    }

    void give_all(const std::vector<stack_slot*>& slots) {
        for (stack_slot* slot : slots) pool_->give(slot);
    }

    int owner_ = 0;
    std::unique_ptr<stack_pool> pool_ = std::make_unique<stack_pool>();
};

TEST_F(StackPool, ReusesTheLastOneGivenFirst) {
    stack_slot* a = pool_->take(0);
    stack_slot* b = pool_->take(0);
    EXPECT_NE(a, b);
    pool_->give(a);
    pool_->give(b);
    EXPECT_EQ(pool_->take(0), b);
    EXPECT_EQ(pool_->take(0), a);
    give_all({a, b});
}

TEST_F(StackPool, KeepsSizesApart) {
    stack_slot* small = pool_->take(16 * kib);
    pool_->give(small);
    stack_slot* large = pool_->take(64 * kib);
    EXPECT_NE(small, large);
    EXPECT_EQ(pool_->take(16 * kib), small);
    give_all({large, small});
}

TEST_F(StackPool, CountsWhatItHolds) {
    auto taken = take_many(3, 0);
    pool_->give(taken[1]);
    stack_stats stats = pool_->statistics();
    EXPECT_EQ(stats.live, 2U);
    EXPECT_EQ(stats.free, 1U);
    EXPECT_EQ(stats.peak, 3U);
    EXPECT_EQ(stats.slabs, 1U);
    EXPECT_GE(stats.reserved_bytes, 16 * (default_stack_size + 64 * kib));
    give_all({taken[0], taken[2]});
}

TEST_F(StackPool, Fault_ST09_SizesAreRoundedUpOrRefused) {
    struct expectation {
        std::size_t asked, got;
    };
    for (const auto [asked, got] : {expectation{0, default_stack_size},
                                    {1, 16 * kib},
                                    {16 * kib, 16 * kib},
                                    {16 * kib + 1, 20 * kib},
                                    {48 * kib, 48 * kib},
                                    {100'000, 112 * kib},
                                    {default_stack_size, default_stack_size},
                                    {maximum_stack_size, maximum_stack_size}}) {
        stack_slot* slot = pool_->take(asked);
        EXPECT_EQ(stack_pool::size(*slot), got) << asked;
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(slot->limit) % page, 0U) << asked;
        pool_->give(slot);
    }
    const stack_stats before = pool_->statistics();
    for (const std::size_t asked : {maximum_stack_size + 1, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX}) {
        try {
            pool_->take(asked);
            ADD_FAILURE() << asked << " was granted";
        } catch (const std::invalid_argument& refusal) {
            EXPECT_NE(std::string(refusal.what()).find(std::to_string(asked)), std::string::npos) << refusal.what();
        }
    }
    EXPECT_EQ(pool_->statistics().slabs, before.slabs);
}

TEST_F(StackPool, SizeMaxIsRefusedByAPoolNeverUsed) { EXPECT_THROW(pool_->take(SIZE_MAX), std::invalid_argument); }

TEST_F(StackPool, EveryRequestGetsAtMostAQuarterMore) {
    for (std::size_t asked = 16 * kib; asked <= 8192 * kib; asked += 60 * kib + 1) {
        stack_slot* slot = pool_->take(asked);
        EXPECT_GE(stack_pool::size(*slot), asked);
        EXPECT_LE(stack_pool::size(*slot), asked + asked / 4 + page);
        pool_->give(slot);
    }
}

TEST_F(StackPool, ASlotOf48KibIs64KibWithItsGuard) {
    const auto taken = take_many(2, 48 * kib);
    EXPECT_EQ(taken[1]->limit - taken[0]->limit, std::ptrdiff_t{64 * kib});
    give_all(taken);
}

TEST_F(StackPool, TopsAreSpreadOverTheCache) {
    const auto taken = take_many(16, 0);
    std::set<std::uintptr_t> offsets;
    for (const stack_slot* slot : taken) {
        const auto top = reinterpret_cast<std::uintptr_t>(slot->top);
        EXPECT_EQ(top % 16, 0U);
        EXPECT_LT(slot->limit + stack_pool::size(*slot) - slot->top, 2048);
        offsets.insert(top % page);
    }
    EXPECT_EQ(offsets.size(), 8U);
    give_all(taken);
}

TEST_F(StackPool, GuardHoldsFromEndToEnd) {
    prober probe;
    const auto taken = take_many(3, 0);
    for (const stack_slot* slot : taken) {
        EXPECT_TRUE(probe.readable(slot->limit));
        EXPECT_TRUE(probe.readable(slot->top - 1));
        EXPECT_FALSE(probe.readable(slot->limit - 1));
        EXPECT_FALSE(probe.readable(slot->limit - 32 * kib));
        EXPECT_FALSE(probe.readable(slot->limit - 64 * kib));
    }
    give_all(taken);
    pool_->trim();
    stack_slot* again = pool_->take(0);
    EXPECT_FALSE(probe.readable(again->limit - 1));
    pool_->give(again);
}

TEST_F(StackPool, GuardSurvivesGivingPagesBack) {
    prober probe;
    const auto taken = take_many(2, 0);
    touch(taken[0]->limit, taken[0]->top);
    pool_->give(taken[0]);
    pool_->trim();
    EXPECT_EQ(pool_->take(0), taken[0]);
    EXPECT_EQ(resident_pages(*taken[0]), 0U);
    EXPECT_FALSE(probe.readable(taken[0]->limit - 1));
    give_all(taken);
}

TEST_F(StackPool, Fault_ST05_MmapRefusedThrowsAndChangesNothing) {
    const auto taken = take_many(16, 0);  // the first slab is used up
    const stack_stats before = pool_->statistics();
    largest_mmap = 0;
    for (int attempt = 0; attempt < 3; ++attempt) {
        try {
            pool_->take(0);
            ADD_FAILURE() << "granted";
        } catch (const std::system_error& refusal) {
            EXPECT_EQ(refusal.code().value(), ENOMEM);
            EXPECT_NE(std::string(refusal.what()).find("262144"), std::string::npos) << refusal.what();
        }
    }
    const stack_stats after = pool_->statistics();
    EXPECT_EQ(after.live, before.live);
    EXPECT_EQ(after.slabs, before.slabs);
    EXPECT_EQ(after.reserved_bytes, before.reserved_bytes);
    pool_->give(taken[3]);
    EXPECT_EQ(pool_->take(0), taken[3]) << "a free stack needs no mapping";
    largest_mmap = SIZE_MAX;
    pool_->give(pool_->take(0));
    give_all(taken);
}

TEST_F(StackPool, Fault_ST05_ShortAddressSpaceMakesSmallerSlabs) {
    largest_mmap = 700 * kib;
    const auto taken = take_many(5, 0);
    EXPECT_EQ(pool_->statistics().slabs, 3U) << "two stacks of 320 KiB fit each";
    give_all(taken);
}

TEST_F(StackPool, Fault_ST06_InstallRefusedFallsBackToMprotect) {
    prober probe;
    for (const int refusal : {EINVAL, EPERM}) {
        reset_guard_kind();
        refuse_install_with = refusal;
        stack_pool pool;
        stack_slot* slot = pool.take(0);
        EXPECT_EQ(pool.statistics().guard, guard_kind::mprotect);
        EXPECT_EQ(pool.statistics().unguarded, 0U);
        EXPECT_TRUE(probe.readable(slot->limit));
        EXPECT_FALSE(probe.readable(slot->limit - 1));
        EXPECT_FALSE(probe.readable(slot->limit - 64 * kib));
        pool.give(slot);
    }
}

TEST_F(StackPool, Fault_ST06_BothRefusedIsSaidOnceAndCounted) {
    refuse_install_with = EINVAL;
    stack_slot* guarded = pool_->take(0);
    refuse_mprotect_with = ENOMEM;
    testing::internal::CaptureStderr();
    const auto taken = take_many(40, 0);
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("copse: the kernel refuses guard zones"), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
    EXPECT_EQ(pool_->statistics().guard, guard_kind::none);
    EXPECT_EQ(pool_->statistics().unguarded, 40U);
    EXPECT_FALSE(prober().readable(guarded->limit - 1));
    give_all(taken);
    pool_->give(guarded);
}

TEST_F(StackPool, Fault_ST07_TwentyThousandAreAllGuarded) {
    prober probe;
    const auto taken = take_many(20'000, 48 * kib);
    for (const stack_slot* slot : taken) {
        ASSERT_TRUE(probe.readable(slot->top - 1));
        ASSERT_FALSE(probe.readable(slot->limit - 1));
    }
    if (current_guard_kind() == guard_kind::install) {
        EXPECT_EQ(pool_->statistics().unguarded, 0U);
    }
    give_all(taken);
    pool_->trim();
    EXPECT_EQ(pool_->statistics().reserved_bytes, 0U);
}

TEST_F(StackPool, Fault_ST08_ChurnIsBounded) {
    std::vector<stack_slot*> held(64, nullptr);
    stack_stats warm;
    std::uint32_t seed = 1;
    for (int i = 0; i < 1'000'000; ++i) {
        seed = seed * 1'664'525U + 1'013'904'223U;
        stack_slot*& place = held[seed >> 26];
        if (place != nullptr) pool_->give(place);
        place = place != nullptr ? nullptr : pool_->take((seed & 0x100U) != 0 ? 0 : 32 * kib);
        if (i == 100'000) warm = pool_->statistics();
    }
    EXPECT_LE(pool_->statistics().free + pool_->statistics().live, 2 * held.size());
    EXPECT_LE(pool_->statistics().slabs, warm.slabs + 2);
    for (stack_slot* slot : held)
        if (slot != nullptr) pool_->give(slot);
}

TEST_F(StackPool, Fault_ST10_WipedStacksHoldNothingOfTheirPredecessor) {
    pool_->set_wiping(true);
    stack_slot* slot = pool_->take(0);
    run_on(*slot, [&] {
        volatile char secret[2000];
        for (volatile char& c : secret) c = 's';
        pool_->give(slot);
    });
    pool_->settle();
    EXPECT_EQ(pool_->take(0), slot);
    for (const std::byte* at = slot->limit; at < slot->top; ++at) ASSERT_EQ(*at, std::byte{});
    pool_->give(slot);
}

TEST_F(StackPool, Fault_ST14_SlabsHaveNoHugePages) {
    stack_slot* slot = pool_->take(0);
    std::ifstream smaps("/proc/self/smaps");
    const auto address = reinterpret_cast<std::uintptr_t>(slot->limit);
    bool inside = false;
    std::string flags;
    for (std::string line; std::getline(smaps, line);) {
        unsigned long begin{};
        unsigned long end{};
        if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) inside = begin <= address && address < end;
        if (inside && line.starts_with("VmFlags:")) flags = line + " ";
    }
    EXPECT_NE(flags.find(" nh "), std::string::npos) << flags;
    pool_->give(slot);
}

TEST_F(StackPool, Fault_ST15_FreedStacksArePoisonedUnderAddressSanitizer) {
    if (__asan_address_is_poisoned == nullptr) GTEST_SKIP() << "needs AddressSanitizer";
    stack_slot* slot = pool_->take(0);
    std::byte* local = slot->top - 64;
    EXPECT_FALSE(__asan_address_is_poisoned(local));
    run_on(*slot, [&] { pool_->give(slot); });
    pool_->settle();
    EXPECT_TRUE(__asan_address_is_poisoned(local));
    EXPECT_TRUE(__asan_address_is_poisoned(slot->limit));
    EXPECT_EQ(pool_->take(0), slot);
    EXPECT_FALSE(__asan_address_is_poisoned(local));
    pool_->give(slot);
}

TEST_F(StackPool, HighWaterIsTheDeepestTouchedPage) {
    stack_slot* slot = pool_->take(0);
    const auto colour = static_cast<std::size_t>(slot->limit + default_stack_size - slot->top);
    EXPECT_EQ(stack_pool::high_water(*slot), 0U) << "never touched";
    touch(slot->top - 100, slot->top);
    EXPECT_EQ(stack_pool::high_water(*slot), page - colour);
    touch(slot->limit + 30 * page + 5, slot->limit + 30 * page + 6);
    EXPECT_EQ(stack_pool::high_water(*slot), default_stack_size - 30 * page - colour);
    touch(slot->limit, slot->limit + 1);
    EXPECT_EQ(stack_pool::high_water(*slot), default_stack_size - colour);
    pool_->give(slot);
}

TEST_F(StackPool, HighWaterSpansLargeStacks) {
    stack_slot* slot = pool_->take(64 * 1024 * kib);
    const auto whole = static_cast<std::size_t>(slot->top - slot->limit);
    touch(slot->limit + 7000 * page, slot->limit + 7000 * page + 1);
    EXPECT_EQ(stack_pool::high_water(*slot), whole - 7000 * page);
    pool_->give(slot);
}

TEST_F(StackPool, AShallowStackCostsNoSystemCallToKeep) {
    stack_slot* slot = pool_->take(0);
    for (int use = 0; use < 3000; ++use) {
        touch(slot->top - 4 * kib, slot->top);
        pool_->give(slot);
        ASSERT_EQ(pool_->take(0), slot);
    }
    EXPECT_EQ(drops, 0);
    pool_->give(slot);
}

TEST_F(StackPool, ADeepStackGivesPagesBackOnSomeUses) {
    std::vector<int> uses;
    stack_slot* slot = pool_->take(0);
    for (int use = 1; use <= 3072; ++use) {
        touch(slot->limit, slot->top);
        const int before = drops;
        pool_->give(slot);
        if (drops != before) uses.push_back(use);
        ASSERT_EQ(pool_->take(0), slot);
    }
    EXPECT_EQ(uses, (std::vector<int>{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3072}));
    EXPECT_EQ(resident_pages(*slot), 4U) << "16 KiB stay";
    pool_->give(slot);
}

TEST_F(StackPool, GivingTheStackOneStandsOnKeepsItsFrames) {
    stack_slot* slot = pool_->take(0);
    std::uint64_t sum = 0;
    run_on(*slot, [&] {
        volatile std::uint64_t frame[6000];  // 48 kB: well below what a shallow stack keeps
        for (std::uint64_t i = 0; i < 6000; ++i) frame[i] = i;
        touch(slot->limit, slot->limit + 100 * kib);
        pool_->give(slot);
        for (const volatile std::uint64_t& value : frame) sum += value;
    });
    EXPECT_EQ(sum, 6000ULL * 5999 / 2);
    EXPECT_EQ(drops, 1);
    EXPECT_LT(stack_pool::high_water(*slot), 48 * kib + 8 * kib + 4 * page);
}

TEST_F(StackPool, TrimGivesBackFreeStacksAndWholeSlabs) {
    auto taken = take_many(16 + 32, 0);
    for (const stack_slot* slot : taken) touch(slot->top - 8 * kib, slot->top);
    stack_slot* kept = taken[2];
    taken.erase(taken.begin() + 2);
    stack_slot* neighbour = taken[0];
    give_all(taken);
    EXPECT_EQ(pool_->statistics().slabs, 2U);
    pool_->trim();
    const stack_stats stats = pool_->statistics();
    EXPECT_EQ(stats.slabs, 1U);
    EXPECT_EQ(stats.live, 1U);
    EXPECT_EQ(stats.free, 15U);
    EXPECT_EQ(resident_pages(*neighbour), 0U);
    EXPECT_GE(resident_pages(*kept), 2U);
    const auto again = take_many(40, 0);
    EXPECT_EQ(pool_->statistics().live, 41U);
    give_all(again);
    pool_->give(kept);
}

TEST_F(StackPool, TrimSparesTheStackItRunsOn) {
    stack_slot* slot = pool_->take(0);
    bool intact = false;
    run_on(*slot, [&] {
        volatile char frame[20'000];
        for (volatile char& c : frame) c = 7;
        pool_->give(slot);
        pool_->trim();
        intact = true;
        for (const volatile char& c : frame) intact = intact && c == 7;
    });
    EXPECT_TRUE(intact);
    EXPECT_EQ(pool_->statistics().slabs, 1U);
    pool_->trim();
    EXPECT_EQ(pool_->statistics().slabs, 0U);
}

TEST_F(StackPool, AbandonedStacksAreNeverReusedNorUnmapped) {
    prober probe;
    stack_slot* lost = pool_->take(0);
    touch(lost->top - 8, lost->top);
    lost->owner = &owner_;
    pool_->abandon(lost);
    EXPECT_EQ(pool_->statistics().live, 0U);
    EXPECT_EQ(pool_->statistics().abandoned, 1U);
    EXPECT_NE(pool_->take(0), lost);
    std::byte* address = lost->top - 8;
    pool_.reset();
    EXPECT_TRUE(probe.readable(address));
}

TEST_F(StackPool, DestructionUnmapsEverythingFree) {
    prober probe;
    const auto taken = take_many(20, 0);
    std::byte* address = taken[0]->limit;
    std::byte* guard = taken[0]->limit - 1;
    taken[0]->owner = &owner_;
    EXPECT_EQ(find_guard(guard), taken[0]);
    give_all(taken);
    pool_.reset();
    EXPECT_FALSE(probe.readable(address));
    EXPECT_EQ(find_guard(guard), nullptr);
}

TEST_F(StackPool, FindGuardKnowsTakenStacksOnly) {
    const auto taken = take_many(2, 0);
    EXPECT_EQ(find_guard(taken[1]->limit - 1), nullptr) << "no owner yet";
    taken[1]->owner = &owner_;
    EXPECT_EQ(find_guard(taken[1]->limit - 1), taken[1]);
    EXPECT_EQ(find_guard(taken[1]->limit - 64 * kib), taken[1]);
    EXPECT_EQ(find_guard(taken[1]->limit), nullptr);
    EXPECT_EQ(find_guard(taken[1]->limit - 64 * kib - 1), nullptr) << "the neighbour's top";
    EXPECT_EQ(find_guard(taken[1]), nullptr) << "the slab's head";
    EXPECT_EQ(find_guard(nullptr), nullptr);
    EXPECT_EQ(find_guard(&owner_), nullptr);
    give_all(taken);
    EXPECT_EQ(find_guard(taken[1]->limit - 1), nullptr);
}

TEST_F(StackPool, PoolsOfManyThreadsShareTheTable) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([this] {
            for (int round = 0; round < 20; ++round) {
                stack_pool pool;
                std::vector<stack_slot*> taken;
                for (std::size_t size = 16 * kib; size < 4096 * kib; size += size / 4) taken.push_back(pool.take(size));
                for (stack_slot* slot : taken) {
                    slot->owner = &owner_;
                    EXPECT_EQ(find_guard(slot->limit - 1), slot);
                }
                for (stack_slot* slot : taken) pool.give(slot);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace copse::detail
