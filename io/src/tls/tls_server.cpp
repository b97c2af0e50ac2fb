#include <copse/io/tls_server.hpp>

#include <optional>
#include <stdexcept>
#include <system_error>

#include "connection.hpp"
#include "send_at_once.hpp"
#include "tls_stream_access.hpp"

namespace copse::io {

namespace detail {

namespace {

tls_context checked(tls_context with) {
    if (!with.is_server()) throw std::invalid_argument("tls_server: the context is a client's");
    return with;
}

/// What is a client's doing: it refuses, hangs up, or says nothing.
bool is_everyday(const std::system_error& e) {
    return dynamic_cast<const tls_error*>(&e) != nullptr || dynamic_cast<const timed_out*>(&e) != nullptr ||
           e.code() == std::errc::connection_reset || e.code() == std::errc::broken_pipe;
}

}  // namespace

class tls_server_state {
public:
    using handler = std::function<void(tls_stream&, const endpoint&)>;

    tls_server_state(tls_context with, handler h) : with_(checked(std::move(with))), handle_(std::move(h)) {}

    void set_context(tls_context with) { with_ = checked(std::move(with)); }
    const tls_server_stats& counted() const noexcept { return counted_; }

    void serve(socket taken, const endpoint& peer) {
        std::optional<tls_stream> stream = greet(std::move(taken));
        if (!stream) return;
        const auto connection = tls_stream_access::connection(*stream);  // kept: no other shall have its address
        try {
            handle_(*stream, peer);
        } catch (const truncation& end) {
            if (end.of != connection.get()) throw;  // a stream of the handler's own was cut off
            ++counted_.truncated;
        }
    }

private:
    std::optional<tls_stream> greet(socket taken) {
        send_at_once(taken);
        const tls_context with = with_;  // it may be exchanged meanwhile
        try {
            std::optional<tls_stream> stream = tls_stream::server(std::move(taken), with);
            ++counted_.handshakes;
            return stream;
        } catch (const std::system_error& e) {
            ++counted_.failed_handshakes;
            if (!is_everyday(e)) throw;
        }
        return std::nullopt;
    }

    tls_context with_;
    const handler handle_;
    tls_server_stats counted_;
};

}  // namespace detail

tls_server::tls_server(socket listener, tls_context with, handler h, const stream_server_options& options, made_here)
    : state_(std::make_shared<detail::tls_server_state>(std::move(with), std::move(h))),
      server_(
          std::move(listener),
          [state = state_](socket taken, const endpoint& peer) { state->serve(std::move(taken), peer); }, options) {}

void tls_server::set_context(tls_context with) { state_->set_context(std::move(with)); }

tls_server_stats tls_server::stats() const noexcept {
    tls_server_stats all = state_->counted();
    static_cast<stream_server_stats&>(all) = server_.stats();
    return all;
}

}  // namespace copse::io
