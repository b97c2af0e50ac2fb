// A datagram as the kernel's calls want it.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>

#include <copse/io/datagram.hpp>

#include "entry.hpp"

namespace copse::io::detail {

inline iovec piece_of(std::span<const std::byte> bytes) noexcept {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};  // iovec serves both directions
}

/// Refers to all of its arguments.
inline msghdr message_to(const endpoint& there, iovec& piece) noexcept {
    msghdr m{};
    if (!there.empty()) {
        m.msg_name = const_cast<sockaddr*>(there.native());
        m.msg_namelen = there.native_size();
    }
    m.msg_iov = &piece;
    m.msg_iovlen = 1;
    return m;
}

inline msghdr message_from(sockaddr_storage& sender, iovec& piece) noexcept {
    msghdr m{};
    m.msg_name = &sender;
    m.msg_namelen = sizeof sender;
    m.msg_iov = &piece;
    m.msg_iovlen = 1;
    return m;
}

/// With this flag the kernel tells a cut message's whole length; a stream would throw the bytes away instead.
inline int whole_length(const entry& e) noexcept { return e.messages ? MSG_TRUNC : 0; }

/// `length` is what the kernel returned for it.
inline datagram datagram_of(const sockaddr_storage& sender, socklen_t sender_size, std::size_t length,
                            std::size_t room) {
    datagram d;
    d.truncated = length > room;
    d.full_size = length;
    d.size = length < room ? length : room;
    d.from = endpoint::from_native(reinterpret_cast<const sockaddr*>(&sender), sender_size);
    return d;
}

}  // namespace copse::io::detail
