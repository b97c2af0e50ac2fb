// The exception types: their place in the hierarchy, their texts, and that copying them is safe.

#include <copse/error.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>

using namespace std::chrono_literals;

namespace {

template <class E>
class ErrorMisuse : public testing::Test {};

using misuse_types =
    testing::Types<copse::wrong_thread, copse::parent_cycle, copse::parent_of_main, copse::bad_value_cast,
                   copse::empty_handle, copse::null_callable, copse::thread_exited, copse::concurrent_use,
                   copse::blocking_in_hub, copse::not_switchable, copse::already_started, copse::fiber_killed,
                   copse::value_taken, copse::not_owner, copse::self_deadlock, copse::already_set, copse::queue_closed,
                   copse::task_done_too_often, copse::would_block_forever, copse::not_deterministic,
                   copse::invalid_duration>;
TYPED_TEST_SUITE(ErrorMisuse, misuse_types);

TYPED_TEST(ErrorMisuse, IsAnErrorWithTheThrowersText) {
    static_assert(std::is_base_of_v<copse::error, TypeParam> && std::is_base_of_v<std::logic_error, TypeParam>);
    static_assert(!std::is_convertible_v<std::string, TypeParam>);
    static_assert(std::is_nothrow_copy_constructible_v<TypeParam>);
    const std::string text = "who did what";
    try {
        throw TypeParam(text);
    } catch (const copse::error& e) {
        EXPECT_EQ(e.what(), text);
        EXPECT_TRUE(typeid(e) == typeid(TypeParam));
    }
}

TEST(GreenletExit, IsNotAnException) {
    static_assert(!std::is_base_of_v<std::exception, copse::greenlet_exit>);
    try {
        throw copse::greenlet_exit();
    } catch (const std::exception&) {
        FAIL() << "swallowed by an ordinary handler";
    } catch (const copse::greenlet_exit& e) {
        EXPECT_STREQ(e.what(), "greenlet_exit");
    }
}

struct own_exit : copse::greenlet_exit {
    explicit own_exit(int& destroyed) : destroyed_(&destroyed) {}
    ~own_exit() override { ++*destroyed_; }
    [[nodiscard]] const char* what() const noexcept override { return "own_exit"; }

private:
    int* destroyed_;
};

TEST(GreenletExit, MayBeDerivedFromAndCopied) {
    int destroyed = 0;
    try {
        throw own_exit(destroyed);
    } catch (const copse::greenlet_exit& e) {
        EXPECT_STREQ(e.what(), "own_exit");
        const copse::greenlet_exit plain = e;
        EXPECT_STREQ(plain.what(), "greenlet_exit");
    }
    EXPECT_EQ(destroyed, 1);
}

std::string text_of(std::chrono::nanoseconds length) { return copse::timeout_expired(1, length).what(); }

TEST(TimeoutExpired, NamesItsLengthExactly) {
    EXPECT_EQ(text_of(10ms), "timeout of 10 ms expired");
    EXPECT_EQ(text_of(2s), "timeout of 2 s expired");
    EXPECT_EQ(text_of(90min), "timeout of 5400 s expired");
    EXPECT_EQ(text_of(1500ms), "timeout of 1.5 s expired");
    EXPECT_EQ(text_of(250us), "timeout of 250 us expired");
    EXPECT_EQ(text_of(1ns), "timeout of 1 ns expired");
    EXPECT_EQ(text_of(1'000'001ns), "timeout of 1.000001 ms expired");
    EXPECT_EQ(text_of(0s), "timeout of 0 s expired");
    EXPECT_EQ(text_of(-5s), "timeout of 0 s expired");
    EXPECT_EQ(text_of(std::chrono::nanoseconds::max()), "timeout of 9223372036.854775807 s expired");
    EXPECT_EQ(text_of(std::chrono::nanoseconds::min()), "timeout of 0 s expired");
}

TEST(TimeoutExpired, KeepsItsSerialThroughCopiesAndExceptionPointers) {
    static_assert(std::is_nothrow_copy_constructible_v<copse::timeout_expired> &&
                  std::is_nothrow_copy_assignable_v<copse::timeout_expired>);
    static_assert(!std::is_base_of_v<copse::error, copse::timeout_expired>);
    const std::exception_ptr stored = std::make_exception_ptr(copse::timeout_expired(UINT64_MAX, 10ms));
    try {
        std::rethrow_exception(stored);
    } catch (const std::exception& e) {
        const auto copy = dynamic_cast<const copse::timeout_expired&>(e);
        EXPECT_EQ(copy.serial(), UINT64_MAX);
        EXPECT_STREQ(copy.what(), e.what());
        EXPECT_STREQ(copy.what(), "timeout of 10 ms expired");
    }
}

}  // namespace
