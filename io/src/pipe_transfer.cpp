// What moves bytes through pipes.
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include <copse/io/pipe.hpp>

#include "quiet_pipe.hpp"
#include "system_calls.hpp"
#include "transfer.hpp"

namespace copse::io {

namespace {

using detail::direction;
using detail::entry;
using detail::limit;
using detail::sys;

bool is_pseudo_terminal_master(int fd) noexcept {
    unsigned number = 0;
    return ::ioctl(fd, TIOCGPTN, &number) == 0;
}

ssize_t read_now(int fd, std::span<std::byte> into) noexcept {
    const ssize_t n = sys.read(fd, into.data(), into.size());
    if (n >= 0 || errno != EIO) return n;
    if (is_pseudo_terminal_master(fd)) return 0;  // nobody has the other side open any more
    errno = EIO;
    return n;
}

ssize_t write_now(int fd, std::span<const std::byte> from) noexcept {
    return detail::without_sigpipe([&] { return sys.write(fd, from.data(), from.size()); });
}

bool is_ready(int fd, direction d) noexcept {
    pollfd one{fd, static_cast<short>(d == direction::in ? POLLIN : POLLOUT), 0};
    return sys.poll(&one, 1, 0) > 0;
}

// What is borrowed has no O_NONBLOCK. The kernel is asked not to wait this once; where it does not know how, or always
// says no, as of files that are not in memory, readiness has to be enough.
template <class Ask, class Plain>
ssize_t now_if_ready(int fd, direction d, Ask&& ask, Plain&& plain) noexcept {
    const ssize_t n = ask();
    if (n >= 0) return n;
    const bool cannot = errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ESPIPE;
    if (cannot || (detail::is_again(errno) && is_ready(fd, d))) return plain();
    return n;
}

ssize_t read_borrowed(int fd, std::span<std::byte> into) noexcept {
    const iovec all{into.data(), into.size()};
    return now_if_ready(
        fd, direction::in, [&] { return ::preadv2(fd, &all, 1, -1, RWF_NOWAIT); }, [&] { return read_now(fd, into); });
}

ssize_t write_borrowed(int fd, std::span<const std::byte> from) noexcept {
    from = from.first(std::min<std::size_t>(from.size(), PIPE_BUF));
    const iovec all{const_cast<std::byte*>(from.data()), from.size()};
    return now_if_ready(
        fd, direction::out,
        [&] { return detail::without_sigpipe([&] { return ::pwritev2(fd, &all, 1, -1, RWF_NOWAIT); }); },
        [&] { return write_now(fd, from); });
}

/// As long as no writer has come to a FIFO the kernel answers a read as at the end; only readiness tells them apart.
bool awaits_its_first_writer(int fd) noexcept {
    struct stat about {};
    return ::fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode) && !is_ready(fd, direction::in);
}

/// transfer() for what is borrowed: others share it, so nothing is remembered and each call is preceded by a wait.
template <class Call>
ssize_t transfer_borrowed(const entry& e, direction d, limit& within, const char* operation, Call&& call) {
    const int fd = e.fd;
    copse::detail::attend();
    for (;;) {
        if (detail::is_late(within) || !detail::reactor::here().await_by_number(fd, d, within, sharing::one, operation))
            return detail::out_of_time;
        const ssize_t n = call();
        if (n >= 0) return n;
        if (errno != EINTR && !detail::is_again(errno)) return detail::failed;
    }
}

ssize_t read_some(entry& e, bool borrowed, std::span<std::byte> into, limit& within, const char* operation) {
    if (borrowed)
        return transfer_borrowed(e, direction::in, within, operation, [&] { return read_borrowed(e.fd, into); });
    return transfer(e, direction::in, within, operation, [&] { return read_now(e.fd, into); });
}

ssize_t write_some(entry& e, bool borrowed, std::span<const std::byte> from, limit& within, const char* operation) {
    if (borrowed)
        return transfer_borrowed(e, direction::out, within, operation, [&] { return write_borrowed(e.fd, from); });
    return transfer(e, direction::out, within, operation, [&] { return write_now(e.fd, from); });
}

[[noreturn]] void fail_unfinished(const entry& e, std::size_t got, std::size_t wanted) {
    std::string text = detail::describe("read_exactly", e.fd);
    text += ", the stream ended after " + std::to_string(got) + " of " + std::to_string(wanted) + " bytes";
    throw transfer_error(std::make_error_code(std::errc::connection_aborted), text, got);
}

[[noreturn]] void fail_too_much(const entry& e, std::size_t most) {
    const std::string text = detail::describe("read_to_end", e.fd) + ", more than " + std::to_string(most) + " bytes";
    throw transfer_error(std::make_error_code(std::errc::file_too_large), text, most);
}

}  // namespace

std::size_t pipe_reader::read_by(std::span<std::byte> into, limit within) {
    entry& e = use("read");
    if (into.empty()) {
        copse::detail::attend();
        return 0;
    }
    const ssize_t n = read_some(e, borrowed_, into, within, "read");
    if (n < 0) [[unlikely]]
        fail_outcome(n, "read", e, direction::in);
    return static_cast<std::size_t>(n);
}

std::optional<std::size_t> pipe_reader::try_read(std::span<std::byte> into) {
    entry& e = use("try_read");
    if (into.empty()) return 0;
    if (borrowed_ && !is_ready(e.fd, direction::in)) return std::nullopt;
    const ssize_t n =
        try_transfer(e, direction::in, [&] { return borrowed_ ? read_borrowed(e.fd, into) : read_now(e.fd, into); });
    if (n == 0 && awaits_its_first_writer(e.fd)) return std::nullopt;
    if (n >= 0) return static_cast<std::size_t>(n);
    if (!detail::is_again(errno)) fail_outcome(n, "try_read", e, direction::in);
    return std::nullopt;
}

std::size_t pipe_reader::read_exactly_by(std::span<std::byte> into, limit within) {
    entry& e = use("read_exactly");
    const bool borrowed = borrowed_;  // this may end meanwhile
    const std::size_t wanted = into.size();
    if (wanted == 0) copse::detail::attend();
    std::size_t got = 0;
    while (got != wanted) {
        const ssize_t n = read_some(e, borrowed, into.subspan(got), within, "read_exactly");
        if (n < 0) [[unlikely]]
            fail_outcome(n, "read_exactly", e, direction::in, got);
        if (n == 0 && got == 0) return 0;
        if (n == 0) fail_unfinished(e, got, wanted);
        got += static_cast<std::size_t>(n);
    }
    return got;
}

pooled_buffer pipe_reader::read_pooled_by(limit within) {
    entry& e = use("read_pooled");
    pooled_buffer buffer;
    const auto fill = [&](auto read_once) {
        buffer = pooled_buffer::take();
        const ssize_t got = read_once(e.fd, buffer.bytes());
        if (got < 0) buffer = {};  // not held while parked; keeps errno: nothing is freed but to the pool
        return got;
    };
    const ssize_t n =
        borrowed_ ? transfer_borrowed(e, direction::in, within, "read_pooled", [&] { return fill(read_borrowed); })
                  : transfer(e, direction::in, within, "read_pooled", [&] { return fill(read_now); });
    if (n < 0) [[unlikely]]
        fail_outcome(n, "read_pooled", e, direction::in);
    buffer.truncate(static_cast<std::size_t>(n));
    return buffer;
}

std::string pipe_reader::read_to_end(std::size_t most) {
    const entry& e = use("read_to_end");
    std::string all;
    while (const pooled_buffer chunk = read_pooled()) {
        if (chunk.size() > most - all.size()) fail_too_much(e, most);
        all += chunk.text();
    }
    return all;
}

std::size_t pipe_writer::write_by(std::span<const std::byte> from, limit within) {
    entry& e = use("write");
    if (from.empty()) {
        copse::detail::attend();
        return 0;
    }
    const ssize_t n = write_some(e, borrowed_, from, within, "write");
    if (n < 0) [[unlikely]]
        fail_outcome(n, "write", e, direction::out);
    return static_cast<std::size_t>(n);
}

std::optional<std::size_t> pipe_writer::try_write(std::span<const std::byte> from) {
    entry& e = use("try_write");
    if (from.empty()) return 0;
    if (borrowed_ && !is_ready(e.fd, direction::out)) return std::nullopt;
    const ssize_t n =
        try_transfer(e, direction::out, [&] { return borrowed_ ? write_borrowed(e.fd, from) : write_now(e.fd, from); });
    if (n >= 0) return static_cast<std::size_t>(n);
    if (!detail::is_again(errno)) fail_outcome(n, "try_write", e, direction::out);
    return std::nullopt;
}

void pipe_writer::write_all_by(std::span<const std::byte> from, limit within) {
    entry& e = use("write_all");
    const bool borrowed = borrowed_;
    if (from.empty()) copse::detail::attend();
    std::size_t done = 0;
    while (done != from.size()) {
        const ssize_t n = write_some(e, borrowed, from.subspan(done), within, "write_all");
        if (n < 0) [[unlikely]]
            fail_outcome(n, "write_all", e, direction::out, done);
        done += static_cast<std::size_t>(n);
    }
}

}  // namespace copse::io
