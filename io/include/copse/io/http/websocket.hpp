/// WebSocket (RFC 6455), both sides.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <copse/io/any_stream.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/http/error.hpp>
#include <copse/io/http/message.hpp>
#include <copse/io/http/url.hpp>
#include <copse/io/socket.hpp>

namespace copse::io::http {

namespace detail {
class websocket_state;
}  // namespace detail

class exchange;

struct websocket_options {
    /// Bytes of a received message, after decompression; a larger one ends the connection with close code 1009.
    std::size_t max_message = std::size_t{1} << 20;
    /// permessage-deflate (RFC 7692), if the other side wants it too. It costs some hundred KiB a connection.
    bool compression = false;
    /// While a fiber receives: a ping after so long without a byte from the peer. 0: none.
    std::chrono::nanoseconds ping_interval = std::chrono::seconds(30);
    /// While a fiber receives: the connection is ended after so long without a byte from the peer; must be longer than
    /// `ping_interval`, so that a peer that lives can say so. 0: never. Empty: three times `ping_interval`, which is 90 s
    /// unless that was changed, and never without pings.
    std::optional<std::chrono::nanoseconds> idle_timeout{};
    /// How long `close` without `_for` or `_until` waits for the peer's close.
    std::chrono::nanoseconds close_timeout = std::chrono::seconds(5);
    /// Of `connect` without `_for` or `_until`: lookup, connection, TLS and handshake; of `accept`: sending the answer.
    std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(10);
    /// The client offers them, the server takes the first of the client's that it has too.
    std::vector<std::string> subprotocols{};
    /// Added to the handshake: to the request of a client (`Origin`, `Authorization`, `Cookie`), to a server's answer.
    fields headers{};

    /// Server: pages of these origins may connect: "https://example.org", "http://localhost:8080"; "*" stands for all.
    /// Empty: only pages of the host that is connected to (Host and Origin agree), against cross-site hijacking. Clients
    /// that are no browsers send no Origin, and may always connect.
    std::vector<std::string> allowed_origins{};

    /// Client: as in client_options.
    std::function<bool(const endpoint&)> allow_address{};
    std::function<socket(const url& to)> connect{};
    std::function<any_stream(any_stream plain, const std::string& host)> secure{};
};

/// A connection for messages in both directions.
///
///     auto chat = copse::io::http::websocket::connect("ws://localhost:8080/chat");
///     chat.send_text("hello");
///     while (auto m = chat.receive()) std::cout << m->data << '\n';
///
/// One fiber receives (a second gets concurrent_use); any number may send at the same time, whose messages go out whole, in
/// the order in which they called. Whoever receives also answers pings, sends those of `ping_interval`, and takes part in
/// the end: somebody should always receive. A peer that has vanished without a word is found out by who receives, by default
/// 90 s after its last sign of life.
///
/// | state   | entered by                                                                                   |
/// |---------|----------------------------------------------------------------------------------------------|
/// | open    | connect, accept                                                                              |
/// | closing | close: what is sent is EPIPE, what comes is still received                                    |
/// | closed  | close frames both ways; the peer breaking the protocol, or leaving without a close frame; an error of |
/// |         | the stream below; a kill or time-out within a message that is sent; abort, the destructor      |
///
/// Pongs are sent by a fiber of its own, which ends with the connection: a receiver that is interrupted leaves no half of
/// one. It waits for them only when more than 64 KiB have not gone out.
///
/// Unless a line says otherwise what waits throws std::system_error of the stream below, timed_out when its time is over,
/// wrong_thread, and whatever a kill or a timeout scope throws. The thread is that of the stream below.
class websocket {
public:
    struct message {
        std::string data;
        bool is_text = false;  ///< UTF-8, which has been checked; else bytes
    };

    /// As a client, of a server that is named by a `ws://` or `wss://` URL.
    /// Parks:   until the server has agreed.
    /// Throws:  bad_url; std::invalid_argument for options that cannot be; error(upgrade_refused), whose text has
    ///          the status of the answer: redirects are not followed; as io::connect.
    /// After:   a kill or time-out: nothing is left.
    static websocket connect(std::string_view url, const websocket_options& with = {}) {
        return connect_by(url, with, std::nullopt);
    }
    template <class Rep, class Period>
    static websocket connect_for(std::string_view url, std::chrono::duration<Rep, Period> length,
                                 const websocket_options& with = {}) {
        return connect_by(url, with, io::detail::limit::within(length));
    }
    template <class Clock, class Duration>
    static websocket connect_until(std::string_view url, std::chrono::time_point<Clock, Duration> when,
                                   const websocket_options& with = {}) {
        return connect_by(url, with, io::detail::limit::until(when));
    }

    /// As a server, out of a handler; what the handler does with the websocket then has no time limits but its own.
    ///
    ///     [](copse::io::http::exchange& x) {
    ///         auto peer = copse::io::http::websocket::accept(x);
    ///         while (auto m = peer.receive()) peer.send_text(m->data);
    ///     }
    ///
    /// Parks:   until the answer is sent.
    /// Throws:  error(upgrade_refused), after the client has been answered with 400, 403 (an origin that is not allowed) or
    ///          426 (another version): the server takes that for everyday life. std::invalid_argument for options that cannot
    ///          be, before anything is answered.
    static websocket accept(exchange& asked, const websocket_options& with = {});

    /// As a server of your own: of a stream, the request that came by it, and what has been received after that.
    static websocket accept(any_stream over, const request& asked, std::string_view received_ahead = {},
                            const websocket_options& with = {});

    /// None: not open, and whatever waits throws EBADF. To be assigned to.
    websocket() noexcept = default;
    websocket(websocket&&) noexcept;
    websocket& operator=(websocket&&) noexcept;
    /// As abort. Fibers inside get EBADF.
    ~websocket();

    /// The next message.
    /// Parks:   until it is here as a whole.
    /// Returns: empty when the peer has said goodbye: see close_code; or when this side did, and the peer was just gone.
    /// Throws:  error: message_incomplete if the connection ends without a close frame, bad_frame, bad_payload,
    ///          body_too_large, too_slow after `idle_timeout`; concurrent_use. The peer has been told why (1002, 1007, 1009).
    /// After:   a kill or time-out: nothing is lost, the next receive goes on where this stopped; except that with
    ///          compression it is closed if a message has begun. After an error: closed; EBADF from then on.
    std::optional<message> receive() { return receive_by({}); }
    template <class Rep, class Period>
    std::optional<message> receive_for(std::chrono::duration<Rep, Period> length) {
        return receive_by(io::detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::optional<message> receive_until(std::chrono::time_point<Clock, Duration> when) {
        return receive_by(io::detail::limit::until(when));
    }

    /// Sends a message, with its frame in one write.
    /// Parks:   until those before it are sent, and the kernel has taken all of it.
    /// Throws:  EPIPE if it is closed or closing, on either side; std::invalid_argument for text that is not UTF-8.
    /// After:   a kill or time-out: closed, as half a message cannot be followed by another; unless it still waited for
    ///          those before it: then nothing was sent.
    void send_text(std::string_view text) { send_by(text, true, {}); }
    template <class Rep, class Period>
    void send_text_for(std::string_view text, std::chrono::duration<Rep, Period> length) {
        send_by(text, true, io::detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void send_text_until(std::string_view text, std::chrono::time_point<Clock, Duration> when) {
        send_by(text, true, io::detail::limit::until(when));
    }
    void send_binary(std::span<const std::byte> bytes) { send_by(text_of(bytes), false, {}); }
    void send_binary(std::string_view bytes) { send_by(bytes, false, {}); }
    template <class Rep, class Period>
    void send_binary_for(std::span<const std::byte> bytes, std::chrono::duration<Rep, Period> length) {
        send_by(text_of(bytes), false, io::detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void send_binary_until(std::span<const std::byte> bytes, std::chrono::time_point<Clock, Duration> when) {
        send_by(text_of(bytes), false, io::detail::limit::until(when));
    }

    /// Asks the peer for a sign of life, which nobody is told of. As send_text; `payload` of 125 bytes at most.
    void ping(std::string_view payload = {});

    /// Says goodbye, and waits for the peer's: what comes before that is left to the fiber that receives, or dropped if
    /// none does. The connection is closed then, whatever happened. Closed already: nothing.
    /// Parks:   until the peer has answered, or for `close_timeout`.
    /// Returns: whether it has.
    /// Throws:  std::invalid_argument for a code that must not be sent (1000 to 1003, 1007 to 1013, 3000 to 4999 may), or a
    ///          reason that is not UTF-8 or over 123 bytes; no error of the connection.
    bool close(std::uint16_t code = 1000, std::string_view reason = {}) { return close_by(code, reason, std::nullopt); }
    template <class Rep, class Period>
    bool close_for(std::chrono::duration<Rep, Period> length, std::uint16_t code = 1000, std::string_view reason = {}) {
        return close_by(code, reason, io::detail::limit::within(length));
    }
    template <class Clock, class Duration>
    bool close_until(std::chrono::time_point<Clock, Duration> when, std::uint16_t code = 1000,
                     std::string_view reason = {}) {
        return close_by(code, reason, io::detail::limit::until(when));
    }

    /// Closes the connection without a word: the peer sees code 1006, fibers that wait here get EBADF.
    /// Parks:   as the stream below may when it is closed: a socket does not.
    void abort() noexcept;

    bool is_open() const noexcept;
    /// What the peer said at its goodbye: its code; 1005 if it gave none; 1006 if there was no goodbye (yet).
    std::uint16_t close_code() const noexcept;
    const std::string& close_reason() const noexcept;
    /// The one that was agreed on; empty: none.
    const std::string& subprotocol() const noexcept;
    /// Whether compression was agreed on.
    bool is_compressed() const noexcept;

private:
    explicit websocket(std::shared_ptr<detail::websocket_state> state) noexcept;

    static std::string_view text_of(std::span<const std::byte> bytes) noexcept {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    static websocket connect_by(std::string_view url, const websocket_options& with,
                                std::optional<io::detail::limit> within);
    std::optional<message> receive_by(io::detail::limit within);
    void send_by(std::string_view data, bool as_text, io::detail::limit within);
    bool close_by(std::uint16_t code, std::string_view reason, std::optional<io::detail::limit> within);

    std::shared_ptr<detail::websocket_state> state_;  // shared with the fiber that sends pongs
};

}  // namespace copse::io::http
