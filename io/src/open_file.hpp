// Files as the threads of the disk see them: a descriptor, calls that block, bytes that belong to the call.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include <copse/mutex.hpp>
#include <copse/thread_pool.hpp>
#include <copse/timeout.hpp>

#include <copse/io/detail/limit.hpp>
#include <copse/io/file.hpp>

namespace copse::io::detail {

/// Shared by the object and the calls that run for it. The calls use the descriptor and the name only; the rest belongs to the
/// thread of the fibers.
class open_file {
public:
    open_file(int number, std::string called, bool appending) noexcept
        : fd(number), name(std::move(called)), appends(appending) {}
    open_file(const open_file&) = delete;
    open_file& operator=(const open_file&) = delete;
    ~open_file();

    const int fd;
    const std::string name;
    const bool appends;
    copse::mutex turn;  // of the verbs that use the position
    std::uint64_t position = 0;
    bool closed = false;
};

/// "read of log", for errors.
std::string describe(const char* operation, const std::string& name);
[[noreturn]] void fail_file(int error, const char* operation, const std::string& name);

inline timed_out timed_out_of(const char* operation, const std::string& name, std::size_t done) {
    return timed_out(std::make_error_code(std::errc::timed_out), describe(operation, name) + ", its time is over",
                     done);
}

/// Throws:  std::invalid_argument for a NUL.
void check_path(const char* operation, const std::string& path);

// ---- On a thread of the disk. -1, and errno says why; EINTR never.

struct opened {
    int fd = -1;
    int error = 0;
};
opened open_there(const std::string& path, int flags, mode_t permissions) noexcept;
/// Without a name. Not every file system can.
opened open_temporary_there(const std::string& directory, mode_t permissions) noexcept;
/// 0 if it is something with offsets.
int refusal_of(int fd) noexcept;

struct moved {
    std::size_t bytes = 0;
    int error = 0;
};
/// Up to the end of the file, or an error.
moved read_there(int fd, std::uint64_t offset, std::byte* into, std::size_t size) noexcept;
moved write_there(int fd, std::uint64_t offset, const std::byte* from, std::size_t size) noexcept;

// ---- On the fiber's

/// Never ended: its threads may run to the very end of the process.
thread_pool& disk();

/// Has a thread of the disk make a call, which owns what it uses.
template <class Call>
auto on_disk(limit& within, const char* operation, const std::string& name, std::size_t done, Call call) {
    const auto until = within.point();
    if (!until) return disk().apply(std::move(call));
    const timeout scope(*until - clock::now(), std::make_exception_ptr(timed_out_of(operation, name, done)));
    return disk().apply(std::move(call));
}

}  // namespace copse::io::detail
