#include <copse/io/datagram_server.hpp>

#include <cerrno>
#include <vector>

#include "datagram_server_state.hpp"
#include "failure.hpp"
#include "handlers.hpp"

namespace copse::io {

using detail::others;

incoming_datagram::incoming_datagram(std::shared_ptr<detail::datagram_server_state> server,
                                     std::span<const std::byte> bytes, datagram about)
    : server_(std::move(server)), bytes_(bytes.begin(), bytes.end()), about_(about) {}

bool incoming_datagram::reply(std::span<const std::byte> bytes) const { return server_->reply(bytes, peer()); }

datagram_server::datagram_server(socket bound, handler h, const datagram_server_options& with, made_here)
    : state_(std::make_shared<detail::datagram_server_state>(std::move(bound), std::move(h), with)) {}

datagram_server::~datagram_server() {
    const auto state = std::move(state_);
    state->stop();
    try {
        for (const any_fiber& f : others(state->running)) f.request_kill();
        const shield kept_back;
        if (!state->receiver.empty()) state->receiver.join_for(detail::grace);
        if (const auto handlers = others(state->running); !handlers.empty()) detail::end_handlers(handlers);
    } catch (...) {
        // In the hub nobody can wait: those that were asked end without us.
    }
}

void datagram_server::start() {
    if (state_->failure) std::rethrow_exception(state_->failure);
    if (state_->stopped.is_set()) detail::fail(EBADF, "start of a server that was stopped");
    state_->start();
}

void datagram_server::serve_forever() {
    const auto state = state_;  // this may end while it waits
    start();
    const detail::presence here(state->served_forever);
    state->stopped.wait();
    if (state->failure) std::rethrow_exception(state->failure);
}

void datagram_server::stop() noexcept { state_->stop(); }

bool datagram_server::stop_by(detail::limit within) {
    const auto state = state_;
    state->stop();
    const clock::time_point deadline{std::chrono::nanoseconds(within.deadline())};
    if (!state->receiver.empty()) state->receiver.join();
    const std::vector<any_fiber> handlers = others(state->running);
    const bool all = detail::join_by(handlers, deadline);
    if (!all) detail::end_handlers(handlers);
    if (state->running.size() == others(state->running).size()) state->traffic.close();
    return all;
}

const endpoint& datagram_server::local_endpoint() const noexcept { return state_->local; }

bool datagram_server::is_serving() const noexcept { return !state_->receiver.empty() && !state_->stopped.is_set(); }

std::size_t datagram_server::handlers() const noexcept { return state_->running.size(); }

datagram_server_stats datagram_server::stats() const noexcept {
    datagram_server_stats all = state_->stats;
    all.handlers = state_->running.size();
    return all;
}

}  // namespace copse::io
