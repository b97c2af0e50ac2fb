#include <copse/io/datagram_server.hpp>

#include <copse/error.hpp>

#include "datagram_server_state.hpp"

namespace copse::io {

incoming_datagram::incoming_datagram(std::shared_ptr<detail::datagram_server_state> server,
                                     std::span<const std::byte> bytes, datagram about)
    : server_(std::move(server)), bytes_(bytes.begin(), bytes.end()), about_(about) {}

bool incoming_datagram::reply_by(const const_buffer& bytes, std::optional<detail::limit> within) const {
    if (server_ == nullptr) throw empty_handle("incoming_datagram: reply of one that was moved from");
    return server_->reply(bytes.bytes(), peer(), within);
}

datagram_server::datagram_server(socket bound, handler h, const datagram_server_options& with, made_here)
    : state_(std::make_shared<detail::datagram_server_state>(std::move(bound), std::move(h), with)) {}

datagram_server::~datagram_server() {
    const auto state = state_;  // its fibers may go on without us, and until then ask it
    state->end();
}

void datagram_server::start() { state_->start(); }

void datagram_server::restart() { state_->restart(); }

void datagram_server::serve_forever() { state_->serve_forever(); }

void datagram_server::stop() noexcept {
    state_->insist_on_thread();
    state_->stop();
}

bool datagram_server::stop_by(detail::limit within) { return state_->stop_by(within); }

const endpoint& datagram_server::local_endpoint() const noexcept { return state_->local(); }

bool datagram_server::is_serving() const noexcept { return state_->is_serving(); }

std::size_t datagram_server::handlers() const noexcept { return state_->handlers(); }

datagram_server_stats datagram_server::stats() const noexcept { return state_->stats(); }

}  // namespace copse::io
