#include <copse/io/http/server.hpp>

#include <stdexcept>

#include <copse/hub.hpp>
#include <copse/io/stream_server.hpp>

#include "http/connection.hpp"
#include "http/server_core.hpp"
#include "named_time.hpp"

namespace copse::io::http {

namespace {

constexpr std::size_t shown_of_target = 200;

std::string name_of(const request& r) {
    const std::string name = r.method.text() + " " + r.target.substr(0, shown_of_target);
    return r.target.size() > shown_of_target ? name + "..." : name;
}

}  // namespace

handler_failure::handler_failure(const http::request& of, const std::string& why)
    : std::runtime_error(name_of(of) + ": " + why) {}

handler_failure::~handler_failure() = default;

namespace detail {

server_core::server_core(server_options options, handler h) : options_(std::move(options)), handle_(std::move(h)) {
    const limits& l = options_.limits;
    if (l.header_block == 0 || l.header_count == 0 || l.target == 0 || l.method == 0)
        throw std::invalid_argument("http::server: a limit of 0 for header_block, header_count, target or method");
    io::detail::check_times("http::server", {{"handshake", options_.handshake},
                                             {"first_byte", options_.first_byte},
                                             {"head", options_.head},
                                             {"body_pause", options_.body_pause},
                                             {"write_pause", options_.write_pause},
                                             {"keep_alive", options_.keep_alive},
                                             {"handler", options_.handler}});
}

void server_core::serve(socket& s, const endpoint& peer) {
    if (options_.no_delay && peer.family() != AF_UNIX) s.set_option(no_delay(true));
    connection(*this, std::move(s), peer).serve();
}

void server_core::drain() noexcept {
    draining_ = true;
    ++era_;
    // This only makes their fibers ready.
    for (connection* c : idle_) c->wake();
    for (connection* c : shaking_hands_) c->wake();
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
          stream_server_options{.name = with.name,
                                .max_connections = with.max_connections,
                                .max_per_address = with.max_per_address,
                                .stack_size = with.stack_size,
                                .listening = with.listening})) {}

server::~server() {
    core_->end();
    core_->stop();  // the other end of it is the taker's
}

void server::start() { taker_->start(); }

void server::serve_forever() { taker_->serve_forever(); }

void server::stop() noexcept {
    taker_->stop();
    core_->stop();
}

void server::restart() {
    core_->check_may_wait();
    const auto core = core_;  // the server may end while this waits
    core->note_order(true);
    core->drain();
    taker_->restart();
    if (core->has_ended() || !taker_->is_serving()) return;
    if (core->shall_serve()) return core->go_on();
    taker_->stop();  // who came later has the last word
}

bool server::stop_by(detail::limit within) {
    core_->check_may_wait();
    stop();
    return taker_->stop_until(clock::time_point(std::chrono::nanoseconds(within.deadline())));
}

const endpoint& server::local_endpoint() const noexcept { return taker_->local_endpoint(); }

bool server::is_serving() const noexcept { return taker_->is_serving(); }

server_stats server::stats() const noexcept {
    server_stats all = core_->stats();
    const stream_server_stats taken = taker_->stats();
    all.accepted = taken.accepted;
    all.refused = taken.refused + taken.over_limit;
    all.connections = taken.connections;
    all.idle = core_->idle();
    return all;
}

}  // namespace copse::io::http
