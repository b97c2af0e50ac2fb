#include "open_file.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>

#include "failure.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

open_file::~open_file() { sys.close(fd); }

std::string describe(const char* operation, const std::string& name) { return std::string(operation) + " of " + name; }

void fail_file(int error, const char* operation, const std::string& name) {
    const char* const hint =
        error == ESPIPE ? ", a pipe, terminal or socket: pipe_reader, pipe_writer and socket are for those" : "";
    fail(error, describe(operation, name) + hint);
}

void check_path(const char* operation, const std::string& path) {
    if (path.find('\0') != std::string::npos)
        throw std::invalid_argument(std::string(operation) + ": a path with a NUL in it");
}

int refusal_of(int fd) noexcept {
    struct stat about {};
    if (::fstat(fd, &about) != 0) return errno;
    if (S_ISDIR(about.st_mode)) return EISDIR;
    return S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode) ? ESPIPE : 0;
}

// O_NONBLOCK: of a FIFO it would wait for the other end before we can refuse it. To files it means nothing.
opened open_there(const std::string& path, int flags, mode_t permissions) noexcept {
    int fd = -1;
    do fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, permissions);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return {-1, errno == ENXIO ? ESPIPE : errno};  // a FIFO that nobody reads, a socket
    const int refused = refusal_of(fd);
    if (refused == 0) return {fd, 0};
    sys.close(fd);
    return {-1, refused};
}

opened open_temporary_there(const std::string& directory, mode_t permissions) noexcept {
    const int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, permissions);
    if (fd >= 0) return {fd, 0};
    if (errno != EOPNOTSUPP && errno != EISDIR) return {-1, errno};  // EISDIR: a kernel that does not know the flag
    try {
        std::string name = directory + "/copse-XXXXXX";
        const int named = ::mkostemp(name.data(), O_CLOEXEC);
        if (named < 0) return {-1, errno};
        ::unlink(name.c_str());
        return {named, 0};
    } catch (const std::bad_alloc&) {
        return {-1, ENOMEM};
    }
}

moved read_there(int fd, std::uint64_t offset, std::byte* into, std::size_t size) noexcept {
    moved done;
    while (done.bytes != size) {
        const ssize_t n = sys.pread(fd, into + done.bytes, size - done.bytes, static_cast<off_t>(offset + done.bytes));
        if (n == 0) break;
        if (n > 0) {
            done.bytes += static_cast<std::size_t>(n);
        } else if (errno != EINTR) {
            done.error = errno;
            break;
        }
    }
    return done;
}

moved write_there(int fd, std::uint64_t offset, const std::byte* from, std::size_t size) noexcept {
    moved done;
    while (done.bytes != size) {
        const ssize_t n = sys.pwrite(fd, from + done.bytes, size - done.bytes, static_cast<off_t>(offset + done.bytes));
        if (n > 0) {
            done.bytes += static_cast<std::size_t>(n);
        } else if (n == 0 || errno != EINTR) {
            done.error = n == 0 ? EIO : errno;  // a device that takes nothing and does not say why
            break;
        }
    }
    return done;
}

thread_pool& disk() {
    static auto* const all = new thread_pool({.threads = 4, .queue_limit = thread_pool_options::unlimited});
    return *all;
}

}  // namespace copse::io::detail
