// What a datagram_server takes: datagrams, through a socket that is needed for replies until the last handler has ended.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <copse/io/datagram_server.hpp>
#include <copse/mutex.hpp>

#include "service.hpp"

namespace copse::io::detail {

class datagram_server_state final : public service {
public:
    using handler = std::function<void(incoming_datagram&)>;

    datagram_server_state(socket bound, handler h, datagram_server_options options);

    /// Without a time of its own that of the socket, for each datagram from when it has its turn.
    bool reply(std::span<const std::byte> bytes, const endpoint& there, std::optional<limit> within);

    const endpoint& local() const noexcept { return local_; }
    datagram_server_stats stats() const noexcept;

private:
    unsigned take() override;
    unsigned try_take() override;
    void close() noexcept override;
    void reopen() override;
    void ended() noexcept override { traffic_.close(); }
    bool is_harmless(const std::error_code& code) const noexcept override;
    std::span<datagram_slot> free_slots() noexcept;
    unsigned serve_all(std::size_t received);
    void serve_datagram(const datagram_slot& taken);

    const datagram_server_options with_;
    const handler handle_;
    const endpoint local_;
    socket traffic_;
    mutex sending_;                       // a socket bears one writer at a time
    std::unique_ptr<std::byte[]> space_;  // of all slots; untouched, so that it costs memory only where something came
    std::vector<datagram_slot> slots_;
    std::size_t next_ = 0;  // those from here up to received_ have come, and wait for their fibers
    std::size_t received_ = 0;
    datagram_server_stats stats_;
};

}  // namespace copse::io::detail
