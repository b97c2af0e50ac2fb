#include <copse/io/http/server.hpp>

#include <stdexcept>

#include <copse/hub.hpp>
#include <copse/io/stream_server.hpp>

#include "http/connection.hpp"
#include "http/server_core.hpp"

namespace copse::io::http {

namespace detail {

/// Counts a connection, in all and of its address.
class server_core::visit {
public:
    visit(server_core& core, const endpoint& peer) : core_(core) {
        ++core_.stats_.accepted;
        if (core_.options_.max_per_address == 0 || peer.family() == AF_UNIX) return;
        place_ = core_.by_address_.try_emplace(peer.address()).first;
        ++place_->second;
    }
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;
    ~visit() {
        if (place_ != core_.by_address_.end() && --place_->second == 0) core_.by_address_.erase(place_);
    }

    bool is_one_too_many() const noexcept {
        return place_ != core_.by_address_.end() && place_->second > core_.options_.max_per_address;
    }

private:
    server_core& core_;
    std::map<std::string, std::size_t>::iterator place_ = core_.by_address_.end();
};

server_core::server_core(server_options options, handler h) : options_(std::move(options)), handle_(std::move(h)) {
    const limits& l = options_.limits;
    if (l.header_block == 0 || l.header_count == 0 || l.target == 0 || l.method == 0)
        throw std::invalid_argument("http::server: a limit of 0 for header_block, header_count, target or method");
}

void server_core::serve(socket& s, const endpoint& peer) {
    const visit counted(*this, peer);
    if (counted.is_one_too_many()) {
        ++stats_.refused;
        return;
    }
    if (options_.no_delay && peer.family() != AF_UNIX) s.set_option(no_delay(true));
    connection(*this, std::move(s), peer).serve();
}

void server_core::drain() noexcept {
    draining_ = true;
    for (connection* c : idle_) c->wake();  // only makes their fibers ready
}

void server_core::tell(std::exception_ptr error) noexcept {
    try {
        hub::current().post([error = std::move(error)] { std::rethrow_exception(error); });
    } catch (const std::bad_alloc&) {
        // Then it goes untold: the server goes on.
    }
}

}  // namespace detail

server::server(socket listener, detail::handler h, const server_options& with, made_here)
    : core_(std::make_shared<detail::server_core>(with, std::move(h))),
      taker_(std::make_unique<stream_server>(
          std::move(listener), [core = core_](socket& s, const endpoint& peer) { core->serve(s, peer); },
          stream_server_options{
              .name = with.name, .max_connections = with.max_connections, .stack_size = with.stack_size})) {}

server::~server() { stop(); }

void server::start() { taker_->start(); }

void server::serve_forever() { taker_->serve_forever(); }

void server::stop() noexcept {
    taker_->stop();
    core_->drain();
}

bool server::stop_by(detail::limit within) {
    stop();
    return taker_->stop_until(clock::time_point(std::chrono::nanoseconds(within.deadline())));
}

const endpoint& server::local_endpoint() const noexcept { return taker_->local_endpoint(); }

bool server::is_serving() const noexcept { return taker_->is_serving(); }

server_stats server::stats() const noexcept {
    server_stats all = core_->stats();
    const stream_server_stats taken = taker_->stats();
    all.refused += taken.refused;
    all.connections = taken.connections;
    all.idle = core_->idle();
    return all;
}

}  // namespace copse::io::http
