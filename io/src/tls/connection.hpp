// A tls_stream's insides: carries bytes between the engine and the stream below, and is all of TLS that parks.
//
// One fiber receives and one sends, each as if it were alone:
//
//   receiving   read; if the engine wants bytes, receive from below into its room, and read again
//   sending     encrypt some 64 KiB, then give the stream below what is outgoing
//
// Reading may leave something outgoing too (the answer to a key update, an alert). Whoever sends already takes it along.
// Else the reader tries once, without waiting: were it to wait for a peer that itself waits for us to read, nobody would ever
// go on. What does not fit goes ahead of the next send, which is soon enough (RFC 8446, 4.6.3), or with the next receive.
//
// Invariants:
//   - What is in `flight_` from `sent_` on is all that was taken from the engine and not by the stream below. Only the holder
//     of `pipe_` touches them.
//   - `cut_off_`: it is not known how much of `flight_` the stream below has taken. Nothing is sent any more.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <copse/clock.hpp>
#include <copse/io/any_stream.hpp>
#include <copse/io/buffer.hpp>
#include <copse/io/buffer_view.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/tls_error.hpp>
#include <copse/mutex.hpp>

#include "engine.hpp"
#include "thread_owner.hpp"

namespace copse::io::detail {

class tls_connection;

/// Whose end it was: its catcher can tell, as of the errors of sockets by has_origin.
struct truncation final : stream_truncated {
    truncation(const std::string& text, const tls_connection* connection) : stream_truncated(text), of(connection) {}

    const tls_connection* of;
};

class tls_connection {
public:
    /// Of a client; of a server.
    tls_connection(tls_engine::context with, host_name host) : engine_(std::move(with), std::move(host)) {}
    explicit tls_connection(tls_engine::context with) : engine_(std::move(with)) {}
    tls_connection(const tls_connection&) = delete;
    tls_connection& operator=(const tls_connection&) = delete;

    /// The stream below, before anything else.
    void take_over(any_stream below) noexcept { below_ = std::move(below); }

    /// After whatever it throws the stream below is closed.
    void shake_hands(limit within);

    std::size_t recv(std::span<std::byte> into, limit within);
    std::size_t recv_exactly(std::span<std::byte> into, limit within);
    pooled_buffer recv_pooled(limit within);
    void send_all(std::span<const const_buffer> pieces, limit within);
    void end_sending(limit within);

    void close() noexcept;
    /// Closes without a word to the peer.
    void cut() noexcept;

    bool is_open() const noexcept { return !closed_; }
    /// The handshake has failed because the program's own function did.
    bool choice_failed() const noexcept { return choice_failed_; }
    /// Throws:  wrong_thread, before anything is encrypted that could not be sent.
    void check_thread() const { owner_.check("tls_stream"); }
    void accept_truncation() noexcept { accepts_truncation_ = true; }
    const tls_engine& engine() const noexcept { return engine_; }

private:
    using deadline = std::optional<clock::time_point>;

    void exchange_flights(limit& within);
    void ask_for_choice(limit& within);
    void take_a_turn();
    bool fill(limit& within);
    std::size_t read(std::span<std::byte> into, limit& within);
    [[noreturn]] void fail_truncated() const;

    void answer();
    void flush(limit& within);
    void send_outgoing(deadline until);
    void send_flight(deadline until);
    void check_can_send(const char* operation) const;
    bool has_unsent() const noexcept { return sent_ != flight_.size() || engine_.has_outgoing(); }
    void encrypt_and_send(std::span<const const_buffer> pieces, limit& within, std::size_t& taken);
    void say_goodbye() noexcept;

    const thread_owner owner_;
    any_stream below_;
    tls_engine engine_;
    std::vector<std::byte> flight_;
    std::size_t sent_ = 0;
    timed_mutex pipe_;  // to the peer: held by whoever gives the stream below something
    unsigned without_wait_ = 0;
    bool receiving_ = false;
    bool sending_ = false;
    bool ended_sending_ = false;
    bool has_heard_ = false;  // since the handshake
    bool cut_off_ = false;
    bool closed_ = false;
    bool accepts_truncation_ = false;
    bool choice_failed_ = false;
};

}  // namespace copse::io::detail
