/// A stream with a buffer for each direction: lines and other pieces are cut from what arrives, small writes leave together.
#pragma once

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <copse/io/any_stream.hpp>
#include <copse/io/detail/byte_buffer.hpp>
#include <copse/io/detail/lane.hpp>
#include <copse/io/detail/outlet.hpp>

namespace copse::io {

struct buffered_stream_options {
    std::size_t read_buffer = 16 * 1024;   ///< bytes that one receive asks for, at least 1
    std::size_t write_buffer = 16 * 1024;  ///< bytes that are kept back at most; 0: every write is sent at once
};

/// Owns a stream, and buffers what comes and goes.
///
///     copse::io::buffered_stream server(copse::io::connect("localhost:25"));
///     server.write("EHLO ");
///     server.write(name);
///     server.write("\r\n");
///     server.flush();
///     while (const auto line = server.read_line()) { … }
///
/// What was received and not yet taken is `unread()`. **Reading loses nothing:** a verb that throws, be it for a kill, a
/// time-out, a limit or the end of the stream, has taken nothing; what had arrived is unread, and the next verb finds it. So
/// the same call may be made again.
///
/// **Writing** is kept back until `flush`, or until the buffer would overflow; what does not fit leaves with it in one call,
/// uncopied. Once a flush has thrown, by an error, a time-out or a kill in its middle, the peer has an unknown part:
/// every later write and flush throws state_not_recoverable. Reading is not touched by that. Nothing is flushed by `close`
/// or the destructor, which do not wait.
///
/// It belongs to the thread of its stream. One fiber at a time reads and one writes: another gets concurrent_use. It may not
/// be moved or ended while a fiber is in it; `close` wakes those. Every verb that may park is a kill point even if it
/// succeeds at once, and throws what the stream throws: std::system_error, EBADF if it is closed, timed_out.
///
/// It is a byte_stream itself: whatever runs over streams runs over this one, from the first unread byte on.
/// Cost:    its buffers are allocated when first used.
class buffered_stream {
public:
    /// A line, or what `read_through` looks for, has at most so many bytes unless another limit is given.
    static constexpr std::size_t default_limit = 64 * 1024;

    /// Closed.
    buffered_stream() noexcept = default;
    /// Throws:  std::invalid_argument for a read buffer of nothing.
    explicit buffered_stream(any_stream under, const buffered_stream_options& with = {});

    bool is_open() const noexcept { return under_.is_open(); }
    explicit operator bool() const noexcept { return is_open(); }
    /// The stream below. What is sent there overtakes what is kept back here, what is received there is missing here.
    any_stream& below() noexcept { return under_; }

    // ---- Reading

    /// Received, and not taken: until the next reading verb.
    std::span<const std::byte> unread() const noexcept { return in_.bytes(); }
    std::string_view unread_text() const noexcept { return in_.text(); }

    /// Takes the first `n` unread bytes.
    /// Parks:   no.
    /// Throws:  std::invalid_argument if there are not so many.
    void consume(std::size_t n);

    /// Waits until `n` bytes are unread, and takes none.
    /// Parks:   until then.
    /// Returns: all that is unread: fewer than `n` only if the stream ended.
    std::span<const std::byte> peek(std::size_t n = 1) { return peek_by(n, {}); }
    template <class Rep, class Period>
    std::span<const std::byte> peek_for(std::size_t n, std::chrono::duration<Rep, Period> length) {
        return peek_by(n, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::span<const std::byte> peek_until(std::size_t n, std::chrono::time_point<Clock, Duration> when) {
        return peek_by(n, detail::limit::until(when));
    }

    /// At least a byte, at most what fits. What is larger than the read buffer is received without it.
    /// Parks:   unless something is unread.
    /// Returns: 0 at the end of the stream (or if `into` is empty).
    std::size_t recv(std::span<std::byte> into) { return recv_by(into, {}); }
    template <class Rep, class Period>
    std::size_t recv_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return recv_by(into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t recv_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return recv_by(into, detail::limit::until(when));
    }

    /// Fills `into`. The time is for all of it.
    /// Parks:   until it is full.
    /// Returns: its size; 0 if the stream ended before the first byte.
    /// Throws:  transfer_error(connection_aborted) if it ended later.
    std::size_t read_exactly(std::span<std::byte> into) { return read_exactly_by(into, {}); }
    template <class Rep, class Period>
    std::size_t read_exactly_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return read_exactly_by(into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t read_exactly_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return read_exactly_by(into, detail::limit::until(when));
    }

    /// The next line without its end, which is "\n" or "\r\n". NULs are bytes like others. What stands between the last end
    /// of line and the end of the stream is a line too.
    /// Parks:   until the line is there.
    /// Returns: a view of the buffer, until the next reading verb; empty at the end of the stream.
    /// Throws:  transfer_error(message_size) if the line has more than `most` bytes.
    std::optional<std::string_view> read_line(std::size_t most = default_limit) { return read_line_by(most, {}); }
    template <class Rep, class Period>
    std::optional<std::string_view> read_line_for(std::chrono::duration<Rep, Period> length,
                                                  std::size_t most = default_limit) {
        return read_line_by(most, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::optional<std::string_view> read_line_until(std::chrono::time_point<Clock, Duration> when,
                                                    std::size_t most = default_limit) {
        return read_line_by(most, detail::limit::until(when));
    }

    /// Everything up to and with the first `delimiter`.
    /// Parks:   until it is there.
    /// Returns: a view of the buffer, until the next reading verb; empty if the stream ended and nothing is unread.
    /// Throws:  transfer_error: message_size if that has more than `most` bytes, connection_aborted if the stream ended
    ///          before the delimiter; std::invalid_argument for an empty one.
    std::optional<std::string_view> read_through(std::string_view delimiter, std::size_t most = default_limit) {
        return read_through_by(delimiter, most, {});
    }
    template <class Rep, class Period>
    std::optional<std::string_view> read_through_for(std::string_view delimiter,
                                                     std::chrono::duration<Rep, Period> length,
                                                     std::size_t most = default_limit) {
        return read_through_by(delimiter, most, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::optional<std::string_view> read_through_until(std::string_view delimiter,
                                                       std::chrono::time_point<Clock, Duration> when,
                                                       std::size_t most = default_limit) {
        return read_through_by(delimiter, most, detail::limit::until(when));
    }

    /// Everything up to the end of the stream.
    /// Parks:   until it ends.
    /// Throws:  transfer_error(file_too_large) once there are more than `most` bytes.
    std::string read_to_end(std::size_t most = std::numeric_limits<std::size_t>::max()) {
        return read_to_end_by(most, {});
    }
    template <class Rep, class Period>
    std::string read_to_end_for(std::chrono::duration<Rep, Period> length,
                                std::size_t most = std::numeric_limits<std::size_t>::max()) {
        return read_to_end_by(most, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::string read_to_end_until(std::chrono::time_point<Clock, Duration> when,
                                  std::size_t most = std::numeric_limits<std::size_t>::max()) {
        return read_to_end_by(most, detail::limit::until(when));
    }

    // ---- Writing

    /// Written, and not sent: so many bytes.
    std::size_t kept_back() const noexcept { return out_.size(); }

    /// Parks:   if it does not fit into the buffer: until all is sent.
    void write(std::span<const std::byte> bytes) { write_by(bytes, {}); }
    void write(std::string_view text) { write_by(const_buffer(text).bytes(), {}); }
    template <class Rep, class Period>
    void write_for(std::span<const std::byte> bytes, std::chrono::duration<Rep, Period> length) {
        write_by(bytes, detail::limit::within(length));
    }
    template <class Rep, class Period>
    void write_for(std::string_view text, std::chrono::duration<Rep, Period> length) {
        write_by(const_buffer(text).bytes(), detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void write_until(std::span<const std::byte> bytes, std::chrono::time_point<Clock, Duration> when) {
        write_by(bytes, detail::limit::until(when));
    }
    template <class Clock, class Duration>
    void write_until(std::string_view text, std::chrono::time_point<Clock, Duration> when) {
        write_by(const_buffer(text).bytes(), detail::limit::until(when));
    }

    /// Sends what was kept back.
    /// Parks:   until all is sent.
    void flush() { send_all_by({}, {}, "flush"); }
    template <class Rep, class Period>
    void flush_for(std::chrono::duration<Rep, Period> length) {
        send_all_by({}, detail::limit::within(length), "flush");
    }
    template <class Clock, class Duration>
    void flush_until(std::chrono::time_point<Clock, Duration> when) {
        send_all_by({}, detail::limit::until(when), "flush");
    }

    /// Sends what was kept back and all of this, in one call.
    /// Parks:   until all is sent.
    void send_all(std::span<const const_buffer> pieces) { send_all_by(pieces, {}, "send_all"); }
    void send_all(std::initializer_list<const_buffer> pieces) { send_all(std::span(pieces.begin(), pieces.size())); }
    void send_all(std::span<const std::byte> bytes) { send_all({const_buffer(bytes)}); }
    void send_all(std::string_view text) { send_all({const_buffer(text)}); }
    template <class Rep, class Period>
    void send_all_for(std::span<const const_buffer> pieces, std::chrono::duration<Rep, Period> length) {
        send_all_by(pieces, detail::limit::within(length), "send_all");
    }
    template <class Rep, class Period>
    void send_all_for(const const_buffer& piece, std::chrono::duration<Rep, Period> length) {
        send_all_by({&piece, 1}, detail::limit::within(length), "send_all");
    }
    template <class Clock, class Duration>
    void send_all_until(std::span<const const_buffer> pieces, std::chrono::time_point<Clock, Duration> when) {
        send_all_by(pieces, detail::limit::until(when), "send_all");
    }
    template <class Clock, class Duration>
    void send_all_until(const const_buffer& piece, std::chrono::time_point<Clock, Duration> when) {
        send_all_by({&piece, 1}, detail::limit::until(when), "send_all");
    }

    /// Flushes, and ends the sending half: see any_stream::shutdown.
    /// Parks:   until all is sent.
    void shutdown(shut how) { shutdown_by(how, {}); }
    template <class Rep, class Period>
    void shutdown_for(shut how, std::chrono::duration<Rep, Period> length) {
        shutdown_by(how, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void shutdown_until(shut how, std::chrono::time_point<Clock, Duration> when) {
        shutdown_by(how, detail::limit::until(when));
    }

    /// What was kept back is dropped; what is unread can still be taken.
    void close();

private:
    using deadline = std::optional<clock::time_point>;

    std::span<const std::byte> peek_by(std::size_t n, detail::limit within);
    std::size_t recv_by(std::span<std::byte> into, detail::limit within);
    std::size_t read_exactly_by(std::span<std::byte> into, detail::limit within);
    std::optional<std::string_view> read_line_by(std::size_t most, detail::limit within);
    std::optional<std::string_view> read_through_by(std::string_view delimiter, std::size_t most, detail::limit within);
    std::string read_to_end_by(std::size_t most, detail::limit within);
    void write_by(std::span<const std::byte> bytes, detail::limit within);
    void send_all_by(std::span<const const_buffer> pieces, detail::limit within, const char* operation);

    void shutdown_by(shut how, detail::limit within);

    bool fill(detail::limit& within);
    std::size_t receive(std::span<std::byte> into, detail::limit& within);
    void read_large(std::span<std::byte> into, detail::limit& within);
    std::string_view take(std::size_t n) noexcept;

    any_stream under_;
    buffered_stream_options with_;
    detail::byte_buffer in_;
    detail::byte_buffer out_;
    detail::outlet outlet_;
    detail::lane reading_;
    detail::lane writing_;
};

static_assert(byte_stream<buffered_stream>);

}  // namespace copse::io
