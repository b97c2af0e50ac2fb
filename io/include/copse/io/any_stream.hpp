/// A stream of bytes, whatever it runs through: what is built on streams (lines, frames, HTTP) is built once.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <copse/clock.hpp>
#include <copse/io/buffer_view.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/socket.hpp>

namespace copse::io {

/// What any_stream accepts: socket, tls_stream, and types of yours with the same verbs. `recv` gives 0 at the end of the
/// stream and nowhere else; an end that the protocol below did not announce is thrown.
template <class S>
concept byte_stream = std::move_constructible<S> &&
    requires(S& s, std::span<std::byte> into, std::span<const const_buffer> pieces, clock::time_point when) {
    { s.recv(into) } -> std::same_as<std::size_t>;
    { s.recv_until(into, when) } -> std::same_as<std::size_t>;
    s.send_all(pieces);
    s.send_all_until(pieces, when);
    s.shutdown(shut::write);
    s.close();
    { std::as_const(s).is_open() } -> std::convertible_to<bool>;
};

namespace detail {

class stream_base {
public:
    stream_base() = default;
    stream_base(const stream_base&) = delete;
    stream_base& operator=(const stream_base&) = delete;
    virtual ~stream_base();

    virtual std::size_t recv(std::span<std::byte> into, std::optional<clock::time_point> until) = 0;
    virtual void send_all(std::span<const const_buffer> pieces, std::optional<clock::time_point> until) = 0;
    virtual void end_sending() = 0;
    virtual void close() = 0;
    virtual bool is_open() const noexcept = 0;
};

/// `Held` is the stream, or a reference to it.
template <class Held, class S>
class stream_of final : public stream_base {
public:
    explicit stream_of(Held s) : held_(std::move(s)) {}

    std::size_t recv(std::span<std::byte> into, std::optional<clock::time_point> until) override {
        return until ? it().recv_until(into, *until) : it().recv(into);
    }
    void send_all(std::span<const const_buffer> pieces, std::optional<clock::time_point> until) override {
        until ? it().send_all_until(pieces, *until) : it().send_all(pieces);
    }
    void end_sending() override { it().shutdown(shut::write); }
    void close() override { it().close(); }
    bool is_open() const noexcept override { return static_cast<const S&>(held_).is_open(); }

private:
    S& it() noexcept { return held_; }

    Held held_;
};

}  // namespace detail

/// Owns a stream of any kind: `any_stream s = io::connect("localhost:7")`; or refers to one that lives longer:
/// `any_stream s = std::ref(connection)`.
///
/// Its verbs are those of the stream inside, with its errors, its time-outs and its thread rule; each costs one virtual
/// call more, and a timed form a reading of the clock. One that was moved from, or made empty, is closed: EBADF.
class any_stream {
public:
    /// Closed.
    any_stream() noexcept = default;

    template <class S>
        requires(!std::same_as<S, any_stream>)
    &&byte_stream<S> explicit(false) any_stream(S s)
        : stream_(std::make_unique<detail::stream_of<S, S>>(std::move(s))) {}
    template <byte_stream S>
    explicit(false) any_stream(std::reference_wrapper<S> s)
        : stream_(std::make_unique<detail::stream_of<std::reference_wrapper<S>, S>>(s)) {}

    bool is_open() const noexcept { return stream_ != nullptr && stream_->is_open(); }
    explicit operator bool() const noexcept { return is_open(); }

    /// At least a byte, at most what fits.
    /// Parks:   until there is something.
    /// Returns: 0 at the end of the stream (or if `into` is empty).
    std::size_t recv(std::span<std::byte> into) { return open().recv(into, std::nullopt); }
    template <class Rep, class Period>
    std::size_t recv_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return open().recv(into, deadline_of(detail::limit::within(length)));
    }
    template <class Clock, class Duration>
    std::size_t recv_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return open().recv(into, deadline_of(detail::limit::until(when)));
    }

    /// All of it; of several pieces as if they were one.
    /// Parks:   until the last byte was taken.
    void send_all(std::span<const const_buffer> pieces) { open().send_all(pieces, std::nullopt); }
    void send_all(std::initializer_list<const_buffer> pieces) { send_all(std::span(pieces.begin(), pieces.size())); }
    void send_all(std::span<const std::byte> bytes) { send_all({const_buffer(bytes)}); }
    void send_all(std::string_view text) { send_all({const_buffer(text)}); }
    template <class Rep, class Period>
    void send_all_for(std::span<const const_buffer> pieces, std::chrono::duration<Rep, Period> length) {
        open().send_all(pieces, deadline_of(detail::limit::within(length)));
    }
    template <class Clock, class Duration>
    void send_all_until(std::span<const const_buffer> pieces, std::chrono::time_point<Clock, Duration> when) {
        open().send_all(pieces, deadline_of(detail::limit::until(when)));
    }

    /// Only shut::write: the peer sees the end of the stream after what was sent; receiving goes on.
    /// Throws:  std::invalid_argument for another half.
    void shutdown(shut how);

    void close();

    /// Boost.Asio's SyncStream: `<copse/io/sync_stream.hpp>` defines what they do, and is to be included by who calls them.
    template <class Buffers>
    std::size_t read_some(const Buffers& into) {
        return sync_read_some(*this, into);
    }
    template <class Buffers, class ErrorCode>
    std::size_t read_some(const Buffers& into, ErrorCode& error) {
        return sync_read_some(*this, into, error);
    }
    template <class Buffers>
    std::size_t write_some(const Buffers& from) {
        return sync_write_some(*this, from);
    }
    template <class Buffers, class ErrorCode>
    std::size_t write_some(const Buffers& from, ErrorCode& error) {
        return sync_write_some(*this, from, error);
    }

private:
    static clock::time_point deadline_of(detail::limit l) {
        return clock::time_point(std::chrono::nanoseconds(l.deadline()));
    }

    detail::stream_base& open() const;  // throws if it is closed

    std::unique_ptr<detail::stream_base> stream_;
};

static_assert(byte_stream<socket> && byte_stream<any_stream>);

}  // namespace copse::io
