// FIFOs are opened without waiting for the other end inside the kernel, where the whole thread would.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>

#include <copse/fiber.hpp>
#include <copse/io/pipe.hpp>

#include "failure.hpp"
#include "open_file.hpp"
#include "pipe_access.hpp"
#include "system_calls.hpp"

namespace copse::io {

namespace {

using detail::sys;
using namespace std::chrono_literals;

/// -1, and errno.
int open_now(const std::string& path, int mode) noexcept {
    int fd = -1;
    do fd = ::open(path.c_str(), mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/// Of something else it would be a surprise: it is closed then.
int only_a_fifo(int fd, const std::string& path) {
    struct stat about {};
    if (::fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode)) return fd;
    sys.close(fd);
    detail::fail(EINVAL, detail::describe("open", path) + ", which is no FIFO");
}

}  // namespace

// Until a first writer has come the kernel tells of no end, so a wait for news is a wait for that writer.
pipe_reader pipe_reader::open(const std::string& path) {
    detail::check_path("open", path);
    const int fd = open_now(path, O_RDONLY);
    if (fd < 0) detail::fail_file(errno, "open", path);
    return detail::pipe_access::reader_of(only_a_fifo(fd, path));
}

pipe_writer pipe_writer::open_by(const std::string& path, detail::limit within) {
    detail::check_path("open", path);
    for (clock::duration pause = 1ms;; pause = std::min<clock::duration>(pause * 2, 50ms)) {
        const int fd = open_now(path, O_WRONLY);
        if (fd >= 0) return detail::pipe_access::writer_of(only_a_fifo(fd, path));
        if (errno != ENXIO) detail::fail_file(errno, "open", path);
        const auto again = clock::now() + pause;
        const auto end = within.point();
        if (end && *end <= again) {
            copse::sleep_until(*end);
            throw timed_out(std::make_error_code(std::errc::timed_out),
                            detail::describe("open", path) + ", which nobody has open for reading", 0);
        }
        copse::sleep_until(again);
    }
}

}  // namespace copse::io
