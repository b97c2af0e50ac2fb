/// Messages over a stream: each is preceded by its length, so that none sticks to another.
#pragma once

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <copse/io/any_stream.hpp>
#include <copse/io/detail/pull_iterator.hpp>

namespace copse::io {

namespace detail {
class frame_state;
}  // namespace detail

/// How frames look: `frame_stream(connect(there), {.prefix = 2, .max_size = 1024})`. Both sides must agree on the first two.
struct frame_options {
    unsigned prefix = 4;                      ///< bytes of the length: 1, 2, 4 or 8
    std::endian order = std::endian::big;     ///< of these bytes
    std::size_t max_size = 16 * 1024 * 1024;  ///< bytes of a message, both ways; less if the prefix cannot say so much
};

/// A stream of messages. On the wire each is its length, without the prefix itself, and its bytes. It may be empty.
///
///     copse::io::frame_stream peer(copse::io::connect("localhost:8005"));
///     peer.send("how many trees?");
///     if (auto answer = peer.receive()) std::cout << *answer << '\n';
///
/// **Any number of fibers may send**: whole messages, in the order in which they came. One at a time may receive: another gets
/// concurrent_use. A kill or a time-out while one waits for its turn sends nothing and harms nobody. If it comes in the middle
/// of a message, or sending fails there, the peer has a part of it: the sending half is dead, and every later send throws
/// state_not_recoverable. Receiving is not touched by that.
///
/// **Receiving loses nothing**: after a kill or a time-out the next `receive` goes on where it stopped. Once a length is over
/// the limit, or the stream ended within a message, every later `receive` says so again.
///
/// A length that the peer announces is believed only as far as its bytes arrive: beyond the first 64 KiB memory is allocated in
/// proportion to what has been received.
///
/// It belongs to the thread of its stream, and may be moved at any time. Every verb that may park is a kill point even if it
/// succeeds at once, and throws what the stream throws: std::system_error, EBADF if it is closed, timed_out. To end it while
/// fibers are in it is an error: close it, and let them go first.
class frame_stream {
public:
    /// Closed.
    frame_stream() noexcept;
    /// What has been received and buffered by others, as of an HTTP upgrade, is not lost if `under` is that buffered_stream.
    /// Throws:  std::invalid_argument for another prefix, another order than big and little.
    explicit frame_stream(any_stream under, const frame_options& with = {});
    frame_stream(frame_stream&& other) noexcept;
    frame_stream& operator=(frame_stream&& other) noexcept;
    /// Closes it, as the stream does.
    ~frame_stream();

    bool is_open() const noexcept;
    explicit operator bool() const noexcept { return is_open(); }

    /// Sends one message, length and bytes in one call. The time is for the wait for its turn too.
    /// Parks:   until the messages before it, and all of it, are sent.
    /// Throws:  std::invalid_argument if it is larger than `max_size` or than the prefix can say: nothing was sent.
    /// After:   a kill or time-out: see the class.
    void send(std::span<const std::byte> message) { send({const_buffer(message)}); }
    void send(std::string_view message) { send({const_buffer(message)}); }
    /// The same of several pieces that are one message.
    void send(std::span<const const_buffer> pieces) { send_by(pieces, {}); }
    void send(std::initializer_list<const_buffer> pieces) { send_by({pieces.begin(), pieces.size()}, {}); }
    template <class Rep, class Period>
    void send_for(const const_buffer& message, std::chrono::duration<Rep, Period> length) {
        send_by({&message, 1}, detail::limit::within(length));
    }
    template <class Rep, class Period>
    void send_for(std::span<const const_buffer> pieces, std::chrono::duration<Rep, Period> length) {
        send_by(pieces, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void send_until(const const_buffer& message, std::chrono::time_point<Clock, Duration> when) {
        send_by({&message, 1}, detail::limit::until(when));
    }
    template <class Clock, class Duration>
    void send_until(std::span<const const_buffer> pieces, std::chrono::time_point<Clock, Duration> when) {
        send_by(pieces, detail::limit::until(when));
    }

    /// Receives one message.
    /// Parks:   until all of it is there.
    /// Returns: empty if the stream ended between two messages.
    /// Throws:  transfer_error: connection_aborted if it ended within one, message_size for a length over the limit.
    std::optional<std::string> receive() { return receive_by({}); }
    template <class Rep, class Period>
    std::optional<std::string> receive_for(std::chrono::duration<Rep, Period> length) {
        return receive_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::optional<std::string> receive_until(std::chrono::time_point<Clock, Duration> when) {
        return receive_by(detail::limit::until(when));
    }

    /// Only shut::write, after the messages that fibers are sending: the peer's `receive` then returns empty.
    /// Parks:   until these are sent.
    void shutdown(shut how);

    /// Those who wait get EBADF.
    void close();

    /// All messages up to the end: `for (const std::string& message : peer) …`.
    using iterator = detail::pull_iterator<frame_stream, std::string, &frame_stream::receive>;
    /// Parks:   as receive; so does ++.
    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

private:
    void send_by(std::span<const const_buffer> pieces, detail::limit within);
    std::optional<std::string> receive_by(detail::limit within);
    detail::frame_state& use(const char* operation) const;

    std::unique_ptr<detail::frame_state> state_;  // stays where it is when this is moved
};

}  // namespace copse::io
