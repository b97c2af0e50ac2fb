// What a datagram_server takes: datagrams, through a socket that is needed for replies until the last handler has ended.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include <copse/io/datagram_server.hpp>
#include <copse/mutex.hpp>

#include "service.hpp"

namespace copse::io::detail {

class datagram_server_state final : public service {
public:
    using handler = std::function<void(incoming_datagram&)>;

    datagram_server_state(socket bound, handler h, datagram_server_options options);

    bool reply(std::span<const std::byte> bytes, const endpoint& there);

    const endpoint& local() const noexcept { return local_; }
    datagram_server_stats stats() const noexcept;

private:
    void take() override;
    bool try_take() override;
    void close() noexcept override;
    void ended() noexcept override { traffic_.close(); }
    bool is_harmless(const std::error_code& code) const noexcept override;
    std::span<std::byte> room();
    void serve_datagram(const datagram& about);

    const datagram_server_options with_;
    const handler handle_;
    const endpoint local_;
    socket traffic_;
    mutex sending_;                // a socket bears one writer at a time
    std::vector<std::byte> room_;  // for the next datagram
    datagram_server_stats stats_;
};

}  // namespace copse::io::detail
