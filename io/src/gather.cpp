// Several buffers with one system call.
#include <sys/socket.h>

#include <copse/io/socket.hpp>

#include "pieces.hpp"
#include "system_calls.hpp"
#include "transfer.hpp"

namespace copse::io {

namespace {

using detail::direction;
using detail::entry;

}  // namespace

std::size_t socket::recv_by(std::span<const mutable_buffer> into, detail::limit within) {
    entry& e = use("recv");
    detail::pieces room(into, e.messages);
    if (room.empty() && !e.messages) {
        copse::detail::attend();
        return 0;
    }
    msghdr message = room.message();
    const auto call = [&] { return detail::sys.recvmsg(e.fd, &message, MSG_DONTWAIT); };
    const ssize_t n = transfer(e, direction::in, within, "recv", call);
    if (n < 0) [[unlikely]]
        fail_outcome(n, "recv", e, direction::in);
    const auto got = static_cast<std::size_t>(n);
    if (got != 0 && got < room.size()) e.note_short(direction::in);
    return got;
}

void socket::send_all_by(std::span<const const_buffer> pieces, detail::limit within) {
    entry& e = use("send_all");
    detail::pieces rest(pieces, e.messages);
    if (rest.empty() && !e.messages) return copse::detail::attend();
    std::size_t done = 0;
    do {
        const msghdr message = rest.message();
        const auto call = [&] { return detail::sys.sendmsg(e.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); };
        const ssize_t n = transfer(e, direction::out, within, "send_all", call);
        if (n < 0) [[unlikely]]
            fail_outcome(n, "send_all", e, direction::out, done);
        const auto took = static_cast<std::size_t>(n);
        if (took < rest.size()) e.note_short(direction::out);
        done += took;
        rest.advance(took, pieces);
    } while (!rest.empty());
}

}  // namespace copse::io
