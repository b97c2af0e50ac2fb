#pragma once

/// A fixture that fails a test which leaves anything of copse behind on its thread.

#include "event_log.hpp"

#include <copse/debug.hpp>
#include <copse/greenlet.hpp>
#include <copse/trace.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <exception>
#include <utility>

namespace copse_test {

class leak_check : public testing::Test {
protected:
    void TearDown() override {
        copse::greenlet::current();  // lets drops that came from other threads happen
        EXPECT_TRUE(copse::greenlet::current().is_main()) << "the test ended in " << copse::greenlet::current();
        EXPECT_EQ(copse::debug::live_greenlets(), greenlets_before_) << "greenlets were left behind";
        EXPECT_EQ(copse::debug::live_stacks(), stacks_before_) << "stacks were left behind";
        EXPECT_FALSE(copse::set_trace({})) << "a trace was left behind";
        EXPECT_FALSE(copse::set_error_handler({})) << "an error handler was left behind";
        EXPECT_EQ(std::uncaught_exceptions(), 0);
        EXPECT_EQ(std::current_exception(), nullptr);
    }

    event_log log;

private:
    std::size_t greenlets_before_ = copse::debug::live_greenlets();
    std::size_t stacks_before_ = copse::debug::live_stacks();
};

/// Suspends the current greenlet in favour of its parent.
template <class... Args>
copse::value to_parent(Args&&... args) {
    return copse::greenlet::current().parent().switch_to(std::forward<Args>(args)...);
}

}  // namespace copse_test
