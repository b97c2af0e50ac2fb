// What takes bytes out of a socket.
#include <sys/socket.h>

#include <cerrno>

#include <copse/io/socket.hpp>

#include "aside.hpp"
#include "system_calls.hpp"
#include "transfer.hpp"

namespace copse::io {

namespace {

using detail::direction;
using detail::entry;

/// A short receive proves that the kernel has no more, unless it left there what it gave.
std::size_t received(entry& e, ssize_t n, std::size_t wanted, int flags) noexcept {
    const auto got = static_cast<std::size_t>(n);
    if (got != 0 && got < wanted && (flags & MSG_PEEK) == 0) e.note_short(direction::in);
    return got;
}

ssize_t recv_now(const entry& e, std::span<std::byte> into, int flags) noexcept {
    return detail::sys.recv(e.fd, into.data(), into.size(), flags | MSG_DONTWAIT);
}

[[noreturn]] void fail_unfinished(const entry& e, std::size_t got, std::size_t wanted) {
    std::string text = detail::describe("recv_exactly", e, direction::in);
    text += ", the stream ended after " + std::to_string(got) + " of " + std::to_string(wanted) + " bytes";
    throw transfer_error(std::make_error_code(std::errc::connection_aborted), text, got);
}

}  // namespace

std::size_t socket::recv_by(std::span<std::byte> into, int flags, detail::limit within) {
    entry& e = use("recv");
    if (into.empty() && !e.messages) {
        copse::detail::attend();
        return 0;
    }
    const detail::aside from_another_queue(e, flags);
    const ssize_t n = transfer(e, direction::in, within, "recv", [&] { return recv_now(e, into, flags); });
    if (n < 0) [[unlikely]]
        fail_outcome(n, "recv", e, direction::in);
    return received(e, n, into.size(), flags);
}

std::optional<std::size_t> socket::try_recv(std::span<std::byte> into, int flags) {
    entry& e = use("try_recv");
    if (into.empty() && !e.messages) return 0;
    const detail::aside from_another_queue(e, flags);
    const ssize_t n = try_transfer(e, direction::in, [&] { return recv_now(e, into, flags); });
    if (n >= 0) return received(e, n, into.size(), flags);
    if (!detail::is_again(errno)) fail_outcome(n, "try_recv", e, direction::in);
    return std::nullopt;
}

std::size_t socket::recv_exactly_by(std::span<std::byte> into, detail::limit within) {
    entry& e = use("recv_exactly");
    const std::size_t wanted = into.size();
    if (wanted == 0) copse::detail::attend();
    std::size_t got = 0;
    while (got != wanted) {
        const auto rest = into.subspan(got);
        const ssize_t n = transfer(e, direction::in, within, "recv_exactly", [&] { return recv_now(e, rest, 0); });
        if (n < 0) [[unlikely]]
            fail_outcome(n, "recv_exactly", e, direction::in, got);
        if (n == 0 && got == 0) return 0;
        if (n == 0) fail_unfinished(e, got, wanted);
        got += received(e, n, rest.size(), 0);
    }
    return got;
}

pooled_buffer socket::recv_pooled_by(detail::limit within) {
    entry& e = use("recv_pooled");
    pooled_buffer buffer;
    const ssize_t n = transfer(e, direction::in, within, "recv_pooled", [&] {
        buffer = pooled_buffer::take();
        const ssize_t got = recv_now(e, buffer.bytes(), 0);
        if (got < 0) buffer = {};  // not held while parked; keeps errno: nothing is freed but to the pool
        return got;
    });
    if (n < 0) [[unlikely]]
        fail_outcome(n, "recv_pooled", e, direction::in);
    buffer.truncate(received(e, n, pooled_buffer::capacity, 0));
    return buffer;
}

}  // namespace copse::io
