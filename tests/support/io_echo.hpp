#pragma once

/// The simplest handler there is, and whether a client has found it.

#include "io_leak_check.hpp"

#include <copse/io.hpp>

#include <system_error>

namespace copse_test {

inline void echo(copse::io::socket client) {
    while (auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
}

/// Whether it is served.
inline bool is_served(copse::io::socket& client) {
    try {
        client.send_all("abc");
        return recv_text(client) == "abc";
    } catch (const std::system_error&) {
        return false;  // closed before it was read from
    }
}

}  // namespace copse_test
