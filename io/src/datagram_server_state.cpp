#include "datagram_server_state.hpp"

#include <mutex>
#include <optional>
#include <utility>

namespace copse::io::detail {

namespace {

/// What the network says of an earlier datagram of ours is no failure to receive.
bool is_old_news(const std::error_code& code) noexcept {
    return code == std::errc::connection_refused || code == std::errc::host_unreachable ||
           code == std::errc::network_unreachable;
}

}  // namespace

datagram_server_state::datagram_server_state(socket bound, handler h, datagram_server_options options)
    : service({.name = options.name,
               .stack_size = options.stack_size,
               .most = options.max_handlers,
               .in_a_row = options.max_receive,
               .min_delay = options.min_delay,
               .max_delay = options.max_delay}),
      with_(std::move(options)),
      handle_(std::move(h)),
      local_(bound.local_endpoint()),
      traffic_(std::move(bound)) {}

datagram_server_stats datagram_server_state::stats() const noexcept {
    datagram_server_stats all = stats_;
    all.handlers = handlers();
    all.pauses = pauses();
    return all;
}

bool datagram_server_state::reply(std::span<const std::byte> bytes, const endpoint& there) {
    const std::lock_guard alone(sending_);
    try {
        traffic_.send_to(bytes, there);
        return true;
    } catch (const std::system_error& e) {
        const bool unix_name_gone = there.family() == AF_UNIX && e.code() == std::errc::no_such_file_or_directory;
        if (!is_old_news(e.code()) && !unix_name_gone) throw;
        return false;
    }
}

// The socket's own time-out is meant for replies: that nobody sends anything is no failure.
void datagram_server_state::take() { serve_datagram(traffic_.recv_from_for(room(), std::chrono::nanoseconds::max())); }

bool datagram_server_state::try_take() {
    const std::optional<datagram> next = traffic_.try_recv_from(room());
    if (next) serve_datagram(*next);
    return next.has_value();
}

std::span<std::byte> datagram_server_state::room() {
    room_.resize(with_.max_size);
    return room_;
}

void datagram_server_state::serve_datagram(const datagram& about) {
    if (is_stopped()) return;  // it came in the same turn
    auto self = std::static_pointer_cast<datagram_server_state>(shared_from_this());
    serve([this, taken = incoming_datagram(std::move(self), std::span(room_).first(about.size), about)]() mutable {
        handle_(taken);
    });
    ++stats_.received;
    if (about.truncated) ++stats_.truncated;
}

// Replies still need the socket: its reader is ended without it.
void datagram_server_state::close() noexcept { handlers() == 0 ? traffic_.close() : end_taking(); }

bool datagram_server_state::is_harmless(const std::error_code& code) const noexcept { return is_old_news(code); }

}  // namespace copse::io::detail
