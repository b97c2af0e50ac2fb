/// TLS over any stream.
#pragma once

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <copse/io/any_stream.hpp>
#include <copse/io/buffer.hpp>
#include <copse/io/buffer_view.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/tls_certificate.hpp>
#include <copse/io/tls_context.hpp>
#include <copse/io/tls_error.hpp>

namespace copse::io {

namespace detail {
class tls_connection;
struct tls_stream_access;
}  // namespace detail

/// A connection that nobody else can read or change: TLS 1.2 or 1.3 over a stream that it owns (a socket, a pipe, another
/// tls_stream) or refers to.
///
///     auto trees = copse::io::connect_tls("example.com:443", copse::io::tls_context::client());
///     trees.send_all("GET / HTTP/1.0\r\n\r\n");
///     while (auto chunk = trees.recv_pooled()) std::cout << chunk.text();
///
/// One fiber may receive while another sends; a second one in the same direction gets concurrent_use. OpenSSL only ever
/// copies between buffers here: no fiber parks inside it, and what it wants to send while one receives goes out with what
/// the sender sends, or by itself.
///
/// | state   | entered by                                                                              |
/// |---------|-----------------------------------------------------------------------------------------|
/// | open    | client, server: the handshake is over                                                   |
/// | ended   | one direction: shutdown(shut::write) here, or the peer's, after which recv returns 0     |
/// | failed  | a record that is none, an alert of the peer: every verb throws the same tls_error        |
/// | closed  | close, the destructor: EBADF                                                             |
///
/// Every verb that may park is a kill point even if it succeeds at once, and lets others run after 128 receives in a row that
/// did not have to wait. Unless a line says otherwise it throws:
///
/// - tls_error;
/// - the errors of the stream below, as they are: ECONNRESET, EBADF if this is closed, also by another fiber meanwhile;
/// - timed_out when its time is over: that of the `_for` and `_until` forms, else what the stream below was told;
/// - concurrent_use, wrong_thread, and whatever a kill or a timeout scope throws.
///
/// Memory: about 30 KiB with nothing under way, up to 30 KiB more once it has received fast; while it sends, 130 KiB more.
/// The thread is that of the stream below.
class tls_stream {
public:
    /// Closed.
    tls_stream() noexcept = default;

    /// Shakes hands as the client of a server named `host`: the name that its certificate must bear, and that it is asked for
    /// (SNI). An address, "192.0.2.1" or "::1", must be among the certificate's addresses, and is not sent. Resumes a session
    /// that `with` keeps for this host, if there is one.
    /// Parks:   until it is done, the context's handshake_timeout at most.
    /// Throws:  tls_error with a code of certificate_category() if the certificate is refused; stream_truncated if the server
    ///          hangs up; std::invalid_argument for a name that is none, and a context of a server.
    /// After:   whatever is thrown, also a kill: the stream below is closed.
    static tls_stream client(any_stream below, const tls_context& with, std::string_view host) {
        return client_by(std::move(below), with, host, handshake_limit(with));
    }
    template <class Rep, class Period>
    static tls_stream client_for(any_stream below, const tls_context& with, std::string_view host,
                                 std::chrono::duration<Rep, Period> length) {
        return client_by(std::move(below), with, host, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    static tls_stream client_until(any_stream below, const tls_context& with, std::string_view host,
                                   std::chrono::time_point<Clock, Duration> when) {
        return client_by(std::move(below), with, host, detail::limit::until(when));
    }

    /// Shakes hands as the server. As client.
    static tls_stream server(any_stream below, const tls_context& with) {
        return server_by(std::move(below), with, handshake_limit(with));
    }
    template <class Rep, class Period>
    static tls_stream server_for(any_stream below, const tls_context& with, std::chrono::duration<Rep, Period> length) {
        return server_by(std::move(below), with, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    static tls_stream server_until(any_stream below, const tls_context& with,
                                   std::chrono::time_point<Clock, Duration> when) {
        return server_by(std::move(below), with, detail::limit::until(when));
    }

    tls_stream(tls_stream&& other) noexcept = default;
    tls_stream& operator=(tls_stream&& other) noexcept {
        tls_stream(std::move(other)).swap(*this);
        return *this;
    }
    /// As close(). If it is an exception (a kill too) that ends it, without close_notify: the peer had better take for cut off
    /// what was not finished.
    ~tls_stream();

    void swap(tls_stream& other) noexcept { std::swap(connection_, other.connection_); }

    bool is_open() const noexcept;
    explicit operator bool() const noexcept { return is_open(); }

    /// Receives what is there, at least a byte, at most what fits.
    /// Parks:   until there is something.
    /// Returns: 0 when the peer has said that it sends no more (or if `into` is empty).
    /// Throws:  stream_truncated if the stream below ends without that. On a client of TLS 1.3, what the server thinks of its
    ///          certificate comes here.
    /// After:   a kill or time-out: nothing was taken.
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
    /// Returns: its size; 0 if the peer ended before the first byte.
    /// Throws:  transfer_error(connection_aborted) if it ended later; that and timed_out tell how much was received.
    /// After:   a kill: unknown how much was taken.
    std::size_t recv_exactly(std::span<std::byte> into) { return recv_exactly_by(into, {}); }
    template <class Rep, class Period>
    std::size_t recv_exactly_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return recv_exactly_by(into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t recv_exactly_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return recv_exactly_by(into, detail::limit::until(when));
    }

    /// Receives into a buffer of the thread's pool, which is taken only once there is something: see pooled_buffer.
    /// Parks:   until there is something.
    /// Returns: empty when the peer has said that it sends no more.
    pooled_buffer recv_pooled() { return recv_pooled_by({}); }
    template <class Rep, class Period>
    pooled_buffer recv_pooled_for(std::chrono::duration<Rep, Period> length) {
        return recv_pooled_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    pooled_buffer recv_pooled_until(std::chrono::time_point<Clock, Duration> when) {
        return recv_pooled_by(detail::limit::until(when));
    }

    /// Sends all of it; several pieces as if they were one, small ones in one record. The time is for all of it.
    /// Parks:   until the stream below has taken the last byte.
    /// Throws:  timed_out tells how many bytes this stream has taken. They need not be repeated: what of them is not sent yet
    ///          goes ahead of the next send. std::system_error(EPIPE) after shutdown.
    /// After:   a kill or a timeout scope that struck while it was parked: it is unknown where in a record the stream below
    ///          stopped, so that nothing can be sent any more (tls_errc::sending_cut_off). Receiving goes on.
    void send_all(std::span<const const_buffer> pieces) { send_all_by(pieces, {}); }
    void send_all(std::initializer_list<const_buffer> pieces) { send_all_by({pieces.begin(), pieces.size()}, {}); }
    void send_all(std::span<const std::byte> bytes) { send_all({const_buffer(bytes)}); }
    void send_all(std::string_view text) { send_all({const_buffer(text)}); }
    template <class Rep, class Period>
    void send_all_for(std::span<const const_buffer> pieces, std::chrono::duration<Rep, Period> length) {
        send_all_by(pieces, detail::limit::within(length));
    }
    template <class Rep, class Period>
    void send_all_for(std::initializer_list<const_buffer> pieces, std::chrono::duration<Rep, Period> length) {
        send_all_by({pieces.begin(), pieces.size()}, detail::limit::within(length));
    }
    template <class Rep, class Period>
    void send_all_for(std::span<const std::byte> bytes, std::chrono::duration<Rep, Period> length) {
        send_all_for({const_buffer(bytes)}, length);
    }
    template <class Rep, class Period>
    void send_all_for(std::string_view text, std::chrono::duration<Rep, Period> length) {
        send_all_for({const_buffer(text)}, length);
    }
    template <class Clock, class Duration>
    void send_all_until(std::span<const const_buffer> pieces, std::chrono::time_point<Clock, Duration> when) {
        send_all_by(pieces, detail::limit::until(when));
    }
    template <class Clock, class Duration>
    void send_all_until(std::initializer_list<const_buffer> pieces, std::chrono::time_point<Clock, Duration> when) {
        send_all_by({pieces.begin(), pieces.size()}, detail::limit::until(when));
    }
    template <class Clock, class Duration>
    void send_all_until(std::span<const std::byte> bytes, std::chrono::time_point<Clock, Duration> when) {
        send_all_until({const_buffer(bytes)}, when);
    }
    template <class Clock, class Duration>
    void send_all_until(std::string_view text, std::chrono::time_point<Clock, Duration> when) {
        send_all_until({const_buffer(text)}, when);
    }

    /// Only shut::write: says that nothing more is sent (close_notify). Receiving goes on, and the stream below stays open.
    /// To end cleanly on both sides: shutdown, receive until 0, close. A second time it does nothing.
    /// Parks:   until the stream below has taken it.
    /// Throws:  std::invalid_argument for another half.
    /// After:   a time-out: call it again. A kill: as send_all.
    void shutdown(shut how) { shutdown_by(how, {}); }
    template <class Rep, class Period>
    void shutdown_for(shut how, std::chrono::duration<Rep, Period> length) {
        shutdown_by(how, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void shutdown_until(shut how, std::chrono::time_point<Clock, Duration> when) {
        shutdown_by(how, detail::limit::until(when));
    }

    /// Says close_notify, unless it was said or a sender is under way, and closes the stream below; who waits gets its EBADF.
    /// Waits for nobody: does not learn what the peer makes of it. A closed one stays closed.
    /// Parks:   for a turn or two at most: when the stream below is full, and on a client that has received nothing, which takes
    ///          the tickets of the server out of the way of its last bytes.
    void close() noexcept;

    /// From now on an end of the stream below counts as the peer's: recv returns 0 and not stream_truncated. Whoever is in
    /// between can then cut every message unseen, unless the messages themselves say how long they are.
    void dangerously_accept_truncation();

    /// What the peer is. Empty if it showed no certificate; that of a resumed session is the one shown at its start.
    std::optional<tls_certificate> peer_certificate() const;
    /// "h2"; empty if none was agreed on.
    std::string alpn_protocol() const;
    tls_version version() const;
    /// "TLS_AES_256_GCM_SHA384".
    std::string cipher() const;
    bool session_reused() const;
    /// The name that the client asked for; empty if for none.
    std::string server_name() const;

private:
    friend struct detail::tls_stream_access;
    explicit tls_stream(std::shared_ptr<detail::tls_connection> c) noexcept : connection_(std::move(c)) {}

    static detail::limit handshake_limit(const tls_context& with) {
        return detail::limit::within(with.handshake_timeout());
    }
    static tls_stream client_by(any_stream below, const tls_context& with, std::string_view host, detail::limit within);
    static tls_stream server_by(any_stream below, const tls_context& with, detail::limit within);

    /// Keeps it alive while others may close or end this. Throws if it is closed.
    std::shared_ptr<detail::tls_connection> use(const char* operation) const;

    std::size_t recv_by(std::span<std::byte> into, detail::limit within);
    std::size_t recv_exactly_by(std::span<std::byte> into, detail::limit within);
    pooled_buffer recv_pooled_by(detail::limit within);
    void send_all_by(std::span<const const_buffer> pieces, detail::limit within);
    void shutdown_by(shut how, detail::limit within);

    std::shared_ptr<detail::tls_connection> connection_;
};

static_assert(byte_stream<tls_stream>);

namespace detail {
tls_stream connect_tls_by(std::string_view there, const tls_context& with, std::optional<std::string_view> host,
                          std::optional<limit> within);
}  // namespace detail

/// A connection to `there`, "name:port" or an endpoint, and the handshake with the server of that name; with `host` given, of
/// that one instead, which a Unix socket needs. Segments are sent at once (no_delay). Who has connect_options makes the steps
/// himself: `tls_stream::client(connect(there, options), with, host)`.
/// Parks:   until the handshake is done. The time is for all of it; in the plain form the handshake has the context's.
/// Throws:  as connect and tls_stream::client.
inline tls_stream connect_tls(std::string_view there, const tls_context& with) {
    return detail::connect_tls_by(there, with, {}, {});
}
inline tls_stream connect_tls(std::string_view there, const tls_context& with, std::string_view host) {
    return detail::connect_tls_by(there, with, host, {});
}
template <class Rep, class Period>
tls_stream connect_tls_for(std::string_view there, const tls_context& with, std::chrono::duration<Rep, Period> length) {
    return detail::connect_tls_by(there, with, {}, detail::limit::within(length));
}
template <class Rep, class Period>
tls_stream connect_tls_for(std::string_view there, const tls_context& with, std::string_view host,
                           std::chrono::duration<Rep, Period> length) {
    return detail::connect_tls_by(there, with, host, detail::limit::within(length));
}
template <class Clock, class Duration>
tls_stream connect_tls_until(std::string_view there, const tls_context& with,
                             std::chrono::time_point<Clock, Duration> when) {
    return detail::connect_tls_by(there, with, {}, detail::limit::until(when));
}
template <class Clock, class Duration>
tls_stream connect_tls_until(std::string_view there, const tls_context& with, std::string_view host,
                             std::chrono::time_point<Clock, Duration> when) {
    return detail::connect_tls_by(there, with, host, detail::limit::until(when));
}

}  // namespace copse::io
