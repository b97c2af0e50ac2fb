#pragma once

/// A fixture for datagrams: a buffer to receive into, and names that no other run of the tests has.

#include "io_leak_check.hpp"

#include <unistd.h>

#include <array>
#include <cstddef>
#include <string>

namespace copse_test {

class datagram_fixture : public io_leak_check {
protected:
    std::array<std::byte, 4096> buffer{};

    std::string text(const copse::io::datagram& d) const {
        return {reinterpret_cast<const char*>(buffer.data()), d.size};
    }

    static std::string abstract(const char* name) {
        return "unix:@copse-datagram-" + std::to_string(::getpid()) + "-" + name;
    }
};

}  // namespace copse_test
