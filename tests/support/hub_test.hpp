#pragma once

/// A fixture for fibers in virtual time that fails a test which leaves fibers, deadlines or greenlets behind.

#include "leak_check.hpp"

#include <copse/hub.hpp>
#include <copse/virtual_time.hpp>

namespace copse_test {

/// The hub's own greenlet has its stack before the leak check counts.
struct hub_with_stack {
    hub_with_stack() {
        copse::hub::current().post([] {});
        copse::hub::current().run_until_idle();
    }
};

class hub_test : hub_with_stack, public leak_check {
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
