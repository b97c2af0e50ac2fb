#include <copse/io/stream_server.hpp>

#include "server_state.hpp"

namespace copse::io {

stream_server::stream_server(socket listener, handler h, const stream_server_options& with, made_here)
    : state_(std::make_shared<detail::server_state>(std::move(listener), std::move(h), with)) {}

stream_server::~stream_server() {
    const auto state = state_;  // its fibers may go on without us, and until then ask it
    state->end();
}

void stream_server::start() { state_->start(); }

void stream_server::restart() { state_->restart(); }

void stream_server::serve_forever() { state_->serve_forever(); }

void stream_server::stop() noexcept {
    state_->insist_on_thread();
    state_->stop();
}

bool stream_server::stop_by(detail::limit within) { return state_->stop_by(within); }

const endpoint& stream_server::local_endpoint() const noexcept { return state_->local(); }

bool stream_server::is_serving() const noexcept { return state_->is_serving(); }

std::size_t stream_server::connections() const noexcept { return state_->handlers(); }

stream_server_stats stream_server::stats() const noexcept { return state_->stats(); }

}  // namespace copse::io
