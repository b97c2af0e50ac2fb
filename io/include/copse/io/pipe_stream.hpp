/// Two pipes as one stream: what is built on streams runs over standard input and output too.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <utility>

#include <copse/io/any_stream.hpp>
#include <copse/io/pipe.hpp>

namespace copse::io {

/// Reads from one pipe and writes to another, with their rules and errors. Either end may be closed.
///
///     any_stream console = pipe_stream(standard_input(), standard_output());
class pipe_stream {
public:
    /// Closed.
    pipe_stream() noexcept = default;
    pipe_stream(pipe_reader from, pipe_writer to) noexcept : reader_(std::move(from)), writer_(std::move(to)) {}

    pipe_reader& reader() noexcept { return reader_; }
    pipe_writer& writer() noexcept { return writer_; }

    /// One of them is open.
    bool is_open() const noexcept { return reader_.is_open() || writer_.is_open(); }

    /// See pipe_reader::read.
    std::size_t recv(std::span<std::byte> into) { return reader_.read(into); }
    template <class Clock, class Duration>
    std::size_t recv_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return reader_.read_until(into, when);
    }

    /// See pipe_writer::write_all. Several pieces are copied together: up to 4 KiB then arrive as one.
    void send_all(std::span<const const_buffer> pieces) { send_all_by(pieces, {}); }
    template <class Clock, class Duration>
    void send_all_until(std::span<const const_buffer> pieces, std::chrono::time_point<Clock, Duration> when) {
        send_all_by(pieces, detail::limit::until(when));
    }

    /// Closes what `how` names.
    void shutdown(shut how) noexcept;
    void close() noexcept { shutdown(shut::both); }

private:
    void send_all_by(std::span<const const_buffer> pieces, detail::limit within);

    pipe_reader reader_;
    pipe_writer writer_;
};

static_assert(byte_stream<pipe_stream>);

}  // namespace copse::io
