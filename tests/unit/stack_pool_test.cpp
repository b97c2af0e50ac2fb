// Pools of stacks: which one is taken, how large it is, what is counted, how a pool ends. ST08, ST09.

#include "stack_pool.hpp"
#include "stack_pool_fixture.hpp"

#include <cstddef>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace copse::detail {
namespace {

using namespace copse_test;
using StackPool = stack_pool_fixture;

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
