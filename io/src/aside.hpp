// Receiving from another queue than that of ordinary data.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "entry.hpp"

namespace copse::io::detail {

/// Errors and urgent data have queues of their own: that one is empty says nothing of ordinary data, and its event may have
/// been for both. So afterwards the entry remembers that there may be some.
class aside {
public:
    aside(entry& e, int flags) noexcept
        : e_(e), generation_(e.generation), is_((flags & (MSG_ERRQUEUE | MSG_OOB)) != 0) {}
    aside(const aside&) = delete;
    aside& operator=(const aside&) = delete;
    ~aside() {
        if (is_ && e_.generation == generation_) e_.ready |= bit(direction::in);
    }

private:
    entry& e_;
    std::uint32_t generation_;
    bool is_;
};

}  // namespace copse::io::detail
