/// An HTTP/1.1 server.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <copse/clock.hpp>
#include <copse/detail/callable.hpp>
#include <copse/io/any_stream.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/http/message.hpp>
#include <copse/io/socket.hpp>

namespace copse::io {
class stream_server;
}  // namespace copse::io

namespace copse::io::http {

namespace detail {
class connection;
class server_core;
using io::detail::limit;
}  // namespace detail

/// What came of one request, for `server_options::access_log`. The references are good during the call.
struct access {
    const endpoint& peer;
    const http::request* request;  ///< null if it could not be read
    int status;                    ///< 0 if nothing was answered; 101 after an upgrade
    std::uint64_t body_bytes;      ///< of the response, without framing: what the handler wrote, also if it was cut off
    std::chrono::nanoseconds took;  ///< from when the head had been read; 0 without a request
};

struct server_options {
    std::string name = "http";  ///< of its fibers, for messages
    http::limits limits{};

    // How long a client may take. A limit of 0 is none.
    std::chrono::nanoseconds handshake = std::chrono::seconds(10);   ///< of `secure`
    std::chrono::nanoseconds first_byte = std::chrono::seconds(5);   ///< from the connection to the first request
    std::chrono::nanoseconds head = std::chrono::seconds(10);        ///< from its first byte to its end
    std::chrono::nanoseconds body_pause = std::chrono::seconds(30);  ///< without a byte of the body, while it is read
    std::uint64_t body_rate = 500;                                   ///< bytes a second at least, after ten seconds
    std::chrono::nanoseconds write_pause =
        std::chrono::seconds(30);  ///< without the client taking a byte; noticed within twice that
    std::chrono::nanoseconds keep_alive = std::chrono::seconds(60);  ///< between requests
    /// How long the handler may take, its reading and writing included. 503 if it has answered nothing by then, a cut
    /// answer otherwise, unless it has caught that and ends its answer; it is a failure in any case, and told.
    std::chrono::nanoseconds handler{0};

    std::size_t requests_per_connection = 1000;  ///< 0: no limit
    std::size_t max_connections = 10'000;        ///< more wait in the backlog; 0: no limit
    std::size_t max_per_address = 256;           ///< more are closed at once; 0: no limit. This machine's do not count
    std::uint64_t unread_body = std::uint64_t{256} << 10;  ///< bytes that are read and dropped to keep a connection
    std::size_t stack_size = 0;                            ///< of each connection's fiber; 0: `default_stack_size`

    bool no_delay = true;  ///< TCP_NODELAY
    bool date = true;      ///< each response has a Date

    /// Makes of an accepted socket what requests come by: `return tls_stream::server(std::move(s), context)`. Called in the
    /// connection's fiber, may park. A std::system_error ends the connection; other failures go to the error handler too, as
    /// does a stream that is not open.
    std::function<any_stream(socket)> secure{};
    /// Called after each response, in the connection's fiber.
    std::function<void(const access&)> access_log{};

    listen_options listening{};  ///< when the server makes the listener itself
};

/// What a server has done so far.
struct server_stats {
    std::uint64_t accepted = 0;           ///< connections that were not refused
    std::uint64_t refused = 0;            ///< closed at once: too many from one address, or no descriptor was free
    std::uint64_t failed_handshakes = 0;  ///< of `server_options::secure`; those that a stop ended are none
    std::uint64_t requests = 0;           ///< whose head was read and found good
    std::uint64_t bad_requests = 0;  ///< that broke HTTP or a limit: answered with a 4xx, 501 or 505 if anybody listens
    std::uint64_t failures = 0;      ///< handlers that threw, ran into `server_options::handler`, or did not answer
    std::size_t connections = 0;     ///< now
    std::size_t idle = 0;            ///< of these, between requests
};

/// What the hub's error handler is told when a handler fails. The text names the request, and says why:
///
///     GET /report?year=2024: no such table
///
/// What was thrown is nested in it: `std::rethrow_if_nested`, or `rethrow_nested()`. A target is printed ASCII, whatever
/// the client has sent; of a long one the first 200 bytes are shown.
class handler_failure : public std::runtime_error, public std::nested_exception {
public:
    /// Of the exception that is being handled.
    handler_failure(const http::request& of, const std::string& why);
    ~handler_failure() override;
};

class exchange;

/// The body of a request for what reads any io::readable: `io::copy(x.body(), file)`, `io::line_reader(x.body())`.
///
/// It refers to the exchange and is good as long as that. Closing it leaves the connection as it is.
class body_reader {
public:
    explicit body_reader(exchange& of) noexcept : of_(&of) {}

    /// As exchange::read_body_some.
    /// Throws:  also std::system_error(EBADF) after close().
    std::size_t read(std::span<std::byte> into) { return read_by(into, {}); }
    template <class Rep, class Period>
    std::size_t read_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return read_by(into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t read_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return read_by(into, detail::limit::until(when));
    }
    void close() noexcept { of_ = nullptr; }
    bool is_open() const noexcept { return of_ != nullptr; }

private:
    std::size_t read_by(std::span<std::byte> into, detail::limit within);

    exchange* of_;  // null: closed
};

/// A request and its answer, as a handler sees them. Lives as long as the handler runs, and is used by its fiber alone.
///
///     void upload(copse::io::http::exchange& x) {
///         std::array<std::byte, 4096> piece;
///         std::uint64_t bytes = 0;
///         while (const std::size_t n = x.read_body_some(piece)) bytes += n;
///         x.respond(copse::io::http::text(std::to_string(bytes) + " bytes\n"));
///     }
///
/// Unless a line says otherwise what waits throws:
///
/// - http::error when the client breaks HTTP, exceeds a limit or ends within its request: let it pass, and the server
///   answers with `status_of` its code if nothing was answered yet, and closes;
/// - std::system_error when the connection fails; timed_out when the client takes nothing for `write_pause`;
/// - what a kill or a timeout scope throws.
///
/// After one of these out of something that writes, the connection is closed when the handler ends.
class exchange {
public:
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;

    /// Its body is empty until `read_body`.
    const http::request& request() const noexcept;
    const endpoint& peer() const noexcept;
    /// Came by a stream that `server_options::secure` made.
    bool is_secure() const noexcept;

    /// What the client announced; empty if it did not (chunks).
    std::optional<std::uint64_t> content_length() const noexcept;
    /// Instead of `limits::body`, before the body is read.
    void limit_body(std::uint64_t bytes) noexcept;

    /// Takes what is there of the body, at least a byte, at most what fits. The first call asks a client that waits for
    /// `100 Continue` to send it.
    /// Parks:   until there is something.
    /// Returns: 0 at the end of the body (or if `into` is empty).
    /// Throws:  http::error(body_too_large) before anything beyond the limit is read, and before the client is asked to send
    ///          it; too_slow; bad_chunk; message_incomplete.
    /// After:   a kill or a time-out: nothing was taken.
    std::size_t read_body_some(std::span<std::byte> into) { return read_by(into, {}); }
    /// Throws:  also timed_out when its own time is over.
    template <class Rep, class Period>
    std::size_t read_body_some_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return read_by(into, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t read_body_some_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return read_by(into, detail::limit::until(when));
    }

    /// All that is left of the body, also in `request().body`.
    /// Parks:   until its end.
    /// After:   a kill or a time-out: what was read is in `request().body`, and it can be called again.
    const std::string& read_body() { return read_all_by({}); }
    template <class Rep, class Period>
    const std::string& read_body_for(std::chrono::duration<Rep, Period> length) {
        return read_all_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    const std::string& read_body_until(std::chrono::time_point<Clock, Duration> when) {
        return read_all_by(detail::limit::until(when));
    }
    /// The same body as a stream that can be read.
    body_reader body() noexcept { return body_reader(*this); }
    /// Those that followed the chunks, once the body is read to its end. What would change the meaning of the message
    /// (Content-Length, Transfer-Encoding, Host, Authorization …) is left out.
    const fields& trailers() const noexcept;

    /// Answers, with head and body in one write. Content-Length is that of the body: the response's own is replaced,
    /// as are Transfer-Encoding and Connection (but `Connection: close` closes). Where there can be no body (HEAD,
    /// 204, 304) none is sent; Content-Length then is the response's own if it has one.
    /// Parks:   until the kernel has taken it.
    /// Throws:  std::invalid_argument for a status below 200 or above 999, or a reason with control characters;
    ///          std::logic_error if an answer was begun: nothing has been sent then.
    void respond(const response& r) { respond_by(r, {}); }
    template <class Rep, class Period>
    void respond_for(const response& r, std::chrono::duration<Rep, Period> length) {
        respond_by(r, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void respond_until(const response& r, std::chrono::time_point<Clock, Duration> when) {
        respond_by(r, detail::limit::until(when));
    }

    /// Begins an answer that is written in pieces: by `length` with Content-Length, else in chunks (to HTTP/1.0: until
    /// the connection is closed). The head leaves with the first piece, or by `flush`. The response's own body is its
    /// first piece.
    /// Parks:   if there is such a piece.
    /// Throws:  as respond.
    void start(const response& head, std::optional<std::uint64_t> length = std::nullopt);
    /// A piece; one chunk. Dropped where there can be no body.
    /// Parks:   until the kernel has taken it.
    /// Throws:  std::logic_error if no answer was started or it is finished, or for more than `length`: nothing of that
    ///          piece is sent.
    void write(std::string_view piece) { write_by(piece, {}); }
    void write(std::span<const std::byte> piece) { write_by(text_of(piece), {}); }
    template <class Rep, class Period>
    void write_for(std::string_view piece, std::chrono::duration<Rep, Period> length) {
        write_by(piece, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    void write_until(std::string_view piece, std::chrono::time_point<Clock, Duration> when) {
        write_by(piece, detail::limit::until(when));
    }
    /// `count` bytes of the open file `file`, from byte `offset` on, as a piece; by socket::send_file where that can
    /// be done.
    /// Parks:   until the kernel has taken them. Reading from a slow disk blocks the thread.
    /// Throws:  as write; the file's own errors; std::runtime_error if the file ends before: the answer is cut off then.
    void write_file(int file, std::uint64_t offset, std::uint64_t count);
    /// Sends the head if that has not been sent.
    void flush();
    /// Ends the answer; done by the server when the handler returns. `trailers` follow the chunks; of another kind of
    /// answer they are dropped.
    /// Throws:  std::logic_error if less than `length` was written: the connection will be closed, so that the client
    ///          notices; if nothing was sent yet, not even the head, the server answers with 500 instead.
    void finish(const fields& trailers = {});

    /// Whether the head of an answer has been given.
    bool answered() const noexcept;

    /// Answers 101 with these fields (`Connection: Upgrade` is added) and gives the stream away, with what the client
    /// has sent ahead as the first bytes to be received. The server's limits on reading and writing are none of the
    /// stream's; the handler still counts as a request that runs, until it returns.
    /// Parks:   until the kernel has taken the answer.
    /// Throws:  std::logic_error if an answer was begun, the body is not read, or the client has not asked for an upgrade.
    any_stream upgrade(const fields& headers);
    /// The same without an answer: for CONNECT, which is to be answered by what is sent next, or to speak something else.
    any_stream release();

private:
    friend class detail::connection;
    friend class body_reader;
    explicit exchange(detail::connection& of) noexcept : connection_(of) {}
    ~exchange() = default;

    static std::string_view text_of(std::span<const std::byte> bytes) noexcept {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    std::size_t read_by(std::span<std::byte> into, detail::limit within);
    const std::string& read_all_by(detail::limit within);
    void respond_by(const response& r, detail::limit within);
    void write_by(std::string_view piece, detail::limit within);

    detail::connection& connection_;
};

namespace detail {

using handler = std::function<void(exchange&)>;

template <class F>
concept request_handler = std::invocable<F&, exchange&> || std::is_invocable_r_v<response, F&, const request&>;

/// A handler of either kind as one of the first. std::function wants what can be copied; handlers need not be.
template <request_handler F>
handler handler_of(F f) {
    if (copse::detail::is_null(f)) throw null_callable("http::server: the handler is null");
    return [held = std::make_shared<F>(std::move(f))](exchange& x) {
        if constexpr (!std::invocable<F&, exchange&>) {
            x.read_body();
            x.respond(std::invoke(*held, x.request()));
        } else if constexpr (std::convertible_to<std::invoke_result_t<F&, exchange&>, response>) {
            x.respond(std::invoke(*held, x));
        } else {
            std::invoke(*held, x);
        }
    };
}

}  // namespace detail

/// Serves HTTP/1.1 and 1.0, each connection in a fiber of its own: requests one after the other in the order in which
/// they came, sent ahead (pipelined) or not.
///
///     copse::io::http::server hello("127.0.0.1:8080", [](const copse::io::http::request& asked) {
///         return copse::io::http::text("hello, " + asked.target + "\n");
///     });
///     hello.serve_forever();
///
/// A handler takes a `const request&`, with its body read, and returns a `response`; or it takes an `exchange&`, for
/// bodies that are read or written in pieces. It is shared by all connections: what it captures must bear that.
///
/// - What a handler throws is answered with 500, or cuts off an answer of which something was sent, and goes to the hub's
///   error handler as a `handler_failure`. A handler that returns without an answer is answered for in the same way. Errors
///   of this connection, such as that the client is gone, are everyday life; those of a handler's own upstream, and reads
///   over its own limits, are failures.
/// - What is no HTTP, or leaves in doubt where a request ends, is answered (400, 413, 414, 417, 431, 501, 505) and the
///   connection is closed: nothing that follows is taken for a request. HTTP/2 is 505 if it just begins; an offer of it
///   (`Upgrade: h2c`), as any Upgrade that the handler does not take, is passed over.
/// - After `exchange::upgrade` what the client breaks, with resets and WebSocket's own errors, is everyday life still; all
///   else that is thrown, such as a time that the handler has set itself, is a failure.
/// - A killed handler's connection is closed without an answer.
///
/// | state   | entered by                         |
/// |---------|------------------------------------|
/// | idle    | construction: bound, the kernel already completes connections |
/// | serving | start, serve_forever               |
/// | stopped | stop, stop_for, the destructor; until restart |
///
/// Owner thread only, as a stream_server. To use several, listen with `reuse_port` in each of them.
class server {
public:
    /// Listens at once; a port of 0 can be asked for with `local_endpoint`.
    /// Throws:  as listen(); null_callable; std::invalid_argument for limits that nothing fits in, negative times, a
    ///          `stack_size` beyond maximum_stack_size.
    template <detail::request_handler F>
    server(std::string_view here, F handle, const server_options& with = {})
        : server(listen(here, with.listening), std::move(handle), with) {}
    template <detail::request_handler F>
    server(const endpoint& here, F handle, const server_options& with = {})
        : server(listen(here, with.listening), std::move(handle), with) {}
    /// Takes over a listening socket.
    template <detail::request_handler F>
    server(socket listener, F handle, const server_options& with = {})
        : server(std::move(listener), detail::handler_of(std::move(handle)), with, made_here()) {}

    server(const server&) = delete;
    server& operator=(const server&) = delete;

    /// Stops, kills what runs, and gives the clean-up of the handlers a second; what takes longer goes on by itself.
    /// Parks:   if handlers run. Kills of the calling fiber are kept back meanwhile.
    ~server();

    /// Begins to take connections, in a fiber. Does nothing if it has begun.
    /// Throws:  std::system_error(EBADF) if it is stopped.
    void start();

    /// Stops as `stop` does, listens at the same endpoint again, with `listening`, and serves. serve_forever goes on, and so
    /// do requests that run. Connections between requests and handshakes are closed; who waits in the backlog is reset. A
    /// stop that comes meanwhile is not undone.
    /// Parks:   until the fiber that takes connections has ended.
    /// Throws:  as listen(): it is stopped then, and may be restarted again.
    /// After:   a kill: it is stopped.
    void restart();

    /// Starts, and waits until the server is stopped, and nobody is in stop_for any more. A restart is no end.
    /// Parks:   until stopped.
    /// Throws:  as stream_server::serve_forever.
    void serve_forever();

    /// Closes the listener and every connection that is between requests or in its handshake. Requests that run, run on;
    /// their connections are closed after the answer, which says so.
    /// Parks:   no.
    void stop() noexcept;

    /// Stops, waits `length` at most for the requests to end by themselves, kills those that have not, and gives their
    /// clean-up a second.
    /// Parks:   while requests run, but no longer than until a restart.
    /// Returns: whether all that ran ended by themselves. A handler that calls this is left out: it cannot wait for itself.
    template <class Rep, class Period>
    bool stop_for(std::chrono::duration<Rep, Period> length) {
        return stop_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    bool stop_until(std::chrono::time_point<Clock, Duration> when) {
        return stop_by(detail::limit::until(when));
    }

    /// Where it listens, also when it is stopped.
    const endpoint& local_endpoint() const noexcept;
    bool is_serving() const noexcept;
    server_stats stats() const noexcept;

private:
    struct made_here {};
    server(socket listener, detail::handler h, const server_options& with, made_here);
    bool stop_by(detail::limit within);

    std::shared_ptr<detail::server_core> core_;  // shared with the fibers
    std::unique_ptr<stream_server> taker_;
};

}  // namespace copse::io::http
