#pragma once

/// The simplest handler there is, and whether a client has found it.

#include "io_leak_check.hpp"

#include <copse/io.hpp>

#include <sys/socket.h>

#include <system_error>
#include <utility>

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

/// A server, and a way to end it that is not its own.
struct mortal_server {
    void end() const { ASSERT_EQ(::shutdown(number, SHUT_RDWR), 0); }

    copse::io::socket listener = copse::io::listen("127.0.0.1:0");
    int number = listener.native_handle();
    copse::io::stream_server server{std::move(listener), echo};
};

}  // namespace copse_test
