/// Files on disks, which epoll knows nothing of: threads or io_uring wait for the disk, and the fiber for them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <copse/io/buffer_view.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/error.hpp>

namespace copse::io {

namespace detail {
class open_file;
}  // namespace detail

/// Who reads, writes and syncs files. What else is done to them, and whole files, is the threads' always.
enum class disk_engine : std::uint8_t {
    threads,  ///< four that all files of the process share
    io_uring,  ///< the kernel, by one ring for each thread that has fibers: no other thread in between. A thread that ends
               ///< takes back what the kernel has not begun, and waits for the rest
};

/// Chooses for all calls that begin from now on; io_uring if nothing was chosen. It is used where copse is built with it
/// (CMake option COPSE_URING), the kernel and its policy allow it, and there is memory for the ring: else threads are,
/// silently. Any thread.
void choose_file_engine(disk_engine wanted) noexcept;

/// Which the calls of this thread go to. Makes its ring, if it is to have one.
disk_engine file_engine() noexcept;

/// How a file is opened: `file::open("log", {.append = true, .create = true})`. Nothing said: for reading.
struct open_options {
    bool read = false;
    bool write = false;
    bool append = false;     ///< all writes go to its end, wherever the position is; no `write` is needed then
    bool create = false;     ///< made if it is not there
    bool exclusive = false;  ///< made, and an error if it is there
    bool truncate = false;   ///< made empty
    bool temporary = false;  ///< the path is a directory, the file has no name and is gone when closed; read and write
    mode_t permissions = 0666;  ///< of a new one, less the umask
};

/// An open file: a regular one, a block device, or what else has offsets.
///
///     auto log = copse::io::file::open("log", {.append = true, .create = true});
///     log.write_all("a line\n");
///     log.sync();
///
/// Every verb that parks has the disk work in pieces of 1 MiB, while other fibers run: on one of four threads that all files
/// of the process share (some 10 µs more than the call itself), or by io_uring (file_engine()). It works on a copy of the
/// bytes, which belongs to the call: so a kill, a time-out or a timeout scope ends the wait at once, and **the piece that
/// the disk has begun goes on without its fiber**. Of a read nobody notices; a write may still happen, after what the fiber
/// does next. What the kernel has in its cache io_uring gives at once: no fiber waits then, and no time is over.
///
/// Any number of fibers may use one file. Those that use its position (read, read_exactly, read_to_end, write_all) come one
/// after the other, each as a whole; those that name an offset run side by side. The position is this object's, not that of
/// the descriptor, and moves when a verb has ended well; by what `write_all` has written also if it has not, but not by what
/// is appended. Several files may be opened by the same name.
///
/// It belongs to one thread at a time, and may be moved to another while no fiber is in it. Unless a line says otherwise a
/// verb throws std::system_error with the kernel's code, operation and name in its text (EBADF if it is closed), timed_out,
/// and whatever a kill or a timeout scope throws.
class file {
public:
    static constexpr std::size_t without_end = std::numeric_limits<std::size_t>::max();

    /// Closed.
    file() noexcept;

    /// Parks:   until it is open.
    /// Throws:  std::system_error: ENOENT, EACCES, EEXIST, EISDIR; ESPIPE for a FIFO or a socket, which pipe_reader, pipe_writer
    ///          and socket are for; std::invalid_argument for options that contradict each other and a NUL in the path.
    /// After:   a kill or time-out: it may have been made; it is not left open.
    static file open(const std::string& path, const open_options& with = {}) { return open_by(path, with, {}); }
    template <class Rep, class Period>
    static file open_for(const std::string& path, std::chrono::duration<Rep, Period> length,
                         const open_options& with = {}) {
        return open_by(path, with, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    static file open_until(const std::string& path, std::chrono::time_point<Clock, Duration> when,
                           const open_options& with = {}) {
        return open_by(path, with, detail::limit::until(when));
    }

    /// Takes over a descriptor, and its position.
    /// Throws:  std::system_error (EBADF, EISDIR, ESPIPE): the number then still is the caller's.
    static file adopt(int fd);

    file(file&& other) noexcept;
    file& operator=(file&& other) noexcept;
    /// As close().
    ~file();

    bool is_open() const noexcept { return open_ != nullptr; }
    explicit operator bool() const noexcept { return is_open(); }
    /// For `socket::send_file`, and calls that copse does not have. -1 if it is closed.
    int native_handle() const noexcept;

    /// Closes it. Calls that run go on, and the descriptor lives until they have ended; fibers that wait for their turn get
    /// EBADF. What the kernel could not write is not told here: `sync` first.
    /// Parks:   no. On a network file system it may block the thread.
    void close() noexcept;

    /// Reads on from the position.
    /// Parks:   until it is read.
    /// Returns: how many bytes: fewer than fit only if the file ended, 0 at its end.
    std::size_t read(std::span<std::byte> into) { return read_by(into, {}); }
    template <class Rep, class Period>
    std::size_t read_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return read_by(into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t read_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return read_by(into, detail::limit::until(when));
    }

    /// Reads from byte `offset` on, and leaves the position alone. Returns as read.
    /// Throws:  std::invalid_argument for an offset beyond 2^63.
    std::size_t read_at(std::uint64_t offset, std::span<std::byte> into) { return read_at_by(offset, into, {}); }
    template <class Rep, class Period>
    std::size_t read_at_for(std::uint64_t offset, std::span<std::byte> into,
                            std::chrono::duration<Rep, Period> length) {
        return read_at_by(offset, into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t read_at_until(std::uint64_t offset, std::span<std::byte> into,
                              std::chrono::time_point<Clock, Duration> when) {
        return read_at_by(offset, into, detail::limit::until(when));
    }

    /// Fills `into` from the position on.
    /// Returns: its size; 0 if the position is at the end.
    /// Throws:  transfer_error(connection_aborted) if the file ends within: the position is where it was.
    std::size_t read_exactly(std::span<std::byte> into) { return read_exactly_by(into, {}); }
    template <class Rep, class Period>
    std::size_t read_exactly_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return read_exactly_by(into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t read_exactly_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return read_exactly_by(into, detail::limit::until(when));
    }

    /// Everything from the position to the end of the file.
    /// Throws:  transfer_error(file_too_large) once there are more than `most` bytes: the position is where it was.
    std::string read_to_end(std::size_t most = without_end) { return read_to_end_by(most, {}); }
    template <class Rep, class Period>
    std::string read_to_end_for(std::chrono::duration<Rep, Period> length, std::size_t most = without_end) {
        return read_to_end_by(most, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::string read_to_end_until(std::chrono::time_point<Clock, Duration> when, std::size_t most = without_end) {
        return read_to_end_by(most, detail::limit::until(when));
    }

    /// Writes all of it at the position. The time is for all of it.
    /// Parks:   until the kernel has taken the last byte, which then need not be on the disk.
    /// Throws:  a transfer_error after the first piece, which tells how much was written: ENOSPC, EDQUOT, EFBIG, EIO …
    /// After:   a kill or time-out: see the class.
    void write_all(std::span<const std::byte> bytes) { write_all_by(bytes, {}); }
    void write_all(std::string_view text) { write_all_by(const_buffer(text).bytes(), {}); }
    template <class Rep, class Period>
    void write_all_for(const const_buffer& bytes, std::chrono::duration<Rep, Period> length) {
        write_all_by(bytes.bytes(), detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void write_all_until(const const_buffer& bytes, std::chrono::time_point<Clock, Duration> when) {
        write_all_by(bytes.bytes(), detail::limit::until(when));
    }

    /// The same from byte `offset` on; the position is left alone. What lies between the end and the offset reads as zeros.
    /// Throws:  std::invalid_argument for an offset beyond 2^63, and for a file that appends.
    void write_all_at(std::uint64_t offset, std::span<const std::byte> bytes) { write_all_at_by(offset, bytes, {}); }
    void write_all_at(std::uint64_t offset, std::string_view text) {
        write_all_at_by(offset, const_buffer(text).bytes(), {});
    }
    template <class Rep, class Period>
    void write_all_at_for(std::uint64_t offset, const const_buffer& bytes, std::chrono::duration<Rep, Period> length) {
        write_all_at_by(offset, bytes.bytes(), detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void write_all_at_until(std::uint64_t offset, const const_buffer& bytes,
                            std::chrono::time_point<Clock, Duration> when) {
        write_all_at_by(offset, bytes.bytes(), detail::limit::until(when));
    }

    /// Waits until what was written is on the disk.
    void sync() { sync_by({}); }
    template <class Rep, class Period>
    void sync_for(std::chrono::duration<Rep, Period> length) {
        sync_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void sync_until(std::chrono::time_point<Clock, Duration> when) {
        sync_by(detail::limit::until(when));
    }

    /// Parks:   until the disk has said.
    std::uint64_t size() const { return size_by({}); }
    template <class Rep, class Period>
    std::uint64_t size_for(std::chrono::duration<Rep, Period> length) const {
        return size_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::uint64_t size_until(std::chrono::time_point<Clock, Duration> when) const {
        return size_by(detail::limit::until(when));
    }

    /// Cuts it to `size` bytes, or fills it with zeros up to there. The position is left alone.
    /// Parks:   until it is done.
    /// After:   a kill or time-out: it may still happen.
    void truncate(std::uint64_t size) { truncate_by(size, {}); }
    template <class Rep, class Period>
    void truncate_for(std::uint64_t size, std::chrono::duration<Rep, Period> length) {
        truncate_by(size, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void truncate_until(std::uint64_t size, std::chrono::time_point<Clock, Duration> when) {
        truncate_by(size, detail::limit::until(when));
    }

    /// Where the next byte is read or written. Parks: no.
    std::uint64_t position() const;
    /// Parks:   no. `f.seek(f.size())` is its end.
    /// Throws:  std::invalid_argument for an offset beyond 2^63; concurrent_use while a fiber reads or writes at the position.
    void seek(std::uint64_t offset);

private:
    explicit file(std::shared_ptr<detail::open_file> opened) noexcept;

    const std::shared_ptr<detail::open_file>& use(const char* operation) const;

    static file open_by(const std::string& path, const open_options& with, detail::limit within);
    std::string read_to_end_by(std::size_t most, detail::limit within);
    std::uint64_t size_by(detail::limit within) const;
    void truncate_by(std::uint64_t size, detail::limit within);
    std::size_t read_by(std::span<std::byte> into, detail::limit within);
    std::size_t read_at_by(std::uint64_t offset, std::span<std::byte> into, detail::limit within);
    std::size_t read_exactly_by(std::span<std::byte> into, detail::limit within);
    void write_all_by(std::span<const std::byte> bytes, detail::limit within);
    void write_all_at_by(std::uint64_t offset, std::span<const std::byte> bytes, detail::limit within);
    void sync_by(detail::limit within);

    std::shared_ptr<detail::open_file> open_;  // shared with the calls that run; null: closed
};

namespace detail {
std::string read_file_by(const std::string& path, std::size_t most, limit within);
}  // namespace detail

/// All of a file.
/// Parks:   until it is read.
/// Throws:  as file::open; transfer_error(file_too_large) once there are more than `most` bytes.
inline std::string read_file(const std::string& path, std::size_t most = file::without_end) {
    return detail::read_file_by(path, most, {});
}
template <class Rep, class Period>
std::string read_file_for(const std::string& path, std::chrono::duration<Rep, Period> length,
                          std::size_t most = file::without_end) {
    return detail::read_file_by(path, most, detail::limit::within(length));
}
template <class Clock, class Duration>
std::string read_file_until(const std::string& path, std::chrono::time_point<Clock, Duration> when,
                            std::size_t most = file::without_end) {
    return detail::read_file_by(path, most, detail::limit::until(when));
}

/// How a whole file is written.
struct write_file_options {
    bool atomic =
        false;          ///< whoever opens the name finds the old bytes or the new ones, all of them, even after a crash
    bool sync = false;  ///< returns when they are on the disk
    mode_t permissions = 0666;  ///< of a new one, less the umask
};

namespace detail {
void write_file_by(const std::string& path, std::span<const std::byte> bytes, const write_file_options& with,
                   limit within);
}  // namespace detail

/// Writes a whole file: it is made, or made empty, or, if `atomic`, replaced by a new one with the permissions of the old; a
/// symbolic link is replaced itself then.
/// Parks:   until the kernel has taken the last byte.
/// Throws:  as file::open and file::write_all. If `atomic`, the file is as it was then, and nothing is left beside it.
/// After:   a kill or time-out: the writing, once begun, goes on to its end without the fiber.
inline void write_file(const std::string& path, std::span<const std::byte> bytes, const write_file_options& with = {}) {
    detail::write_file_by(path, bytes, with, {});
}
inline void write_file(const std::string& path, std::string_view text, const write_file_options& with = {}) {
    detail::write_file_by(path, const_buffer(text).bytes(), with, {});
}
template <class Rep, class Period>
void write_file_for(const std::string& path, const const_buffer& bytes, std::chrono::duration<Rep, Period> length,
                    const write_file_options& with = {}) {
    detail::write_file_by(path, bytes.bytes(), with, detail::limit::within(length));
}
template <class Clock, class Duration>
void write_file_until(const std::string& path, const const_buffer& bytes, std::chrono::time_point<Clock, Duration> when,
                      const write_file_options& with = {}) {
    detail::write_file_by(path, bytes.bytes(), with, detail::limit::until(when));
}

}  // namespace copse::io
