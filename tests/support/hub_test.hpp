#pragma once

/// A fixture for what fibers do: time is virtual, and nothing may still run, wait or sleep when the test ends.

#include "leak_check.hpp"

#include <copse/fibers.hpp>
#include <copse/virtual_time.hpp>

#include <gtest/gtest.h>

namespace copse_test {

/// The hub has its stack before anything is counted.
struct hub_with_stack {
    hub_with_stack() {
        copse::hub::current().post([] {});
        copse::hub::current().run_until_idle();
    }
};

class hub_test : private hub_with_stack, public leak_check {
protected:
    void TearDown() override {
        copse::hub::current().run_until_idle();
        EXPECT_EQ(copse::hub::current().stats().timers, 0U) << "timers are still armed";
        EXPECT_EQ(copse::hub::current().stats().fibers, 0U) << "fibers have not finished";
        leak_check::TearDown();
    }

    copse::virtual_time time;
};

}  // namespace copse_test
