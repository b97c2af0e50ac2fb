/// A std::iostream over a stream: operators, manipulators and libraries that want one.
#pragma once

#include <chrono>
#include <exception>
#include <iostream>
#include <memory>

#include <copse/io/buffered_stream.hpp>

namespace copse::io {

namespace detail {
class iostream_buffer;
}  // namespace detail

/// Reads and writes a stream as std::iostream does, and parks the fiber instead of blocking.
///
///     copse::io::iostream server(copse::io::connect("localhost:80"));
///     server << "GET / HTTP/1.0\r\n\r\n";
///     for (std::string line; std::getline(server, line);) std::cout << line << '\n';
///
/// **Errors are thrown as they are**: its `exceptions()` begin as `badbit`, unlike those of the standard's streams, so that
/// std::system_error, timed_out, timeout_expired and a kill come out of the operator or function that met them. The end of
/// the stream is `eofbit`, as usual.
///
/// If the mask is taken away by `exceptions(std::ios::goodbit)`, an error sets `badbit` and is kept for `failure()`; so is a
/// timeout_expired. A kill is not swallowed even then: the fiber gets it again at its next wait.
/// What reads through `rdbuf()` on behalf of **another** stream, as in `std::cout << server.rdbuf()`, meets that stream's mask,
/// which catches everything, kills too; the error handler is told then. `copse::io::copy` does it better.
///
/// What is written is sent by `std::flush`, `std::endl`, `close`, before it waits for input, when the buffer is full, and with
/// `std::unitbuf` at once. The destructor sends nothing: it does not wait. After an error that came while sending, the sending
/// half is dead, as that of buffered_stream. Reading loses nothing: after `clear()` it goes on where it stopped.
///
/// One fiber at a time; it belongs to the thread of its stream. Cannot be moved.
class iostream : public std::iostream {
public:
    /// Throws:  as buffered_stream.
    explicit iostream(any_stream under, const buffered_stream_options& with = {});
    iostream(const iostream&) = delete;
    iostream& operator=(const iostream&) = delete;
    ~iostream() override;

    bool is_open() const noexcept;

    /// Flushes and closes it. It is closed even if flushing throws.
    /// Parks:   until all is sent.
    /// Throws:  as buffered_stream::flush, whatever the mask.
    void close();

    /// Each single wait takes so long at most: timed_out then. Without end by default.
    template <class Rep, class Period>
    void set_timeout(std::chrono::duration<Rep, Period> length) {
        set_timeout_ns(copse::detail::length_of(length));
    }

    /// What has set `badbit` without being thrown; null if nothing has.
    std::exception_ptr failure() const noexcept;

    /// What it stands on, from the first byte on that was not taken from here: to go on without iostreams.
    buffered_stream& below();

private:
    void set_timeout_ns(std::int64_t length) noexcept;

    std::unique_ptr<detail::iostream_buffer> buffer_;
};

}  // namespace copse::io
