// What puts bytes into a socket.
#include <sys/socket.h>

#include <cerrno>

#include <copse/io/socket.hpp>

#include "system_calls.hpp"
#include "transfer.hpp"

namespace copse::io {

namespace {

using detail::direction;
using detail::entry;

ssize_t send_now(const entry& e, std::span<const std::byte> from, int flags) noexcept {
    return detail::sys.send(e.fd, from.data(), from.size(), flags | MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// A short send proves that the kernel's buffer is full.
std::size_t sent(entry& e, ssize_t n, std::size_t wanted) noexcept {
    const auto took = static_cast<std::size_t>(n);
    if (took < wanted) e.note_short(direction::out);
    return took;
}

}  // namespace

std::size_t socket::send_by(std::span<const std::byte> from, int flags, detail::limit within) {
    entry& e = use("send");
    if (from.empty() && !e.messages) {
        copse::detail::attend();
        return 0;
    }
    const ssize_t n = transfer(e, direction::out, within, "send", [&] { return send_now(e, from, flags); });
    if (n < 0) [[unlikely]]
        fail_outcome(n, "send", e, direction::out);
    return sent(e, n, from.size());
}

std::optional<std::size_t> socket::try_send(std::span<const std::byte> from, int flags) {
    entry& e = use("try_send");
    if (from.empty() && !e.messages) return 0;
    const ssize_t n = try_transfer(e, direction::out, [&] { return send_now(e, from, flags); });
    if (n >= 0) return sent(e, n, from.size());
    if (!detail::is_again(errno)) fail_outcome(n, "try_send", e, direction::out);
    return std::nullopt;
}

void socket::send_all_by(std::span<const std::byte> from, detail::limit within) {
    entry& e = use("send_all");
    if (from.empty() && !e.messages) return copse::detail::attend();
    std::size_t done = 0;
    do {
        const auto rest = from.subspan(done);
        const ssize_t n = transfer(e, direction::out, within, "send_all", [&] { return send_now(e, rest, 0); });
        if (n < 0) [[unlikely]]
            fail_outcome(n, "send_all", e, direction::out, done);
        done += sent(e, n, rest.size());
    } while (done != from.size());
}

}  // namespace copse::io
