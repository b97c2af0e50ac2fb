// What a stream_server takes: connections, from a listener that is closed when it is stopped.
#pragma once

#include <functional>

#include <copse/io/stream_server.hpp>

#include "address_count.hpp"
#include "service.hpp"

namespace copse::io::detail {

class server_state final : public service {
public:
    using handler = std::function<void(socket&, const endpoint&)>;

    server_state(socket listening, handler h, stream_server_options options);
    ~server_state() override;
    server_state(const server_state&) = delete;
    server_state& operator=(const server_state&) = delete;

    const endpoint& local() const noexcept { return local_; }
    stream_server_stats stats() const noexcept;

private:
    unsigned take() override;
    unsigned try_take() override;
    void close() noexcept override { listener_.close(); }
    void reopen() override;
    void relieve(int error) noexcept override;
    void serve_connection(accepted taken);
    void handle(socket& connection, const endpoint& peer);
    void refuse_waiting() noexcept;

    const stream_server_options with_;
    const handler handle_;
    const endpoint local_;
    socket listener_;
    address_count from_;  // ended after the fibers, whose places are in it
    int reserve_ = -1;    // given up for a moment to refuse clients when no other descriptor is free
    stream_server_stats stats_;
};

}  // namespace copse::io::detail
