// Permits for a scope.

#include "hub_test.hpp"

#include <copse/fibers.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <utility>

using copse::permit;
using namespace std::chrono_literals;

namespace {

class Permit : public copse_test::hub_test {
protected:
    copse::semaphore places{1};
};

}  // namespace

TEST_F(Permit, IsGivenBackAtTheEndOfTheScope) {
    {
        const permit place(places);
        EXPECT_TRUE(place.held());
        EXPECT_EQ(places.available(), 0);
    }
    EXPECT_EQ(places.available(), 1);
}

TEST_F(Permit, IsGivenBackByAKill) {
    auto f = copse::spawn([&] {
        const permit place(places);
        copse::sleep(1h);
    });
    copse::yield();
    f.kill();
    EXPECT_EQ(places.available(), 1);
}

TEST_F(Permit, OfWhoIsKilledWhileWaitingIsNone) {
    const permit place(places);
    auto f = copse::spawn([&] { const permit second(places); });
    copse::yield();
    f.kill();
    EXPECT_EQ(places.available(), 0);
}

TEST_F(Permit, TriedTellsWhetherItIsHeld) {
    const permit first(places, std::try_to_lock);
    const permit second(places, std::try_to_lock);
    EXPECT_TRUE(first);
    EXPECT_FALSE(second);
}

TEST_F(Permit, AdoptedIsNotAcquiredAgain) {
    places.acquire();
    { const permit place(places, std::adopt_lock); }
    EXPECT_EQ(places.available(), 1);
}

TEST_F(Permit, MovesAndIsGivenBackOnce) {
    {
        permit first(places);
        permit second(std::move(first));
        EXPECT_TRUE(second.held());
        copse::semaphore others(1);
        permit third(others);
        third = permit(others, std::try_to_lock);  // gives the old one back first or last: it is one permit less
        EXPECT_FALSE(third.held());
        EXPECT_EQ(others.available(), 1);
        second.give_back();
        second.give_back();
        EXPECT_EQ(places.available(), 1);
    }
    EXPECT_EQ(places.available(), 1);
}

TEST_F(Permit, OfABoundedSemaphore) {
    copse::bounded_semaphore bounded(2);
    {
        const permit one(bounded);
        const permit two(bounded);
        EXPECT_EQ(bounded.available(), 0);
    }
    EXPECT_EQ(bounded.available(), 2);
}
