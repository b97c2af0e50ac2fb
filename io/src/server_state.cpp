#include "server_state.hpp"

#include <cerrno>
#include <optional>
#include <utility>

#include "failure.hpp"
#include "socket_access.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

server_state::server_state(socket listening, handler h, stream_server_options options)
    : service({.name = options.name,
               .stack_size = options.stack_size,
               .most = options.max_connections,
               .in_a_row = options.max_accept,
               .min_delay = options.min_delay,
               .max_delay = options.max_delay}),
      with_(std::move(options)),
      handle_(std::move(h)),
      local_(listening.local_endpoint()),
      listener_(std::move(listening)),
      from_(with_.max_per_address),
      reserve_(sys.spare_descriptor()) {
    listener_.set_timeout(std::nullopt);  // waiting for clients is no failure
}

server_state::~server_state() {
    if (reserve_ >= 0) sys.close(reserve_);
}

stream_server_stats server_state::stats() const noexcept {
    stream_server_stats all = stats_;
    all.connections = handlers();
    all.pauses = pauses();
    return all;
}

unsigned server_state::take() {
    serve_connection(listener_.accept());
    return 1;
}

unsigned server_state::try_take() {
    std::optional<accepted> next = listener_.try_accept();
    if (!next) return 0;
    serve_connection(*std::move(next));
    return 1;
}

// A name in the file system is still there, and is our own.
void server_state::reopen() {
    listen_options options = with_.listening;
    if (local_.family() == AF_UNIX) options.replace_stale = true;
    listener_ = listen(local_, options);
}

void server_state::serve_connection(accepted taken) {
    std::optional<address_count::place> place = from_.enter(taken.peer);
    if (!place) {
        ++stats_.over_limit;
        return;  // its end closes it
    }
    serve([this, place = *std::move(place), taken = std::move(taken)]() mutable {
        socket connection = std::move(taken.connection);
        handle(connection, taken.peer);
    });
    ++stats_.accepted;
}

// Clients leave as they please (rule 140).
void server_state::handle(socket& connection, const endpoint& peer) {
    const origin here = origin_of(socket_access::use(connection, "serve"));
    try {
        handle_(connection, peer);
    } catch (const std::system_error& error) {
        const bool peer_left = error.code() == std::errc::connection_reset || error.code() == std::errc::broken_pipe;
        const auto* from = dynamic_cast<const has_origin*>(&error);
        if (!peer_left || (from != nullptr && from->where != here)) throw;
        ++stats_.resets;
    }
}

void server_state::relieve(int error) noexcept {
    if (error == EMFILE || error == ENFILE) refuse_waiting();
}

// Clients that nobody can serve had better know at once than wait in the backlog (FD09).
void server_state::refuse_waiting() noexcept {
    if (reserve_ >= 0) sys.close(std::exchange(reserve_, -1));
    try {
        for (unsigned n = 0; n < with_.max_accept; ++n) {
            std::optional<accepted> unlucky = listener_.try_accept();
            if (!unlucky) break;
            unlucky->connection.set_option(linger(std::chrono::seconds(0)));  // its close is a reset
            ++stats_.refused;
        }
    } catch (const std::exception&) {
        // Another thread was faster, or there is no memory either: the next pause tries again.
    }
    reserve_ = sys.spare_descriptor();
}

}  // namespace copse::io::detail
