/// A server of stream connections: a fiber for each.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <copse/detail/callable.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/socket.hpp>

namespace copse::io {

struct stream_server_options {
    std::string name = "server";  ///< of its fibers, for messages
    /// At most so many handlers at a time; 0: no limit. More clients wait in the kernel's backlog.
    std::size_t max_connections = 10'000;
    /// At most so many connections from one address at a time; 0: no limit. Those beyond are closed at once.
    std::size_t max_per_address = 256;
    std::size_t stack_size = 0;  ///< of each handler; 0: `default_stack_size`
    unsigned max_accept = 100;   ///< connections taken in a row before others have their turn
    std::chrono::nanoseconds min_delay =
        std::chrono::milliseconds(10);                             ///< the first pause after an accept that failed
    std::chrono::nanoseconds max_delay = std::chrono::seconds(1);  ///< each pause is twice the one before, up to this
    listen_options listening{};                                    ///< when the server makes the listener itself
};

/// What a server has done so far.
struct stream_server_stats {
    std::uint64_t accepted = 0;    ///< handed to a handler
    std::uint64_t refused = 0;     ///< reset at once because no descriptor was free
    std::uint64_t over_limit = 0;  ///< closed at once because of `max_per_address`
    std::uint64_t resets = 0;      ///< handlers that ended because their client had gone
    std::uint64_t pauses = 0;      ///< after an accept that failed
    std::size_t connections = 0;   ///< handlers that have not ended
};

namespace detail {
class server_state;

template <class F>
concept connection_handler = std::invocable<F&, socket, const endpoint&> || std::invocable<F&, socket> ||
    std::invocable<F&, socket&, const endpoint&> || std::invocable<F&, socket&>;

/// Handlers may leave the endpoint out, and take the socket as their own or as a reference.
template <connection_handler F>
auto adapt_handler(F f) {
    return [f = std::move(f)](socket& s, const endpoint& peer) mutable {
        if constexpr (std::invocable<F&, socket, const endpoint&>) {
            std::invoke(f, std::move(s), peer);
        } else if constexpr (std::invocable<F&, socket>) {
            std::invoke(f, std::move(s));
        } else if constexpr (std::invocable<F&, socket&, const endpoint&>) {
            std::invoke(f, s, peer);
        } else {
            std::invoke(f, s);
        }
    };
}
}  // namespace detail

/// Takes connections and gives each to a handler in a fiber of its own. The connection is closed when the handler ends,
/// however it ends.
///
///     copse::io::stream_server echo("127.0.0.1:8001", [](copse::io::socket client) {
///         while (auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
///     });
///     echo.serve_forever();
///
/// What a handler throws goes to the hub's error handler, except that its client is gone (ECONNRESET, EPIPE): that is
/// everyday life, and only counted. The same of another socket of this library, such as one to a service that the handler
/// asks, is a failure. A handler is shared by all connections: what it captures must bear that.
///
/// - At `max_connections` no more are taken until a handler ends.
/// - An address, for `max_per_address`, is what one client can have all of: an IPv4 address, also one that came through an
///   IPv6 socket, or the first 64 bits of another IPv6 address. This machine itself (127.0.0.0/8, ::1, Unix sockets) is
///   never counted: it is proxies, tools and tests that come from there, many clients behind one address.
/// - An accept that fails is followed by a pause, 10 ms doubling to 1 s, and is told to the error handler, at most once a
///   second. When the process has no descriptor left, the clients that wait are refused with a reset, `max_accept` of them a
///   pause, for which one descriptor is kept in reserve.
/// - What no pause can help (a listener that is none: EBADF, EINVAL, ENOTSOCK) ends the server: `serve_forever` and `start`
///   throw it; if nobody is in `serve_forever`, the error handler is told.
///
/// | state   | entered by                         |
/// |---------|------------------------------------|
/// | idle    | construction: bound, the kernel already completes connections |
/// | serving | start, serve_forever               |
/// | stopped | stop, stop_for, the destructor; until restart |
///
/// Owner thread only. Others have it stopped by a hub_handle of the owner's: `door.post([&] { server.stop(); })`.
class stream_server {
public:
    /// Listens at once; a port of 0 can be asked for with `local_endpoint`.
    /// Throws:  as listen(); null_callable; std::invalid_argument for a negative delay, and a `stack_size` beyond
    ///          maximum_stack_size.
    template <detail::connection_handler F>
    stream_server(std::string_view here, F serve, const stream_server_options& with = {})
        : stream_server(listen(here, with.listening), std::move(serve), with) {}
    template <detail::connection_handler F>
    stream_server(const endpoint& here, F serve, const stream_server_options& with = {})
        : stream_server(listen(here, with.listening), std::move(serve), with) {}
    /// Takes over a listening socket.
    template <detail::connection_handler F>
    stream_server(socket listener, F serve, const stream_server_options& with = {})
        : stream_server(std::move(listener), handler(shared(std::move(serve))), with, made_here()) {}

    stream_server(const stream_server&) = delete;
    stream_server& operator=(const stream_server&) = delete;

    /// Stops, kills what runs, and gives the clean-up of the handlers a second; what takes longer goes on by itself.
    /// Parks:   if handlers run. Kills of the calling fiber are kept back meanwhile.
    ~stream_server();

    /// Begins to take connections, in a fiber. Does nothing if it has begun.
    /// Throws:  std::system_error(EBADF) if it is stopped: a start that comes late does not undo a stop.
    void start();

    /// Stops, listens at the same endpoint again, with `listening` of the options, and serves. Connections that run, run
    /// on, and count; serve_forever goes on. Meanwhile clients are refused, and those who wait in the backlog are reset.
    /// Who is in stop_for leaves it, and kills nobody. A stop that comes while this parks comes after it: it stays stopped.
    /// Parks:   until the fiber that takes connections has ended.
    /// Throws:  as listen(): it is stopped then, and may be restarted again.
    /// After:   a kill: it is stopped.
    void restart();

    /// Starts, and waits until the server is stopped, and nobody is in stop_for any more. A restart is no end.
    /// Parks:   until stopped.
    /// Throws:  what ended the server, unless it is restarted; what is raised into the caller: the server then goes on.
    void serve_forever();

    /// Closes the listener at once: the port is free. Connections that run, run on.
    /// Parks:   no.
    void stop() noexcept;

    /// Stops, waits `length` at most for the handlers to end by themselves, kills those that have not, and gives their
    /// clean-up a second.
    /// Parks:   while handlers run, but no longer than until a restart.
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
    /// Handlers that have not ended.
    std::size_t connections() const noexcept;
    stream_server_stats stats() const noexcept;

private:
    using handler = std::function<void(socket&, const endpoint&)>;
    struct made_here {};

    /// std::function wants what can be copied; handlers need not be.
    template <class F>
    static auto shared(F f) {
        if (copse::detail::is_null(f)) throw null_callable("stream_server: the handler is null");
        return [held = std::make_shared<decltype(detail::adapt_handler(std::move(f)))>(
                    detail::adapt_handler(std::move(f)))](socket& s, const endpoint& peer) { (*held)(s, peer); };
    }

    stream_server(socket listener, handler h, const stream_server_options& with, made_here);
    bool stop_by(detail::limit within);

    std::shared_ptr<detail::server_state> state_;  // shared with the fibers
};

}  // namespace copse::io
