// Files that are read or written as a whole: one call of the disk each.
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include <copse/io/file.hpp>

#include "failure.hpp"
#include "open_file.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

namespace {

/// Closes it at the end of the scope.
struct descriptor_of_call {
    explicit descriptor_of_call(int number) noexcept : fd(number) {}
    descriptor_of_call(const descriptor_of_call&) = delete;
    descriptor_of_call& operator=(const descriptor_of_call&) = delete;
    ~descriptor_of_call() { close(); }

    int close() noexcept { return fd < 0 ? 0 : sys.close(std::exchange(fd, -1)); }

    int fd;
};

struct content {
    std::string text;
    int error = 0;
};

// By offsets, not by its size: files of /proc have none.
content read_whole(const std::string& path, std::size_t most) {
    const opened there = open_there(path, O_RDONLY, 0);
    if (there.fd < 0) return {{}, there.error};
    const descriptor_of_call from(there.fd);
    struct stat about {};
    content all;
    if (::fstat(from.fd, &about) == 0 && about.st_size > 0)
        all.text.reserve(std::min<std::size_t>(static_cast<std::size_t>(about.st_size), most) + 1);
    for (;;) {
        const std::size_t have = all.text.size();
        all.text.resize(std::max<std::size_t>(all.text.capacity(), have + 4096));
        const moved got =
            read_there(from.fd, have, reinterpret_cast<std::byte*>(all.text.data()) + have, all.text.size() - have);
        const bool ended = got.error == 0 && have + got.bytes < all.text.size();
        all.text.resize(have + got.bytes);
        all.error = all.text.size() > most ? EFBIG : got.error;
        if (ended || all.error != 0) return all;
    }
}

int write_to(int fd, std::span<const std::byte> bytes, bool sync) noexcept {
    const moved done = write_there(fd, 0, bytes.data(), bytes.size());
    if (done.error != 0) return done.error;
    return sync && sys.fsync(fd) != 0 ? errno : 0;
}

int write_over(const std::string& path, std::span<const std::byte> bytes, const write_file_options& with) {
    const opened got = open_there(path, O_WRONLY | O_CREAT | O_TRUNC, with.permissions);
    if (got.fd < 0) return got.error;
    descriptor_of_call to(got.fd);
    const int error = write_to(to.fd, bytes, with.sync);
    if (error != 0) return error;
    return to.close() != 0 && errno != EINTR ? errno : 0;
}

std::string beside(const std::string& path) {
    std::uint64_t random = 0;
    if (::getrandom(&random, sizeof random, 0) < 0) random = static_cast<std::uint64_t>(::getpid());
    char suffix[32];
    std::snprintf(suffix, sizeof suffix, ".%016llx.tmp", static_cast<unsigned long long>(random));
    return path + suffix;
}

std::string directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

// The name itself is on the disk when its directory is.
int sync_name(const std::string& path) {
    const descriptor_of_call directory(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.fd < 0) return errno;
    return sys.fsync(directory.fd) == 0 ? 0 : errno;
}

// The bytes are on the disk before the name leads to them: after a crash it leads to the old ones or to all of the new.
int fill_beside(int fd, const std::string& path, std::span<const std::byte> bytes) {
    struct stat old {};
    if (::stat(path.c_str(), &old) == 0) {
        if (S_ISDIR(old.st_mode)) return EISDIR;
        if (!S_ISREG(old.st_mode)) return ESPIPE;  // to replace a device or a FIFO is not to write to it
        // Who may not give files away keeps the new one.
        if (::fchown(fd, old.st_uid, old.st_gid) != 0 && errno != EPERM) return errno;
        if (::fchmod(fd, old.st_mode & 07777) != 0) return errno;
    }
    return write_to(fd, bytes, true);
}

int replace(const std::string& path, std::span<const std::byte> bytes, const write_file_options& with) {
    const std::string name = beside(path);
    const opened got = open_there(name, O_WRONLY | O_CREAT | O_EXCL, with.permissions);
    if (got.fd < 0) return got.error;
    descriptor_of_call to(got.fd);
    int error = fill_beside(to.fd, path, bytes);
    if (error == 0 && to.close() != 0 && errno != EINTR) error = errno;
    if (error == 0 && ::rename(name.c_str(), path.c_str()) != 0) error = errno;
    if (error != 0) {
        ::unlink(name.c_str());
        return error;
    }
    return with.sync ? sync_name(path) : 0;
}

}  // namespace

std::string read_file_by(const std::string& path, std::size_t most, limit within) {
    check_path("read_file", path);
    content all = on_disk(within, "read_file", path, 0, [path, most] { return read_whole(path, most); });
    if (all.error == 0) return std::move(all.text);
    if (all.error != EFBIG || all.text.size() <= most) fail_file(all.error, "read_file", path);
    throw transfer_error(std::make_error_code(std::errc::file_too_large),
                         describe("read_file", path) + ", more than " + std::to_string(most) + " bytes", 0);
}

void write_file_by(const std::string& path, std::span<const std::byte> bytes, const write_file_options& with,
                   limit within) {
    check_path("write_file", path);
    const int error =
        on_disk(within, "write_file", path, 0, [path, with, copy = std::vector<std::byte>(bytes.begin(), bytes.end())] {
            return with.atomic ? replace(path, copy, with) : write_over(path, copy, with);
        });
    if (error != 0) fail_file(error, "write_file", path);
}

}  // namespace copse::io::detail
