#include <copse/io/stream_server.hpp>

#include <cerrno>
#include <vector>

#include "failure.hpp"
#include "handlers.hpp"
#include "server_state.hpp"

namespace copse::io {

using detail::end_handlers;
using detail::grace;
using detail::join_by;
using detail::others;
using detail::presence;

stream_server::stream_server(socket listener, handler h, const stream_server_options& with, made_here)
    : state_(std::make_shared<detail::server_state>(std::move(listener), std::move(h), with)) {}

stream_server::~stream_server() {
    const auto state = std::move(state_);
    state->stop();
    try {
        for (const any_fiber& f : others(state->running)) f.request_kill();
        const shield kept_back;
        if (!state->acceptor.empty()) state->acceptor.join_for(grace);
        if (const auto handlers = others(state->running); !handlers.empty()) end_handlers(handlers);
    } catch (...) {
        // In the hub nobody can wait: those that were asked end without us.
    }
}

void stream_server::start() {
    if (state_->failure) std::rethrow_exception(state_->failure);
    if (state_->stopped.is_set()) detail::fail(EBADF, "start of a server that was stopped");
    state_->start();
}

void stream_server::serve_forever() {
    const auto state = state_;  // this may end while it waits
    start();
    const presence here(state->served_forever);
    state->stopped.wait();
    if (state->failure) std::rethrow_exception(state->failure);
}

void stream_server::stop() noexcept { state_->stop(); }

bool stream_server::stop_by(detail::limit within) {
    const auto state = state_;
    state->stop();
    const clock::time_point deadline{std::chrono::nanoseconds(within.deadline())};
    if (!state->acceptor.empty()) state->acceptor.join();
    const std::vector<any_fiber> handlers = others(state->running);
    if (join_by(handlers, deadline)) return true;
    end_handlers(handlers);
    return false;
}

const endpoint& stream_server::local_endpoint() const noexcept { return state_->local; }

bool stream_server::is_serving() const noexcept { return !state_->acceptor.empty() && !state_->stopped.is_set(); }

std::size_t stream_server::connections() const noexcept { return state_->running.size(); }

stream_server_stats stream_server::stats() const noexcept {
    stream_server_stats all = state_->stats;
    all.connections = state_->running.size();
    return all;
}

}  // namespace copse::io
