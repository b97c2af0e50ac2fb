#pragma once

/// A fixture for sockets: a buffer to receive into, and a way to make a sender wait.

#include "io_leak_check.hpp"

#include <array>
#include <cstddef>
#include <string>

namespace copse_test {

class socket_fixture : public io_leak_check {
protected:
    std::array<std::byte, 4096> buffer{};

    /// Fills the kernel's buffers until nothing more goes in.
    static std::size_t fill(copse::io::socket& s) {
        const std::string block(64 * 1024, 'x');
        std::size_t sent = 0;
        while (const auto n = s.try_send(block)) sent += *n;
        return sent;
    }
};

}  // namespace copse_test
