// Pools of stacks: the pages below them, which ones are kept, given back, wiped and poisoned. ST10, ST14, ST15.

#include "stack_pool.hpp"
#include "stack_pool_fixture.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

extern "C" [[gnu::weak]] int __asan_address_is_poisoned(const volatile void*);

namespace copse::detail {
namespace {

using namespace copse_test;
using StackPool = stack_pool_fixture;

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

}  // namespace
}  // namespace copse::detail
