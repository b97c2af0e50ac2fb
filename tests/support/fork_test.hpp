#pragma once

/// Tests that fork: the fixture, and what is to be done in the child.

#include "fork_at_rest.hpp"
#include "hub_test.hpp"
#include "sanitizer.hpp"

#include <copse/fiber.hpp>
#include <copse/spawn.hpp>

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>

namespace copse_test {

class fork_test : public hub_test {
protected:
    void SetUp() override {
        // ThreadSanitizer takes fibers for threads, and sees nothing any more in the child of a process with several.
        if (thread_sanitized) GTEST_SKIP() << "ThreadSanitizer cannot follow";
    }
};

/// Forks right here. The child does `body` and is gone; it succeeds if nothing in it failed or was thrown. A test whose other
/// threads are never at rest forks `by` fork itself.
inline void in_child(const std::function<void()>& body, pid_t (*by)() = fork_at_rest) {
    std::fflush(stdout);
    const pid_t forked = by();
    if (forked == 0) {
        try {
            body();
        } catch (const std::exception& e) {
            ADD_FAILURE() << "the child threw: " << e.what();
        }
        std::fflush(stdout);
        ::_exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(forked, &status, 0), forked);
    EXPECT_EQ(status, 0);
}

/// The same from a fiber, after all that is ready now has run.
inline void in_child_of_fiber(const std::function<void()>& body) {
    copse::spawn([&] { in_child(body); }).get();
}

}  // namespace copse_test
