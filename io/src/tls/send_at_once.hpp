// TLS ends its handshake with a small message, and a small request follows: together with the receiver's delayed
// acknowledgement, Nagle's algorithm would keep the second back for 40 ms.
#pragma once

#include <sys/socket.h>

#include <system_error>

#include <copse/io/socket.hpp>
#include <copse/io/socket_option.hpp>

namespace copse::io::detail {

inline void send_at_once(socket& s) noexcept {
    try {
        s.set_option(no_delay(true));
    } catch (const std::system_error&) {
        // A Unix socket, or one whose peer is gone: that is told by the next verb.
    }
}

}  // namespace copse::io::detail
