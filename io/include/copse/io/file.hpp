/// Files on disks, which epoll knows nothing of: threads wait for the disk, and the fiber for them.
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
/// Every verb that parks runs on one of four threads that all files of the process share (some 10 µs more than the call
/// itself), in pieces of 1 MiB; other fibers run meanwhile. It works on a copy of the bytes, which belongs to the call: so a
/// kill, a time-out or a timeout scope ends the wait at once, and **the piece that the disk has begun goes on without its
/// fiber**. Of a read nobody notices; a write may still happen, after what the fiber does next.
///
/// Any number of fibers may use one file. Those that use its position (read, read_exactly, read_to_end, write_all) come one
/// after the other, each as a whole; those that name an offset run side by side. The position is this object's, not that of
/// the descriptor, and moves when a verb has ended well; by what `write_all` has written also if it has not. Several files
/// may be opened by the same name.
///
/// It belongs to one thread at a time, and may be moved to another while no fiber is in it. Unless a line says otherwise a
/// verb throws std::system_error with the kernel's code, operation and name in its text (EBADF if it is closed), timed_out,
/// and whatever a kill or a timeout scope throws. Timed forms that are missing: with_timeout does the same.
class file {
public:
    /// Closed.
    file() noexcept;

    /// Parks:   until it is open.
    /// Throws:  std::system_error: ENOENT, EACCES, EEXIST, EISDIR; ESPIPE for a FIFO or a socket, which pipe_reader, pipe_writer
    ///          and socket are for; std::invalid_argument for options that contradict each other and a NUL in the path.
    /// After:   a kill: it may have been made; it is not left open.
    static file open(const std::string& path, const open_options& with = {});

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
    std::string read_to_end(std::size_t most = std::numeric_limits<std::size_t>::max());

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
    std::uint64_t size() const;
    /// Cuts it to `size` bytes, or fills it with zeros up to there. The position is left alone.
    /// Parks:   until it is done.
    void truncate(std::uint64_t size);

    /// Where the next byte is read or written. Parks: no.
    std::uint64_t position() const;
    /// Parks:   no. `f.seek(f.size())` is its end.
    /// Throws:  std::invalid_argument for an offset beyond 2^63; concurrent_use while a fiber reads or writes at the position.
    void seek(std::uint64_t offset);

private:
    explicit file(std::shared_ptr<detail::open_file> opened) noexcept;

    const std::shared_ptr<detail::open_file>& use(const char* operation) const;

    std::size_t read_by(std::span<std::byte> into, detail::limit within);
    std::size_t read_at_by(std::uint64_t offset, std::span<std::byte> into, detail::limit within);
    std::size_t read_exactly_by(std::span<std::byte> into, detail::limit within);
    void write_all_by(std::span<const std::byte> bytes, detail::limit within);
    void write_all_at_by(std::uint64_t offset, std::span<const std::byte> bytes, detail::limit within);
    void sync_by(detail::limit within);

    std::shared_ptr<detail::open_file> open_;  // shared with the calls that run; null: closed
};

/// All of a file.
/// Parks:   until it is read.
/// Throws:  as file::open; transfer_error(file_too_large) once there are more than `most` bytes.
std::string read_file(const std::string& path, std::size_t most = std::numeric_limits<std::size_t>::max());

/// How a whole file is written.
struct write_file_options {
    bool atomic =
        false;          ///< whoever opens the name finds the old bytes or the new ones, all of them, even after a crash
    bool sync = false;  ///< returns when they are on the disk
    mode_t permissions = 0666;  ///< of a new one, less the umask
};

/// Writes a whole file: it is made, or made empty, or, if `atomic`, replaced by a new one with the permissions of the old; a
/// symbolic link is replaced itself then.
/// Parks:   until the kernel has taken the last byte.
/// Throws:  as file::open and file::write_all. If `atomic`, the file is as it was then, and nothing is left beside it.
/// After:   a kill or timeout scope: the writing goes on to its end without the fiber.
void write_file(const std::string& path, std::span<const std::byte> bytes, const write_file_options& with = {});
inline void write_file(const std::string& path, std::string_view text, const write_file_options& with = {}) {
    write_file(path, const_buffer(text).bytes(), with);
}

}  // namespace copse::io
