// Pools of stacks: guard zones, and a kernel that refuses them or memory. ST05 to ST07.

#include "stack_pool.hpp"
#include "stack_pool_fixture.hpp"

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

namespace copse::detail {
namespace {

using namespace copse_test;
using StackPool = stack_pool_fixture;

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

}  // namespace
}  // namespace copse::detail
