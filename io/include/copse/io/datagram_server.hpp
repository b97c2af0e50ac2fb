/// A server of datagrams: a fiber for each.
#pragma once

#include <chrono>
#include <concepts>
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

#include <copse/detail/callable.hpp>
#include <copse/io/datagram_socket.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/endpoint.hpp>
#include <copse/io/socket.hpp>

namespace copse::io {

struct datagram_server_options {
    std::string name = "datagram server";  ///< of its fibers, for messages
    std::size_t max_handlers = 1000;       ///< at most so many at a time; 0: no limit. More datagrams wait in the
                                           ///< kernel's buffer, which drops what it has no room for
    std::size_t max_size = 65'535;         ///< what is longer is cut: see incoming_datagram::truncated
    std::size_t stack_size = 0;            ///< of each handler; 0: `default_stack_size`
    unsigned max_receive = 100;            ///< datagrams taken in a row before others have their turn
    unsigned batch = 32;  ///< at most so many are taken with one system call, 1 to 64. Address space of
                          ///< `max_size` is kept for each, memory for what came
    std::chrono::nanoseconds min_delay = std::chrono::milliseconds(10);  ///< the first pause after a failure
    std::chrono::nanoseconds max_delay = std::chrono::seconds(1);        ///< each is twice the one before, up to this
    datagram_options binding{};                                          ///< when the server makes the socket itself
};

/// What a server has done so far.
struct datagram_server_stats {
    std::uint64_t received = 0;   ///< handed to a handler
    std::uint64_t truncated = 0;  ///< of these, cut
    std::uint64_t pauses = 0;     ///< after a failure
    std::size_t handlers = 0;     ///< that have not ended
};

namespace detail {
class datagram_server_state;
}  // namespace detail

/// What a handler is given: the bytes, and the way back. It may be kept beyond the handler, and moved; who was moved from
/// has no bytes, and `reply` throws empty_handle.
class incoming_datagram {
public:
    std::span<const std::byte> bytes() const noexcept { return bytes_; }
    std::string_view text() const noexcept { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }
    /// Empty if the sender has no address, and cannot be answered.
    const endpoint& peer() const noexcept { return about_.from; }
    /// It was longer than `max_size`, and the rest is lost.
    bool truncated() const noexcept { return about_.truncated; }
    std::size_t full_size() const noexcept { return about_.full_size; }

    /// Sends an answer, from the server's address. Any number of times; several handlers take turns.
    /// Parks:   as socket::send_to, in the time that the server's socket allows.
    /// Returns: false if the peer is gone, as far as can be seen from here.
    /// Throws:  as socket::send_to; EBADF once the server has stopped and its handlers have ended.
    bool reply(std::span<const std::byte> bytes) const { return reply_by(bytes, std::nullopt); }
    bool reply(std::string_view bytes) const { return reply_by(bytes, std::nullopt); }
    /// The time is for the wait for its turn too.
    template <class Rep, class Period>
    bool reply_for(const const_buffer& bytes, std::chrono::duration<Rep, Period> length) const {
        return reply_by(bytes, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    bool reply_until(const const_buffer& bytes, std::chrono::time_point<Clock, Duration> when) const {
        return reply_by(bytes, detail::limit::until(when));
    }

private:
    friend class detail::datagram_server_state;

    incoming_datagram(std::shared_ptr<detail::datagram_server_state> server, std::span<const std::byte> bytes,
                      datagram about);
    bool reply_by(const const_buffer& bytes, std::optional<detail::limit> within) const;

    std::shared_ptr<detail::datagram_server_state> server_;
    std::vector<std::byte> bytes_;
    datagram about_;
};

namespace detail {
template <class F>
concept datagram_handler = std::invocable<F&, incoming_datagram> || std::invocable<F&, incoming_datagram&>;
}  // namespace detail

/// Takes datagrams and gives each to a handler in a fiber of its own.
///
///     copse::io::datagram_server echo("127.0.0.1:5000", [](copse::io::incoming_datagram& d) { d.reply(d.bytes()); });
///     echo.serve_forever();
///
/// What a handler throws goes to the hub's error handler. A handler is shared by all datagrams: what it captures must bear
/// that.
///
/// - At `max_handlers` no more are taken until a handler ends.
/// - A receive that fails, and a fiber that cannot be made, are followed by a pause, 10 ms doubling to 1 s, and are told to the
///   error handler, at most once a second.
/// - What no pause can help (EBADF, EINVAL, ENOTSOCK) ends the server, as a stream_server.
///
/// | state   | entered by                         |
/// |---------|------------------------------------|
/// | idle    | construction: bound, the kernel already collects datagrams |
/// | serving | start, serve_forever               |
/// | stopped | stop, stop_for, the destructor; until restart |
///
/// Owner thread only. Others have it stopped by a hub_handle of the owner's: `door.post([&] { server.stop(); })`.
class datagram_server {
public:
    /// Binds at once; a port of 0 can be asked for with `local_endpoint`.
    /// Throws:  as bind_datagram(); null_callable; std::invalid_argument for a negative delay, a `stack_size` beyond
    ///          maximum_stack_size, a socket for connections.
    template <detail::datagram_handler F>
    datagram_server(std::string_view here, F serve, const datagram_server_options& with = {})
        : datagram_server(bind_datagram(here, with.binding), std::move(serve), with) {}
    template <detail::datagram_handler F>
    datagram_server(const endpoint& here, F serve, const datagram_server_options& with = {})
        : datagram_server(bind_datagram(here, with.binding), std::move(serve), with) {}
    /// Takes over a bound socket. Its time-out is that of the replies.
    template <detail::datagram_handler F>
    datagram_server(socket bound, F serve, const datagram_server_options& with = {})
        : datagram_server(std::move(bound), shared(std::move(serve)), with, made_here()) {}

    datagram_server(const datagram_server&) = delete;
    datagram_server& operator=(const datagram_server&) = delete;

    /// Stops, kills what runs, and gives the clean-up of the handlers a second; what takes longer goes on by itself.
    /// Parks:   if handlers run. Kills of the calling fiber are kept back meanwhile.
    ~datagram_server();

    /// Begins to take datagrams, in a fiber. Does nothing if it has begun.
    /// Throws:  std::system_error(EBADF) if it is stopped: a start that comes late does not undo a stop.
    void start();

    /// Stops, and serves again at the same endpoint: with the same socket while handlers hold it open, else with one that
    /// is bound again, by `binding` of the options. Handlers that run, run on, and count; who is in serve_forever stays
    /// there.
    /// Parks:   until the fiber that takes datagrams has ended.
    /// Throws:  as bind_datagram(): it is stopped then, and may be restarted again.
    /// After:   a kill: it is stopped.
    void restart();

    /// Starts, and waits until the server is stopped, and nobody is in stop_for any more. A restart is no end.
    /// Parks:   until stopped.
    /// Throws:  what ended the server, unless it is restarted; what is raised into the caller: the server then goes on.
    void serve_forever();

    /// Takes no more datagrams. Handlers that run, run on and may reply: the socket is closed when the last has ended.
    /// Parks:   no.
    void stop() noexcept;

    /// Stops, waits `length` at most for the handlers to end by themselves, kills those that have not, and gives their
    /// clean-up a second. Then the socket is closed, unless a handler calls this.
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

    /// Where it receives, also when it is stopped.
    const endpoint& local_endpoint() const noexcept;
    bool is_serving() const noexcept;
    /// Handlers that have not ended.
    std::size_t handlers() const noexcept;
    datagram_server_stats stats() const noexcept;

private:
    using handler = std::function<void(incoming_datagram&)>;
    struct made_here {};

    /// std::function wants what can be copied; handlers need not be.
    template <class F>
    static handler shared(F f) {
        if (copse::detail::is_null(f)) throw null_callable("datagram_server: the handler is null");
        return [held = std::make_shared<F>(std::move(f))](incoming_datagram& d) {
            if constexpr (std::invocable<F&, incoming_datagram>) {
                std::invoke(*held, std::move(d));
            } else {
                std::invoke(*held, d);
            }
        };
    }

    datagram_server(socket bound, handler h, const datagram_server_options& with, made_here);
    bool stop_by(detail::limit within);

    std::shared_ptr<detail::datagram_server_state> state_;  // shared with the fibers
};

}  // namespace copse::io
