/// An HTTP/1.1 client: requests that park the fiber, over connections that are kept and used again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <copse/clock.hpp>
#include <copse/error.hpp>
#include <copse/io/any_stream.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/http/error.hpp>
#include <copse/io/http/fields.hpp>
#include <copse/io/http/message.hpp>
#include <copse/io/http/url.hpp>
#include <copse/io/socket.hpp>

namespace copse::io::http {

namespace detail {
class client_exchange;
class client_state;
}  // namespace detail

/// What a request brings along: nothing, a text that is there as a whole, or bytes that are made while they are sent.
class request_body {
public:
    /// Fills the span and says how much of it; 0 is the end. May park; is called in a fiber of the client.
    using source = std::function<std::size_t(std::span<std::byte>)>;

    /// None.
    request_body() = default;
    explicit(false) request_body(std::string text) : text_(std::move(text)), given_(true) {}
    explicit(false) request_body(std::string_view text) : request_body(std::string(text)) {}
    explicit(false) request_body(const char* text) : request_body(std::string(text)) {}

    /// Content-Length if `size` is known, else chunks. It can be sent once: neither a 307 nor a connection that was lost
    /// makes the client send it again. Of `size` bytes no more is asked for. What it throws, the request throws; a
    /// greenlet_exit becomes operation_canceled.
    /// Throws:  null_callable.
    static request_body stream(source from, std::optional<std::uint64_t> size = std::nullopt) {
        if (from == nullptr) throw null_callable("http::request_body::stream: the source is null");
        request_body made;
        made.source_ = std::move(from);
        made.size_ = size;
        made.given_ = true;
        return made;
    }

    bool is_given() const noexcept { return given_; }
    bool is_stream() const noexcept { return source_ != nullptr; }
    const std::string& text() const noexcept { return text_; }
    const source& from() const noexcept { return source_; }
    /// Bytes; empty: unknown before it ends.
    std::optional<std::uint64_t> size() const noexcept { return is_stream() ? size_ : std::optional(text_.size()); }

private:
    std::string text_;
    source source_;
    std::optional<std::uint64_t> size_;
    bool given_ = false;  // an empty text is a body too: Content-Length: 0
};

/// What is asked for: `client.request({.method = "PUT", .url = "http://localhost/a", .body = "b"})`.
struct client_request {
    http::method method{};
    std::string url{};  ///< absolute; its user:password, if any, becomes an Authorization
    fields headers{};  ///< Content-Length, Transfer-Encoding and Connection are the client's own: std::invalid_argument
    request_body body{};
    /// Send `Expect: 100-continue`, and the body when asked for it, after a second at the latest.
    bool expect_continue = false;
};

struct client_options {
    /// Lookup, connection and TLS together; within the time of the request.
    std::chrono::nanoseconds connect_timeout = std::chrono::seconds(10);
    /// Of a request without `_for` or `_until`: redirects and body included; of `open` up to the head. 0: none.
    std::chrono::nanoseconds total_timeout = std::chrono::seconds(60);
    /// Of each read_some of a response_stream without `_for` or `_until`. 0: none.
    std::chrono::nanoseconds read_timeout = std::chrono::seconds(30);
    /// Followed at most; one more is errc::too_many_redirects. 0: a redirect is given to the caller as it is.
    unsigned max_redirects = 5;
    /// Follow a redirect from https to http. Otherwise that is errc::bad_response.
    bool allow_downgrade = false;
    /// Open at once to one origin (scheme, host, port); more requests wait for a place, first come, first served.
    std::size_t max_connections_per_origin = 32;
    /// Kept open without a request, to all origins together; 0: none is kept.
    std::size_t max_idle = 64;
    /// How long. Shorter than what servers wait (nginx 75 s, ours 60 s), so that it is seldom the server who closes.
    std::chrono::nanoseconds idle_time = std::chrono::seconds(30);
    /// Of responses. `body` holds for those that are read as a whole.
    limits accepted{.header_block = 64 * 1024, .body = std::uint64_t{64} << 20};
    /// Empty: no such header is sent.
    std::string user_agent = "copse";
    /// Asked about each address before it is connected to: what it refuses is passed over, and if nothing is left that is
    /// EACCES. For who fetches what strangers name: with `&io::endpoint::is_global` no name and no redirect leads into one's
    /// own network, whatever it resolves to. Not together with `connect`.
    std::function<bool(const endpoint&)> allow_address{};
    /// Makes each new connection, within `connect_timeout`. Empty: `io::connect(to.host_and_port())` with no_delay. Here go
    /// Unix sockets and proxies.
    std::function<socket(const url& to)> connect{};
    /// Puts TLS over it, and makes sure that it is `host` (a name, or an address without brackets). Empty: a tls_stream that
    /// trusts the authorities of the system, if copse is built with TLS.
    std::function<any_stream(any_stream plain, const std::string& host)> secure{};
};

/// What a client has done so far.
struct client_stats {
    std::uint64_t requests = 0;   ///< sent, redirects and repetitions counted
    std::uint64_t opened = 0;     ///< connections
    std::uint64_t reused = 0;     ///< requests over a connection that had served one before
    std::uint64_t repeated = 0;   ///< requests sent again because a kept connection was closed under them
    std::uint64_t redirects = 0;  ///< followed
    std::size_t idle = 0;         ///< connections kept now
};

/// A response whose body is read piece by piece.
///
///     auto r = client.open({.url = "http://localhost/large"});
///     std::array<std::byte, 16384> part;
///     while (const std::size_t n = r.read_some(part)) use(std::span(part).first(n));
///
/// It keeps its connection, which goes back to the client when the body has been read to its end, and is closed if the
/// stream is ended before. It may live longer than the client. One fiber reads at a time (a second gets concurrent_use),
/// and another may close it or end it meanwhile. The thread of the client.
///
/// It is what bytes are taken from (`io::readable`): `line_reader` reads its lines, `copy` sends it on, any_stream holds it.
class response_stream {
public:
    response_stream(response_stream&&) noexcept;
    response_stream& operator=(response_stream&&) noexcept;
    /// As close: a reader gets EBADF.
    /// Parks:   while the source of the request's body cleans up, if it is still asked. In the hub, and in that source,
    ///          it is left to end by itself.
    ~response_stream();

    int status() const noexcept;
    const std::string& reason() const noexcept;
    const fields& headers() const noexcept;
    /// What answered: after redirects another than what was asked.
    const http::url& url() const noexcept;
    /// Empty if the end is told by chunks or by the end of the connection.
    std::optional<std::uint64_t> content_length() const noexcept;
    bool ok() const noexcept { return status() >= 200 && status() < 300; }

    /// At least a byte of the body, at most what fits. As it came: a Content-Encoding stays undone.
    /// Parks:   until there is something.
    /// Returns: 0 at the end (or if `into` is empty); trailers are dropped.
    /// Throws:  error: message_incomplete if the connection ended before the body, bad_chunk; std::system_error of the
    ///          connection, EBADF after close(); timed_out; what the source of the request's body threw. Its text names
    ///          method and URL.
    /// After:   a kill or time-out: nothing was taken, it can be read on. After an error: closed.
    std::size_t read_some(std::span<std::byte> into) { return read_by(into, std::nullopt); }
    template <class Rep, class Period>
    std::size_t read_some_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return read_by(into, io::detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::size_t read_some_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return read_by(into, io::detail::limit::until(when));
    }

    /// As read_some: by the name that files and pipes have for it.
    std::size_t read(std::span<std::byte> into) { return read_some(into); }
    template <class Rep, class Period>
    std::size_t read_for(std::span<std::byte> into, std::chrono::duration<Rep, Period> length) {
        return read_some_for(into, length);
    }
    template <class Clock, class Duration>
    std::size_t read_until(std::span<std::byte> into, std::chrono::time_point<Clock, Duration> when) {
        return read_some_until(into, when);
    }

    /// What is left of the body. The time is for all of it.
    /// Parks:   until its end.
    /// Throws:  as read_some; error(body_too_large) once there is more than client_options::accepted allows, and before
    ///          reading if Content-Length says so.
    /// After:   a kill, a time-out or an error: closed.
    std::string read_all() { return read_all_by(std::nullopt); }
    template <class Rep, class Period>
    std::string read_all_for(std::chrono::duration<Rep, Period> length) {
        return read_all_by(io::detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::string read_all_until(std::chrono::time_point<Clock, Duration> when) {
        return read_all_by(io::detail::limit::until(when));
    }
    /// The same, by the name that files have for it.
    std::string read_to_end() { return read_all(); }

    /// Closes the connection if the body has not been read to its end. A reader gets EBADF.
    /// Parks:   as a connection of the caller's own making may when it is closed; else no.
    void close() noexcept;
    /// Neither closed nor moved from: what is left of the body can be read.
    bool is_open() const noexcept;

private:
    friend class detail::client_state;
    explicit response_stream(std::shared_ptr<detail::client_exchange> of) noexcept;

    std::size_t read_by(std::span<std::byte> into, std::optional<io::detail::limit> within);
    std::string read_all_by(std::optional<io::detail::limit> within);

    std::shared_ptr<detail::client_exchange> exchange_;  // shared with the fiber that reads
};

/// Asks for things over HTTP, and keeps connections for the next request to the same origin.
///
///     copse::io::http::client client;
///     auto page = client.get("http://localhost:8000/");
///     if (page.ok()) std::cout << page.body;
///
/// Any number of fibers of its thread may use it at once; each request has a connection for itself meanwhile.
///
/// - Redirects are followed: 301 and 302 make a GET of a POST, 303 of everything but HEAD, 307 and 308 keep method and body
///   (but a streamed body cannot be sent again: the caller gets the 307). Authorization, Cookie and Proxy-Authorization
///   go to the origin that they were given for and to no other; what leads from https to http is refused.
/// - A server may close a kept connection just when it is used again. If nothing of an answer came, an idempotent request
///   (`method::is_idempotent`) is sent once more, over a new connection; any other throws
///   std::system_error(connection_aborted), as nobody knows whether it was carried out.
/// - An answer that comes before the body is sent is taken; if it is 300 or more, no more is sent.
/// - 1xx are passed over. Bodies end by Content-Length, chunks, or the end of the connection; one that is cut off is
///   message_incomplete. What leaves in doubt where a body ends (both lengths, two of one, other transfer codings) is
///   bad_framing.
/// - It decompresses nothing and asks for nothing compressed (`Accept-Encoding: identity`); it keeps no cookies, knows no
///   proxies and no caches, and reads no environment.
///
/// Unless a line says otherwise requests throw, with method and URL in the text: bad_url; std::invalid_argument for headers
/// that are the client's; error; std::system_error as `io::connect` and sockets do; tls_error; timed_out; what functions of
/// the caller throw that is of a type of their own, as it is; and whatever a kill or a timeout scope throws. A status is no
/// error. After any of these the client is as before, the connection closed.
class client {
public:
    /// Throws:  std::invalid_argument for options that cannot be: negative times, `connect` with `allow_address`,
    ///          a user_agent that is no value of a header.
    explicit client(client_options with = {});
    client(client&&) noexcept;
    client& operator=(client&&) noexcept;
    /// Closes the connections that are kept. Requests in other fibers go on, and keep none.
    /// Parks:   as close_idle.
    ~client();

    /// Parks:   until the last byte of the answer.
    /// Throws:  error(body_too_large) as response_stream::read_all.
    response request(client_request what) { return request_by(std::move(what), std::nullopt); }
    template <class Rep, class Period>
    response request_for(client_request what, std::chrono::duration<Rep, Period> length) {
        return request_by(std::move(what), io::detail::limit::within(length));
    }
    template <class Clock, class Duration>
    response request_until(client_request what, std::chrono::time_point<Clock, Duration> when) {
        return request_by(std::move(what), io::detail::limit::until(when));
    }

    response get(std::string_view url, fields headers = {}) { return request(getting(url, std::move(headers))); }
    template <class Rep, class Period>
    response get_for(std::string_view url, std::chrono::duration<Rep, Period> length, fields headers = {}) {
        return request_for(getting(url, std::move(headers)), length);
    }
    template <class Clock, class Duration>
    response get_until(std::string_view url, std::chrono::time_point<Clock, Duration> when, fields headers = {}) {
        return request_until(getting(url, std::move(headers)), when);
    }

    /// `content_type` takes the place of a Content-Type among `headers`.
    response post(std::string_view url, request_body body, std::string_view content_type, fields headers = {}) {
        return request(posting(url, std::move(body), content_type, std::move(headers)));
    }
    template <class Rep, class Period>
    response post_for(std::string_view url, request_body body, std::string_view content_type,
                      std::chrono::duration<Rep, Period> length, fields headers = {}) {
        return request_for(posting(url, std::move(body), content_type, std::move(headers)), length);
    }
    template <class Clock, class Duration>
    response post_until(std::string_view url, request_body body, std::string_view content_type,
                        std::chrono::time_point<Clock, Duration> when, fields headers = {}) {
        return request_until(posting(url, std::move(body), content_type, std::move(headers)), when);
    }

    /// The answer as soon as its head is there; the body is read from it. The body of the request may still be on its way:
    /// it is sent while the answer is read, and given up when that is ended.
    /// Parks:   until the head of the answer.
    response_stream open(client_request what) { return open_by(std::move(what), std::nullopt); }
    template <class Rep, class Period>
    response_stream open_for(client_request what, std::chrono::duration<Rep, Period> length) {
        return open_by(std::move(what), io::detail::limit::within(length));
    }
    template <class Clock, class Duration>
    response_stream open_until(client_request what, std::chrono::time_point<Clock, Duration> when) {
        return open_by(std::move(what), io::detail::limit::until(when));
    }

    /// Closes the connections that are kept now.
    /// Parks:   as connections of `connect` or `secure` may when they are ended, and for the goodbye of TLS; else no.
    void close_idle() noexcept;

    client_stats stats() const noexcept;

private:
    static client_request getting(std::string_view url, fields headers);
    static client_request posting(std::string_view url, request_body body, std::string_view content_type,
                                  fields headers);
    response request_by(client_request what, std::optional<io::detail::limit> within);
    response_stream open_by(client_request what, std::optional<io::detail::limit> within);

    std::shared_ptr<detail::client_state> state_;  // shared with the responses that are still read
};

/// One request, over a connection of its own. Whoever has several to make uses a `client`.
/// Parks:   until the last byte of the answer; the time is that of the options.
/// Throws:  as client::request.
response get(std::string_view url, client_options with = {});
response post(std::string_view url, request_body body, std::string_view content_type, client_options with = {});

/// With fields of the caller's: `http::get(url, {{"Accept", "text/csv"}})`. As above.
response get(std::string_view url, fields headers, client_options with = {});
response get(std::string_view url, std::initializer_list<field> headers, client_options with = {});
response post(std::string_view url, request_body body, std::string_view content_type, fields headers,
              client_options with = {});
response post(std::string_view url, request_body body, std::string_view content_type,
              std::initializer_list<field> headers, client_options with = {});

}  // namespace copse::io::http
