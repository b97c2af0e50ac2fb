#pragma once

/// A fixture for poll, with a kernel that may be replaced. Include in unit tests only: it sees io/src.

#include "io_leak_check.hpp"
#include "io_system_calls.hpp"

#include <copse/io.hpp>

#include <gtest/gtest.h>

#include <poll.h>

#include <cstddef>

namespace copse_test {

class poll_fixture : public io_leak_check {
protected:
    ~poll_fixture() override { put_back_system_calls(); }

    static std::size_t watching() { return copse::hub::current().stats().watching; }

    /// What one descriptor has, waiting for it.
    static short poll_one(int fd, short events) {
        pollfd one[] = {{fd, events, 0}};
        EXPECT_EQ(copse::io::poll(one), 1U);
        return one[0].revents;
    }
};

}  // namespace copse_test
