#include "datagram_server_state.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <copse/clock.hpp>

#include "turn_of.hpp"

namespace copse::io::detail {

namespace {

/// What the network says of an earlier datagram of ours is no failure to receive.
bool is_old_news(const std::error_code& code) noexcept {
    return code == std::errc::connection_refused || code == std::errc::host_unreachable ||
           code == std::errc::network_unreachable;
}

/// Where there are connections, the end of one would be taken for an empty datagram, again and again.
void check_kind(const socket& s) {
    int type = 0;
    s.get_option(SOL_SOCKET, SO_TYPE, std::as_writable_bytes(std::span(&type, 1)));
    if (type == SOCK_STREAM || type == SOCK_SEQPACKET)
        throw std::invalid_argument("datagram_server: the socket is for connections, not for datagrams");
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
      traffic_(std::move(bound)),
      slots_(std::clamp(with_.batch, 1U, 64U)) {
    check_kind(traffic_);
    const std::size_t size = with_.max_size;
    if (size > std::numeric_limits<std::size_t>::max() / 2 / slots_.size())
        throw std::invalid_argument("datagram_server: max_size is " + std::to_string(size));
    space_ = std::make_unique_for_overwrite<std::byte[]>(size * slots_.size());
    std::byte* at = space_.get();
    for (datagram_slot& slot : slots_) slot.buffer = {std::exchange(at, at + size), size};
}

datagram_server_stats datagram_server_state::stats() const noexcept {
    datagram_server_stats all = stats_;
    all.handlers = handlers();
    all.pauses = pauses();
    return all;
}

bool datagram_server_state::reply(std::span<const std::byte> bytes, const endpoint& there,
                                  std::optional<limit> within) {
    limit whole = within.value_or(limit());
    const turn_of mine(sending_, whole, "incoming_datagram::reply");
    try {
        if (within) {
            traffic_.send_to_until(bytes, there, clock::time_point(std::chrono::nanoseconds(whole.deadline())));
        } else {
            traffic_.send_to(bytes, there);
        }
        return true;
    } catch (const std::system_error& e) {
        const bool unix_name_gone = there.family() == AF_UNIX && e.code() == std::errc::no_such_file_or_directory;
        if (!is_old_news(e.code()) && !unix_name_gone) throw;
        return false;
    }
}

// The socket's own time-out is meant for replies: that nobody sends anything is no failure.
unsigned datagram_server_state::take() {
    if (next_ != received_) return serve_all(received_);  // for which there were no fibers before the pause
    return serve_all(traffic_.recv_many_for(free_slots(), std::chrono::nanoseconds::max()));
}

unsigned datagram_server_state::try_take() {
    if (received_ < slots_.size()) return 0;  // the last batch was not full: there is no more
    return serve_all(traffic_.try_recv_many(free_slots()));
}

// No more than there may be handlers: what is not taken stays in the kernel.
std::span<datagram_slot> datagram_server_state::free_slots() noexcept {
    next_ = received_ = 0;
    return std::span(slots_).first(std::min(slots_.size(), room()));
}

// One that cannot be served stops this, and is the first to be tried again.
unsigned datagram_server_state::serve_all(std::size_t received) {
    received_ = received;
    unsigned served = 0;
    for (; next_ != received_ && !is_stopped(); ++next_, ++served) serve_datagram(slots_[next_]);
    return served;
}

void datagram_server_state::serve_datagram(const datagram_slot& taken) {
    auto self = std::static_pointer_cast<datagram_server_state>(shared_from_this());
    serve([this, d = incoming_datagram(std::move(self), taken.bytes(), taken.received)]() mutable { handle_(d); });
    ++stats_.received;
    if (taken.received.truncated) ++stats_.truncated;
}

// Replies still need the socket: its reader is ended without it. What it has taken already is lost, as if it had come
// later.
void datagram_server_state::close() noexcept {
    next_ = received_ = 0;
    handlers() == 0 ? traffic_.close() : end_taking();
}

void datagram_server_state::reopen() {
    if (traffic_.is_open()) return;
    datagram_options options = with_.binding;
    if (local_.family() == AF_UNIX) options.replace_stale = true;
    traffic_ = bind_datagram(local_, options);
}

bool datagram_server_state::is_harmless(const std::error_code& code) const noexcept { return is_old_news(code); }

}  // namespace copse::io::detail
