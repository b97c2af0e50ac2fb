// What a datagram_server shares with its fibers and datagrams: it lives until the last of them has ended.
//
// Invariants:
//   - `running` has an entry for every handler that has not ended; its ticket, which its fiber's callable owns, takes it out. So a
//     fiber that is killed before it starts counts too.
//   - Once `stopped` is set nothing is received any more; then the last ticket closes the socket.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include <copse/clock.hpp>
#include <copse/event.hpp>
#include <copse/fiber.hpp>
#include <copse/io/datagram_server.hpp>
#include <copse/mutex.hpp>

namespace copse::io::detail {

struct datagram_server_state : std::enable_shared_from_this<datagram_server_state> {
    using handler = std::function<void(incoming_datagram&)>;

    datagram_server_state(socket bound, handler h, datagram_server_options options);

    void start();
    void stop() noexcept;
    /// A handler has ended, `place` being its own.
    void leave(std::list<any_fiber>::iterator place) noexcept;
    bool reply(std::span<const std::byte> bytes, const endpoint& there);

    const datagram_server_options with;
    const handler handle;
    const endpoint local;
    socket traffic;
    mutex sending;  // a socket bears one writer at a time
    any_fiber receiver;
    std::list<any_fiber> running;
    event slot;  // a handler has ended
    event stopped;
    std::exception_ptr failure;   // what ended the server, if nobody stopped it
    unsigned served_forever = 0;  // fibers in serve_forever(), which throws the failure
    datagram_server_stats stats;

private:
    bool full() const noexcept { return with.max_handlers != 0 && running.size() >= with.max_handlers; }
    void receive_datagrams();
    void receive_or_pause(std::span<std::byte> room);
    void take_some(std::span<std::byte> room);
    void serve(std::span<const std::byte> room, const datagram& about);
    void pause();
    void tell(std::exception_ptr error) noexcept;

    std::chrono::nanoseconds delay_;
    clock::time_point quiet_until_{};
};

}  // namespace copse::io::detail
