// Files into sockets.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <stdexcept>

#include <copse/io/buffer.hpp>
#include <copse/io/socket.hpp>

#include "quiet_pipe.hpp"
#include "system_calls.hpp"
#include "transfer.hpp"

namespace copse::io {

namespace {

using detail::direction;
using detail::entry;
using detail::sys;

constexpr std::size_t most_at_once = std::size_t{1} << 20;  // then others may have their turn

[[noreturn]] void fail_reading(int error, const entry& e, int file, std::uint64_t done) {
    const std::string text = detail::describe("send_file", e, direction::out) + ", reading fd " + std::to_string(file);
    throw transfer_error({error, std::generic_category()}, text, static_cast<std::size_t>(done));
}

bool cannot_be_moved(int error) noexcept { return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP; }

/// What is left to send of a file.
struct file_part {
    int file;
    off_t offset;
    std::uint64_t left;
    std::uint64_t done = 0;
    bool moved_by_kernel = true;

    void sent(std::size_t n) noexcept {
        offset += static_cast<off_t>(n);
        left -= n;
        done += n;
    }

    std::size_t next(std::size_t most) const noexcept {
        return static_cast<std::size_t>(std::min<std::uint64_t>(left, most));
    }

    ssize_t send_some(const entry& e) {
        if (!moved_by_kernel) return read_and_send(e);
        off_t from = offset;
        const std::size_t wanted = next(most_at_once);
        return detail::without_sigpipe([&] { return sys.sendfile(e.fd, file, &from, wanted); },
                                       static_cast<ssize_t>(wanted));
    }

    // What the socket does not take is read once more: nothing is held while it is waited for.
    ssize_t read_and_send(const entry& e) {
        pooled_buffer buffer = pooled_buffer::take();
        const ssize_t n = sys.pread(file, buffer.data(), next(buffer.size()), offset);
        if (n == 0 || (n < 0 && errno == EINTR)) return n;
        if (n < 0) fail_reading(errno, e, file, done);
        return sys.send(e.fd, buffer.data(), static_cast<std::size_t>(n), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
};

}  // namespace

std::uint64_t socket::send_file_by(int file, std::uint64_t offset, std::uint64_t count, detail::limit within) {
    entry& e = use("send_file");
    constexpr auto farthest = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
    if (offset > farthest)
        throw std::invalid_argument("send_file: the offset " + std::to_string(offset) + " is too large");
    file_part part{file, static_cast<off_t>(offset), std::min(count, farthest - offset)};
    if (part.left == 0) copse::detail::attend();
    while (part.left != 0) {
        const ssize_t n = transfer(e, direction::out, within, "send_file", [&] { return part.send_some(e); });
        if (n == 0) break;  // the file has no more
        if (n > 0) {
            part.sent(static_cast<std::size_t>(n));
        } else if (n == detail::failed && part.moved_by_kernel && cannot_be_moved(errno)) {
            part.moved_by_kernel = false;
        } else {
            fail_outcome(n, "send_file", e, direction::out, static_cast<std::size_t>(part.done));
        }
    }
    return part.done;
}

}  // namespace copse::io
