// Semaphores that are not given back more than was taken. Gevent rule 87; decision 3; SY04.

#include <copse/semaphore.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <limits>
#include <stdexcept>
#include <type_traits>

using copse::bounded_semaphore;
using copse::spawn;
using copse::yield;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class BoundedSemaphore : public copse_test::hub_test {};

// Else its release could be gone round.
static_assert(!std::is_convertible_v<bounded_semaphore*, copse::semaphore*>);

// rule 87, SY04
TEST_F(BoundedSemaphore, Fault_SY04_AReleaseTooManyIsRefusedAndChangesNothing) {
    EXPECT_THROW(bounded_semaphore(-1), std::invalid_argument);
    bounded_semaphore permits(2);
    EXPECT_EQ(permits.bound(), 2);
    EXPECT_THROW(permits.release(), std::overflow_error);
    permits.acquire();
    EXPECT_THROW(permits.release(2), std::overflow_error);
    EXPECT_THROW(permits.release(std::numeric_limits<std::ptrdiff_t>::max()), std::overflow_error);
    EXPECT_THROW(permits.release(-1), std::invalid_argument);
    EXPECT_EQ(permits.available(), 1);
    permits.release(0);
    permits.release();
    EXPECT_EQ(permits.available(), 2);
    EXPECT_NE(what_is_thrown_by([&] { permits.release(); }).find("0 of 2 are taken"), std::string::npos);
}

// What was handed to a waiter is still taken.
TEST_F(BoundedSemaphore, Fault_SY04_CountsWhatWaitersWereGiven) {
    bounded_semaphore permits(1);
    permits.acquire();
    const auto waiter = spawn([&] {
        permits.acquire();
        log("waiter");
        permits.release();
    });
    yield();
    permits.release();
    permits.acquire();
    log("main");
    permits.release();
    EXPECT_THROW(permits.release(), std::overflow_error);
    EXPECT_EQ(log.text(), "waiter main");
    waiter.join();
}

TEST_F(BoundedSemaphore, OtherwiseIsASemaphore) {
    bounded_semaphore permits(1);
    EXPECT_TRUE(permits.try_acquire());
    EXPECT_TRUE(permits.locked());
    EXPECT_FALSE(permits.try_acquire());
    EXPECT_FALSE(permits.try_acquire_for(1s));
    EXPECT_FALSE(permits.try_acquire_until(copse::clock::now() + 1s));
    EXPECT_FALSE(permits.wait_for(1s));
    const auto killed = spawn([&] { permits.acquire(); });
    yield();
    killed.kill();
    permits.release();
    permits.wait();
    EXPECT_TRUE(permits.wait_until(copse::clock::now()));
    EXPECT_EQ(permits.available(), 1);
}

}  // namespace
