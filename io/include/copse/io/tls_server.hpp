/// A server of TLS connections: a fiber for each.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include <copse/detail/callable.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/socket.hpp>
#include <copse/io/stream_server.hpp>
#include <copse/io/tls_context.hpp>
#include <copse/io/tls_stream.hpp>

namespace copse::io {

/// What a TLS server has done so far.
struct tls_server_stats : stream_server_stats {
    std::uint64_t handshakes = 0;         ///< that came to a good end
    std::uint64_t failed_handshakes = 0;  ///< refused, given up, out of time; no handler saw them
    std::uint64_t truncated = 0;          ///< connections that were cut off while their handler was receiving
};

namespace detail {
class tls_server_state;

template <class F>
concept tls_handler = std::invocable<F&, tls_stream, const endpoint&> || std::invocable<F&, tls_stream> ||
    std::invocable<F&, tls_stream&, const endpoint&> || std::invocable<F&, tls_stream&>;
}  // namespace detail

/// A stream_server whose handlers get a tls_stream.
///
///     copse::io::tls_server echo("127.0.0.1:8443", ours, [](copse::io::tls_stream client) {
///         while (auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
///     });
///     echo.serve_forever();
///
/// The handshake happens in the fiber of the connection, within the handshake_timeout of the context: a client that says
/// nothing holds up nobody but itself, and counts towards `max_connections` meanwhile. A handshake that fails is no trouble
/// of ours: it is counted, and told to nobody; so is a client that is cut off (stream_truncated), but not another stream of
/// the handler's. An exception of `tls_server_options::choose` that is none of a client's doing goes to the error handler.
///
/// When the handler returns, the client is told that the end was meant (close_notify); when it throws, it is not. In all
/// else it is a stream_server, with its limits, its pauses and its rules.
class tls_server {
public:
    /// Listens at once; a port of 0 can be asked for with `local_endpoint`.
    /// Throws:  as stream_server; std::invalid_argument also if the context is a client's.
    template <detail::tls_handler F>
    tls_server(std::string_view here, tls_context with, F serve, const stream_server_options& options = {})
        : tls_server(listen(here, options.listening), std::move(with), std::move(serve), options) {}
    template <detail::tls_handler F>
    tls_server(const endpoint& here, tls_context with, F serve, const stream_server_options& options = {})
        : tls_server(listen(here, options.listening), std::move(with), std::move(serve), options) {}
    /// Takes over a listening socket.
    template <detail::tls_handler F>
    tls_server(socket listener, tls_context with, F serve, const stream_server_options& options = {})
        : tls_server(std::move(listener), std::move(with), handler(shared(std::move(serve))), options, made_here()) {}

    tls_server(const tls_server&) = delete;
    tls_server& operator=(const tls_server&) = delete;

    /// As stream_server's, and so are the other verbs. But a stop ends handshakes that wait for their client, which count
    /// neither as handshakes nor as failed; a restart lets them go on.
    ~tls_server() = default;

    void start() { server_.start(); }
    void restart();
    void serve_forever() { server_.serve_forever(); }
    void stop() noexcept;
    template <class Rep, class Period>
    bool stop_for(std::chrono::duration<Rep, Period> length) {
        return stop_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    bool stop_until(std::chrono::time_point<Clock, Duration> when) {
        return stop_by(detail::limit::until(when));
    }

    /// Connections that come from now on are served with another context: a certificate that was renewed.
    /// Throws:  std::invalid_argument if it is a client's.
    void set_context(tls_context with);

    const endpoint& local_endpoint() const noexcept { return server_.local_endpoint(); }
    bool is_serving() const noexcept { return server_.is_serving(); }
    std::size_t connections() const noexcept { return server_.connections(); }
    tls_server_stats stats() const noexcept;

private:
    using handler = std::function<void(tls_stream&, const endpoint&)>;
    struct made_here {};

    /// std::function wants what can be copied; handlers need not be.
    template <class F>
    static auto shared(F f) {
        if (copse::detail::is_null(f)) throw null_callable("tls_server: the handler is null");
        return [held = std::make_shared<F>(std::move(f))](tls_stream& s, const endpoint& peer) {
            if constexpr (std::invocable<F&, tls_stream, const endpoint&>) {
                std::invoke(*held, std::move(s), peer);
            } else if constexpr (std::invocable<F&, tls_stream>) {
                std::invoke(*held, std::move(s));
            } else if constexpr (std::invocable<F&, tls_stream&, const endpoint&>) {
                std::invoke(*held, s, peer);
            } else {
                std::invoke(*held, s);
            }
        };
    }

    tls_server(socket listener, tls_context with, handler h, const stream_server_options& options, made_here);
    bool stop_by(detail::limit within);

    std::shared_ptr<detail::tls_server_state> state_;  // shared with the fibers
    stream_server server_;
};

}  // namespace copse::io
