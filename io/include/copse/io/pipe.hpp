/// Pipes, and other descriptors that are read and written as streams: FIFOs, terminals, standard input.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <copse/io/buffer.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/error.hpp>

namespace copse::io {

namespace detail {
struct entry;
struct pipe_access;
enum class direction : std::uint8_t;

/// What both ends are: a descriptor that is owned, non-blocking and remembered, or one that is only borrowed.
class pipe_end {
public:
    pipe_end(const pipe_end&) = delete;
    pipe_end& operator=(const pipe_end&) = delete;

    bool is_open() const noexcept { return fd_ >= 0; }
    explicit operator bool() const noexcept { return is_open(); }
    /// -1 if it is closed.
    int native_handle() const noexcept { return fd_; }

    /// Closes it, after the fiber that waits on it was made ready with EBADF; the other end then sees the end of the
    /// stream, or EPIPE. A closed one stays closed. What is borrowed is let go of, and stays open. On another thread
    /// than its own only the descriptor is closed, and nobody woken.
    /// Parks:   no.
    void close() noexcept;

    /// Gives the descriptor away without closing it, still non-blocking if it was owned; who waits gets EBADF.
    /// Returns: -1 if it is closed.
    int release();

protected:
    pipe_end() noexcept = default;
    pipe_end(pipe_end&& other) noexcept
        : entry_(std::exchange(other.entry_, nullptr)),
          home_(std::exchange(other.home_, no_home)),
          fd_(std::exchange(other.fd_, -1)),
          generation_(other.generation_),
          borrowed_(other.borrowed_) {}
    pipe_end& operator=(pipe_end&& other) noexcept {
        if (this == &other) return *this;
        close();
        entry_ = std::exchange(other.entry_, nullptr);
        home_ = std::exchange(other.home_, no_home);
        fd_ = std::exchange(other.fd_, -1);
        generation_ = other.generation_;
        borrowed_ = other.borrowed_;
        return *this;
    }
    ~pipe_end() { close(); }

    friend struct pipe_access;

    void adopt_as(int fd, direction d);
    void borrow_as(int fd);
    void take_over(int fd, std::uint8_t ready);
    entry& use(const char* operation) const;

    static constexpr std::uint64_t no_home = 1;  // of no reactor

    entry* entry_ = nullptr;  // null: nothing
    std::uint64_t home_ = no_home;
    int fd_ = -1;
    std::uint32_t generation_ = 0;
    bool borrowed_ = false;
};
}  // namespace detail

/// The end of a pipe that is read from.
///
/// It belongs to the thread that made it: another thread gets `wrong_thread`; carry the number there by `release` and
/// `adopt`. One fiber at a time reads: a second one that would have to wait gets `concurrent_use`. As with sockets,
/// every verb that may park is a kill point even if it succeeds at once, lets others run after 128 operations in a row,
/// and unless it parks reads no clock and allocates nothing. Unless a line says otherwise it throws std::system_error
/// with the kernel's code (EBADF if the end is closed, also by another fiber meanwhile), `timed_out`, and whatever a
/// kill or a timeout scope throws.
///
///     auto [reader, writer] = copse::io::pipe();
///     copse::spawn([w = std::move(writer)]() mutable { w.write_all("many small trees"); });
///     std::string all = reader.read_to_end();
class pipe_reader : public detail::pipe_end {
public:
    /// Closed.
    pipe_reader() noexcept = default;
    pipe_reader(pipe_reader&&) noexcept = default;
    pipe_reader& operator=(pipe_reader&&) noexcept = default;

    /// Takes over a descriptor: a pipe, a FIFO, a pseudo-terminal, a character device; a regular file never parks. It
    /// is made non-blocking, for everybody who shares the open file: see borrow.
    /// Throws:  std::system_error(EBADF) if it is not open for reading: the number then still is the caller's.
    static pipe_reader adopt(int fd);

    /// Uses a descriptor that others share, such as standard input, without owning or changing it: O_NONBLOCK would strike
    /// whoever has the same open file, the shell for one. Each read first waits until there is something.
    ///
    /// If another process is faster after that, the read blocks the thread, where the kernel cannot be told not to: on
    /// terminals, and on pipes before Linux 6.5. Regular files do not park: the disk is waited for.
    /// Throws:  std::system_error(EBADF).
    static pipe_reader borrow(int fd);

    /// Opens a FIFO.
    /// Parks:   no (but a network file system that hangs blocks the thread). The first read parks until a writer has come.
    /// Throws:  std::system_error: ENOENT, EACCES …; EINVAL if it is no FIFO. std::invalid_argument for a NUL in the path.
    static pipe_reader open(const std::string& path);

    /// Reads what is there, at least a byte, at most what fits.
    /// Parks:   until there is something.
    /// Returns: 0 at the end of the stream (or if `into` is empty): all writers are closed, or all who had the other side of
    ///          this pseudo-terminal.
    /// After:   a kill or time-out: nothing was taken.
    std::size_t read(std::span<std::byte> into) { return read_by(into, {}); }
    template <class Rep, class Period>
    std::size_t read_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return read_by(into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t read_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return read_by(into, detail::limit::until(when));
    }
    /// Parks:   no. Returns: empty if nothing is there.
    std::optional<std::size_t> try_read(std::span<std::byte> into);

    /// Fills `into`. The time is for all of it.
    /// Parks:   until it is full.
    /// Returns: its size; 0 if the stream ended before the first byte.
    /// Throws:  transfer_error(connection_aborted) if it ended later; that, timed_out and errors after the first byte
    ///          tell how much was read.
    /// After:   a kill: unknown how much was taken.
    std::size_t read_exactly(std::span<std::byte> into) { return read_exactly_by(into, {}); }
    template <class Rep, class Period>
    std::size_t read_exactly_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return read_exactly_by(into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t read_exactly_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return read_exactly_by(into, detail::limit::until(when));
    }

    /// Reads into a buffer of the thread's pool, which is taken only once there is something: see pooled_buffer.
    /// Parks:   until there is something.
    /// Returns: empty at the end of the stream.
    pooled_buffer read_pooled() { return read_pooled_by({}); }
    template <class Rep, class Period>
    pooled_buffer read_pooled_for(std::chrono::duration<Rep, Period> length) {
        return read_pooled_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    pooled_buffer read_pooled_until(std::chrono::time_point<Clock, Duration> when) {
        return read_pooled_by(detail::limit::until(when));
    }

    /// Everything up to the end of the stream.
    /// Parks:   until it ends.
    /// Throws:  transfer_error(file_too_large) once there are more than `most` bytes.
    std::string read_to_end(std::size_t most = std::string().max_size());

private:
    std::size_t read_by(std::span<std::byte> into, detail::limit within);
    std::size_t read_exactly_by(std::span<std::byte> into, detail::limit within);
    pooled_buffer read_pooled_by(detail::limit within);
};

/// The end of a pipe that is written to. What is said of pipe_reader about threads, fibers and errors holds here too.
///
/// That nobody reads any more is EPIPE, never SIGPIPE: the signal is blocked in this thread during the write and taken
/// back if the write caused it, whatever handles it. That costs two system calls a write; a thread that has SIGPIPE
/// blocked already saves one.
class pipe_writer : public detail::pipe_end {
public:
    /// Closed.
    pipe_writer() noexcept = default;
    pipe_writer(pipe_writer&&) noexcept = default;
    pipe_writer& operator=(pipe_writer&&) noexcept = default;

    /// See pipe_reader::adopt, for writing.
    static pipe_writer adopt(int fd);

    /// See pipe_reader::borrow. Each write takes 4 KiB at most (PIPE_BUF), which a pipe that is writable has room for.
    static pipe_writer borrow(int fd);

    /// Opens a FIFO.
    /// Parks:   until somebody has it open for reading, or stands in open(2) for that. The kernel tells nobody: it is asked
    ///          again after 1 ms, then less and less often, at last every 50 ms.
    /// Throws:  as pipe_reader::open; timed_out.
    static pipe_writer open(const std::string& path) { return open_by(path, {}); }
    template <class Rep, class Period>
    static pipe_writer open_for(const std::string& path, std::chrono::duration<Rep, Period> length) {
        return open_by(path, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    static pipe_writer open_until(const std::string& path, std::chrono::time_point<Clock, Duration> when) {
        return open_by(path, detail::limit::until(when));
    }

    /// Writes what the kernel takes, at least a byte.
    /// Parks:   while the pipe is full.
    /// Returns: how many bytes, perhaps not all.
    /// Throws:  std::system_error(EPIPE) if nobody can read it any more.
    /// After:   a kill or time-out: nothing was written.
    std::size_t write(std::span<const std::byte> from) { return write_by(from, {}); }
    std::size_t write(std::string_view from) { return write_by(bytes_of(from), {}); }
    template <class Rep, class Period>
    std::size_t write_for(std::span<const std::byte> from, std::chrono::duration<Rep, Period> length) {
        return write_by(from, detail::limit::within(length));
    }
    template <class Rep, class Period>
    std::size_t write_for(std::string_view from, std::chrono::duration<Rep, Period> length) {
        return write_by(bytes_of(from), detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t write_until(std::span<const std::byte> from, std::chrono::time_point<Clock, Duration> when) {
        return write_by(from, detail::limit::until(when));
    }
    template <class Clock, class Duration>
    std::size_t write_until(std::string_view from, std::chrono::time_point<Clock, Duration> when) {
        return write_by(bytes_of(from), detail::limit::until(when));
    }
    /// Parks:   no. Returns: empty if the pipe is full.
    std::optional<std::size_t> try_write(std::span<const std::byte> from);
    std::optional<std::size_t> try_write(std::string_view from) { return try_write(bytes_of(from)); }

    /// Writes all of it. The time is for all of it.
    /// Parks:   until the kernel has taken the last byte.
    /// Throws:  timed_out, and errors after the first byte, are a transfer_error, which tells how much was written.
    /// After:   a kill: unknown how much was written.
    void write_all(std::span<const std::byte> from) { write_all_by(from, {}); }
    void write_all(std::string_view from) { write_all_by(bytes_of(from), {}); }
    template <class Rep, class Period>
    void write_all_for(std::span<const std::byte> from, std::chrono::duration<Rep, Period> length) {
        write_all_by(from, detail::limit::within(length));
    }
    template <class Rep, class Period>
    void write_all_for(std::string_view from, std::chrono::duration<Rep, Period> length) {
        write_all_by(bytes_of(from), detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void write_all_until(std::span<const std::byte> from, std::chrono::time_point<Clock, Duration> when) {
        write_all_by(from, detail::limit::until(when));
    }
    template <class Clock, class Duration>
    void write_all_until(std::string_view from, std::chrono::time_point<Clock, Duration> when) {
        write_all_by(bytes_of(from), detail::limit::until(when));
    }

private:
    static std::span<const std::byte> bytes_of(std::string_view text) noexcept {
        return std::as_bytes(std::span(text));
    }

    static pipe_writer open_by(const std::string& path, detail::limit within);
    std::size_t write_by(std::span<const std::byte> from, detail::limit within);
    void write_all_by(std::span<const std::byte> from, detail::limit within);
};

/// Both ends: `auto [reader, writer] = copse::io::pipe();`
struct pipe_pair {
    pipe_reader reader;
    pipe_writer writer;
};

/// A new pipe. Neither end is inherited by programs that are started.
/// Throws:  std::system_error (EMFILE …).
pipe_pair pipe();

/// The standard streams, borrowed. What a C or C++ stream has in its buffer they know nothing of.
inline pipe_reader standard_input() { return pipe_reader::borrow(0); }
inline pipe_writer standard_output() { return pipe_writer::borrow(1); }
inline pipe_writer standard_error() { return pipe_writer::borrow(2); }

}  // namespace copse::io
