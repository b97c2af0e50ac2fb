/// What is known of a datagram besides its bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include <copse/io/endpoint.hpp>

namespace copse::io {

/// What `socket::recv_from` returns.
struct datagram {
    std::size_t size = 0;       ///< bytes that are in the buffer
    endpoint from;              ///< empty if the sender has no address
    bool truncated = false;     ///< the buffer was too small, and the rest is lost
    std::size_t full_size = 0;  ///< bytes that were sent
};

/// A place for a datagram, of those that `socket::recv_many` fills.
struct datagram_slot {
    std::span<std::byte> buffer;  ///< where to
    datagram received{};

    std::span<const std::byte> bytes() const noexcept { return buffer.first(received.size); }
    std::string_view text() const noexcept { return {reinterpret_cast<const char*>(buffer.data()), received.size}; }
};

/// One of the datagrams that `socket::send_many` sends.
struct outgoing_datagram {
    std::span<const std::byte> bytes;
    endpoint to{};  ///< empty: the peer that the socket is connected to
};

}  // namespace copse::io
