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
#include <vector>

#include <copse/clock.hpp>
#include <copse/io/buffer_view.hpp>
#include <copse/io/byte_stream.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/socket.hpp>

namespace copse::io {

namespace detail {

struct stream_access;

class stream_base {
public:
    stream_base() = default;
    stream_base(const stream_base&) = delete;
    stream_base& operator=(const stream_base&) = delete;
    virtual ~stream_base();

    virtual std::size_t recv(std::span<std::byte> into, std::optional<clock::time_point> until) = 0;
    virtual void send_all(std::span<const const_buffer> pieces, std::optional<clock::time_point> until) = 0;
    virtual void end_sending(std::optional<clock::time_point> until) = 0;
    virtual void close() = 0;
    virtual bool is_open() const noexcept = 0;
};

[[noreturn]] void fail_one_way(const char* operation);

/// All pieces as one, in `room` if there are several.
std::span<const std::byte> as_one(std::span<const const_buffer> pieces, std::vector<std::byte>& room);

/// Has something to send before its end, as TLS does: so that it may have to wait.
template <class S>
concept ends_in_time = byte_stream<S> && requires(S& s, clock::time_point when) {
    s.shutdown_until(shut::write, when);
};

/// `Held` is the stream, or a reference to it.
template <class Held, class S>
class stream_of final : public stream_base {
public:
    explicit stream_of(Held s) : held_(std::move(s)) {}

    std::size_t recv(std::span<std::byte> into, std::optional<clock::time_point> until) override {
        if constexpr (readable<S>) {
            return take_some(it(), into, until);
        } else {
            fail_one_way("recv");
        }
    }

    void send_all(std::span<const const_buffer> pieces, std::optional<clock::time_point> until) override {
        if constexpr (sends<S>) {
            until ? it().send_all_until(pieces, *until) : it().send_all(pieces);
        } else if constexpr (writable<S>) {
            std::vector<std::byte> room;
            put_all(it(), as_one(pieces, room), until);
        } else {
            fail_one_way("send_all");
        }
    }

    void end_sending(std::optional<clock::time_point> until) override {
        if constexpr (ends_in_time<S>) {
            if (until) return void(it().shutdown_until(shut::write, *until));
            it().shutdown(shut::write);
        } else if constexpr (byte_stream<S>) {
            it().shutdown(shut::write);
        } else if constexpr (!readable<S>) {
            it().close();
        }
    }

    void close() override { it().close(); }
    bool is_open() const noexcept override { return static_cast<const S&>(held_).is_open(); }

private:
    S& it() noexcept { return held_; }

    Held held_;
};

/// What any_stream holds.
template <class S>
concept streamable = (readable<S> || writable<S>)&&requires(S& s, const S& looked_at) {
    s.close();
    { looked_at.is_open() } -> std::convertible_to<bool>;
};

}  // namespace detail

/// Owns a stream of any kind: `any_stream s = io::connect("localhost:7")`; or refers to one that lives longer:
/// `any_stream s = std::ref(connection)`.
///
/// What goes one way only is a stream too: `any_stream in = io::standard_input()`, and so is a file. Sending to what cannot
/// be written, or receiving from what cannot be read, is EBADF.
///
/// Its verbs are those of the stream inside, with its errors, its time-outs and its thread rule; each costs one virtual
/// call more, and a timed form a reading of the clock. One that was moved from, or made empty, is closed: EBADF.
class any_stream {
public:
    /// Closed.
    any_stream() noexcept = default;

    template <class S>
        requires(!std::same_as<S, any_stream>)
    &&detail::streamable<S> explicit(false) any_stream(S s)
        : stream_(std::make_unique<detail::stream_of<S, S>>(std::move(s))) {
        static_assert(std::move_constructible<S>, "it cannot be moved in here: std::ref(it) refers to it");
    }
    template <detail::streamable S>
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
        return open().recv(into, detail::limit::within(length).point());
    }
    template <class Clock, class Duration>
    std::size_t recv_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return open().recv(into, detail::limit::until(when).point());
    }

    /// All of it; of several pieces as if they were one.
    /// Parks:   until the last byte was taken.
    void send_all(std::span<const const_buffer> pieces) { open().send_all(pieces, std::nullopt); }
    void send_all(std::initializer_list<const_buffer> pieces) { send_all(std::span(pieces.begin(), pieces.size())); }
    void send_all(std::span<const std::byte> bytes) { send_all({const_buffer(bytes)}); }
    void send_all(std::string_view text) { send_all({const_buffer(text)}); }
    template <class Rep, class Period>
    void send_all_for(std::span<const const_buffer> pieces, std::chrono::duration<Rep, Period> length) {
        open().send_all(pieces, detail::limit::within(length).point());
    }
    template <class Rep, class Period>
    void send_all_for(const const_buffer& piece, std::chrono::duration<Rep, Period> length) {
        send_all_for(std::span(&piece, 1), length);
    }
    template <class Clock, class Duration>
    void send_all_until(std::span<const const_buffer> pieces, std::chrono::time_point<Clock, Duration> when) {
        open().send_all(pieces, detail::limit::until(when).point());
    }
    template <class Clock, class Duration>
    void send_all_until(const const_buffer& piece, std::chrono::time_point<Clock, Duration> when) {
        send_all_until(std::span(&piece, 1), when);
    }

    /// Only shut::write: the peer sees the end of the stream after what was sent; receiving goes on. What can only be written
    /// is closed; a file stays as it is.
    /// Parks:   as the stream inside: a socket does not.
    /// Throws:  std::invalid_argument for another half.
    void shutdown(shut how) { shutdown_by(how, {}); }
    template <class Rep, class Period>
    void shutdown_for(shut how, std::chrono::duration<Rep, Period> length) {
        shutdown_by(how, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void shutdown_until(shut how, std::chrono::time_point<Clock, Duration> when) {
        shutdown_by(how, detail::limit::until(when));
    }

    /// Those who wait get EBADF.
    /// Parks:   as the stream inside: a socket does not.
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
    friend struct detail::stream_access;

    void shutdown_by(shut how, detail::limit within);
    detail::stream_base& open() const;  // throws if it is empty

    std::unique_ptr<detail::stream_base> stream_;
};

static_assert(byte_stream<socket> && byte_stream<any_stream>);

}  // namespace copse::io
