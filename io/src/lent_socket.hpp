// A socket that was given away, to a stream of another kind or to a user's function, and may have to be shut all the same.
#pragma once

#include <sys/socket.h>

#include "failure.hpp"
#include "socket_access.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

/// A close will be a reset.
inline void forget_peer(int fd) noexcept {
    const ::linger none{.l_onoff = 1, .l_linger = 0};
    sys.setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

/// Its number may be somebody else's by now: then nothing is done.
class lent_socket {
public:
    lent_socket() noexcept = default;
    /// To be made before it is given away.
    /// Throws:  std::system_error(EBADF) if it is closed.
    explicit lent_socket(const socket& s) : entry_(&socket_access::use(s, "serve")), whose_(origin_of(*entry_)) {}

    /// What its errors say that they come from.
    const origin& whose() const noexcept { return whose_; }

    /// Who waits for the peer learns that nothing comes any more; with `both`, nothing goes either.
    void shut_down(shut how) const noexcept {
        if (is_still_there()) sys.shutdown(whose_.fd, static_cast<int>(how));
    }
    /// Its close will be a reset.
    void forget_peer() const noexcept {
        if (is_still_there()) detail::forget_peer(whose_.fd);
    }

private:
    bool is_still_there() const noexcept { return entry_ != nullptr && origin_of(*entry_) == whose_; }

    const entry* entry_ = nullptr;
    origin whose_{-1, 0};
};

}  // namespace copse::io::detail
