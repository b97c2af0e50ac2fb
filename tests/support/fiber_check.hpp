#pragma once

/// A leak_check for tests of fibers: in virtual time, and nothing of the hub's is left behind either.

#include "leak_check.hpp"

#include <copse/hub.hpp>
#include <copse/virtual_time.hpp>

#include <gtest/gtest.h>

namespace copse_test {

/// The hub's greenlet gets its stack before anything is counted.
struct hub_with_stack {
    hub_with_stack() {
        copse::hub::current().post([] {});
        copse::hub::current().run_until_idle();
    }
};

class fiber_check : hub_with_stack, public leak_check {
protected:
    void TearDown() override {
        copse::hub::current().run_until_idle();
        EXPECT_EQ(copse::hub::current().stats().timers, 0u);
        EXPECT_EQ(copse::hub::current().stats().fibers, 0u);
        leak_check::TearDown();
    }

    copse::virtual_time time;
};

}  // namespace copse_test
