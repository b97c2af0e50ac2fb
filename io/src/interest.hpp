// One descriptor of several that a fiber waits for: of poll's, or a selector's own epoll.
#pragma once

#include <cstdint>

#include <copse/detail/wait.hpp>

#include "entry.hpp"

namespace copse::io::detail {

struct interest : watch {
    /// `wanted`: events of epoll, whose bits are those of poll; 0: errors and the end only.
    interest(int number, std::uint32_t wanted) noexcept;

    int fd;                             // -1: passed over
    bool gone = false;                  // the number has changed hands since: not to be asked about any more
    bool told = false;                  // something has happened since await_any() began
    copse::detail::wait* of = nullptr;  // while its fiber is parked
};

}  // namespace copse::io::detail
