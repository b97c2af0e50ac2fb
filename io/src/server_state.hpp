// What a stream_server shares with its fibers: it lives until the last of them has ended.
//
// Invariants:
//   - `running` has an entry for every connection that is not closed; its ticket, which its fiber's callable owns, takes it
//     out. So a fiber that is killed before it starts counts too.
//   - Once `stopped` is set, the listener is closed and nothing is accepted any more.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <list>
#include <memory>

#include <copse/clock.hpp>
#include <copse/event.hpp>
#include <copse/fiber.hpp>
#include <copse/io/stream_server.hpp>

namespace copse::io::detail {

struct server_state : std::enable_shared_from_this<server_state> {
    using handler = std::function<void(socket&, const endpoint&)>;

    server_state(socket listening, handler h, stream_server_options options);
    ~server_state();
    server_state(const server_state&) = delete;
    server_state& operator=(const server_state&) = delete;

    void start();
    void stop() noexcept;

    /// The acceptor's life.
    void accept_connections();

    const stream_server_options with;
    const handler handle;
    const endpoint local;
    socket listener;
    any_fiber acceptor;
    std::list<any_fiber> running;
    event slot;  // a connection has ended
    event stopped;
    std::exception_ptr failure;   // what ended the server, if nobody stopped it
    unsigned served_forever = 0;  // fibers in serve_forever(), which throws the failure
    stream_server_stats stats;

private:
    bool full() const noexcept { return with.max_connections != 0 && running.size() >= with.max_connections; }
    void accept_or_pause();
    void take_some();
    void serve(accepted taken);
    void pause(int error);
    void tell(std::exception_ptr error) noexcept;
    void refuse_waiting() noexcept;

    int reserve_ = -1;  // given up for a moment to refuse clients when no other descriptor is free
    std::chrono::nanoseconds delay_;
    clock::time_point quiet_until_{};
};

}  // namespace copse::io::detail
