#include "http/websocket_state.hpp"

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include <copse/detail/wait.hpp>
#include <copse/error.hpp>
#include <copse/io/error.hpp>

#include "http/close_quietly.hpp"
#include "http/deadline.hpp"
#include "http/flagged.hpp"

namespace copse::io::http::detail {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t piece = 4 * 1024;
constexpr std::size_t most_unsent = 64 * 1024;   // pongs and the like, before the receiver waits for them to go out
constexpr std::chrono::seconds last_words(1);    // for the peer to read why the connection ends
constexpr std::size_t most_unread = 256 * 1024;  // of what it has sent until then

/// Of an option; a length of 0 is none.
clock::time_point end_of(std::chrono::nanoseconds length, clock::time_point since) {
    return length.count() > 0 && length < no_deadline - since ? since + length : no_deadline;
}

std::chrono::nanoseconds most_silent_of(const websocket_options& with) {
    if (with.idle_timeout) return *with.idle_timeout;
    return with.ping_interval < std::chrono::nanoseconds::max() / 3 ? 3 * with.ping_interval : 0ns;
}

/// The engine takes 0 for no limit at all.
websocket_options with_limit(websocket_options with) {
    with.max_message = std::clamp<std::size_t>(with.max_message, 1, std::string().max_size() / 2);
    return with;
}

template <class F>
class at_exit {
public:
    explicit at_exit(F f) : call_(std::move(f)) {}
    at_exit(const at_exit&) = delete;
    at_exit& operator=(const at_exit&) = delete;
    ~at_exit() { call_(); }

private:
    F call_;
};

}  // namespace

websocket_state::websocket_state(any_stream over, std::string_view received_ahead, const websocket_options& with)
    : with_(with_limit(with)),
      most_silent_(most_silent_of(with)),
      stream_(std::move(over)),
      ahead_(received_ahead),
      engine_(*this, with_) {}

void websocket_state::open(any_stream over) {
    stream_ = std::move(over);
    engine_.outbox().clear();
}

void websocket_state::ask(const std::string& host, const std::string& target, clock::time_point deadline) {
    receive_deadline_ = deadline;
    asking_ = true;
    engine_.ask(host, target);
    asking_ = false;
}

void websocket_state::flush(clock::time_point deadline) {
    std::unique_lock held(sending_, std::defer_lock);
    hold(held, deadline);
    send_or_abort(deadline);
}

void websocket_state::hold(std::unique_lock<mutex>& held, clock::time_point deadline) {
    if (!held.try_lock_until(deadline)) {
        throw timed_out(std::make_error_code(std::errc::timed_out), "websocket, waiting for others to send", 0);
    }
}

/// With `sending_` held.
void websocket_state::send_outbox(clock::time_point deadline) {
    while (!engine_.outbox().empty() && phase_ != phase::closed && !cut_off_) {
        on_the_way_.clear();
        on_the_way_.swap(engine_.outbox());
        const const_buffer all(on_the_way_);
        stream_.send_all_until(std::span(&all, 1), deadline);
    }
    if (on_the_way_.capacity() > most_unsent) on_the_way_ = std::string();
}

void websocket_state::send_or_abort(clock::time_point deadline) {
    try {
        send_outbox(deadline);
    } catch (...) {
        abort();
        throw;
    }
}

void websocket_state::fail_closed() const {
    std::string text = "websocket: it is closed";
    if (engine_.close_code() != 1006)
        text += ", the peer said goodbye with code " + std::to_string(engine_.close_code());
    throw std::system_error(std::make_error_code(std::errc::broken_pipe), text);
}

void websocket_state::send(std::string_view data, bool as_text, clock::time_point deadline) {
    check_thread();
    copse::detail::attend();
    std::unique_lock held(sending_, std::defer_lock);
    hold(held, deadline);
    if (phase_ != phase::open) fail_closed();
    engine_.write(data, as_text);
    send_or_abort(deadline);
}

void websocket_state::ping(std::string_view payload) {
    check_thread();
    copse::detail::attend();
    const std::unique_lock held(sending_);
    if (phase_ != phase::open) fail_closed();
    engine_.ping(payload);
    send_or_abort(no_deadline);
}

/// What the engine reads from.
std::size_t websocket_state::read(std::span<std::byte> into) {
    if (!ahead_.empty()) {
        const std::size_t n = std::min(into.size(), ahead_.size());
        std::copy_n(std::as_bytes(std::span(ahead_)).begin(), n, into.begin());
        ahead_.erase(0, n);
        return n;
    }
    if (asking_) {
        flush(receive_deadline_);  // the request
    } else {
        pass_pongs_on();
    }
    return read_keeping_alive(into);
}

/// They leave with what others send, or alone. The receiver goes on, unless a peer that does not read has asked for many.
void websocket_state::pass_pongs_on() {
    if (cut_off_) engine_.outbox().clear();
    if (engine_.outbox().empty()) return;
    if (pongs_.empty() || pongs_.ready()) {
        pongs_ = spawn(spawn_options{.name = "http::websocket, sending pongs"},
                       [self = shared_from_this()] { self->send_pongs(); });
    }
    if (engine_.outbox().size() >= most_unsent && !pongs_.join_until(receive_deadline_)) {
        throw timed_out(std::make_error_code(std::errc::timed_out), "websocket, waiting for pongs to be sent", 0);
    }
}

/// In the fiber that is there for it.
void websocket_state::send_pongs() {
    try {
        const std::unique_lock held(sending_);
        send_outbox(no_deadline);
    } catch (const std::system_error&) {
        // The receiver will see how the connection ends, after what has come before.
        cut_off_ = true;
        if (phase_ == phase::open) phase_ = phase::closing;
    } catch (...) {
        abort();
        throw;
    }
}

std::size_t websocket_state::read_keeping_alive(std::span<std::byte> into) {
    // Before the answer has come it is not a WebSocket yet: nothing but the request is sent.
    if (asking_ || (with_.ping_interval.count() <= 0 && most_silent_.count() <= 0)) {
        return stream_.recv_until(into, receive_deadline_);
    }
    const auto meanwhile = clock::now() - left_at_;
    silent_since_ += meanwhile;
    pinged_at_ += meanwhile;
    const at_exit leaves([this] { left_at_ = clock::now(); });
    for (;;) {
        const clock::time_point silent_at = end_of(most_silent_, silent_since_);
        const clock::time_point when =
            std::min({receive_deadline_, silent_at, end_of(with_.ping_interval, pinged_at_)});
        try {
            const std::size_t n = stream_.recv_until(into, when);
            silent_since_ = pinged_at_ = clock::now();
            return n;
        } catch (const timed_out&) {
            if (when == receive_deadline_) throw;
        }
        if (when == silent_at) {
            engine_.say_goodbye(1001, "no sign of life");
            throw error(errc::too_slow, "the peer gave no sign of life");
        }
        pinged_at_ = clock::now();
        if (phase_ == phase::open) engine_.ping({});
        pass_pongs_on();
    }
}

std::optional<websocket::message> websocket_state::receive(clock::time_point deadline) {
    check_thread();
    copse::detail::attend();
    if (receiving_) throw concurrent_use("websocket::receive: another fiber receives already");
    if (phase_ == phase::closed) {
        if (leaving_ || engine_.close_code() != 1006) return std::nullopt;
        throw std::system_error(std::make_error_code(std::errc::bad_file_descriptor), "websocket::receive");
    }
    const flagged here(receiving_);
    receive_deadline_ = deadline;
    return receive_message();
}

std::optional<websocket::message> websocket_state::receive_message() {
    do {
        if (!receive_some()) return std::nullopt;
    } while (engine_.is_within_message());
    websocket::message whole{{}, engine_.is_text()};
    if (partial_.size() <= piece / 4) {
        whole.data = partial_;  // the large buffer serves the next one too
    } else {
        whole.data = std::exchange(partial_, {});
    }
    partial_.clear();
    return whole;
}

/// Returns: false once the peer has said goodbye.
bool websocket_state::receive_some() {
    const std::size_t had = partial_.size();
    websocket_engine::step made;
    // Doubling as it grows; one byte too many shows what is too large.
    partial_.resize(had + std::min(std::max(had, piece), with_.max_message - std::min(had, with_.max_message) + 1));
    try {
        made = engine_.read_some(std::as_writable_bytes(std::span(partial_)).subspan(had));
    } catch (...) {
        partial_.resize(had);
        if (engine_.is_compressed() && engine_.is_within_message()) abort();  // what this call inflated is lost
        if (!is_over()) throw;
        return false;
    }
    partial_.resize(had + made.bytes);
    if (made.failure || made.closed) end_after(made);
    return !made.closed;
}

/// In a handler, of what the wire has thrown: ends the connection unless it can be gone on with.
/// Returns: whether that is how a connection ends which this side has said goodbye to.
bool websocket_state::is_over() {
    try {
        throw;
    } catch (const timed_out&) {
        return false;
    } catch (const error& e) {
        if (e.code() != make_error_code(errc::too_slow)) {
            let_peer_read();
        } else {  // who gives no sign of life reads nothing either
            say_last_words(clock::now());
            abort();
        }
        return leaving_;
    } catch (const std::system_error&) {
        // the stream below has failed
    }
    abort();
    return leaving_;
}

/// The peer has said goodbye, or broken the protocol: there is an answer in the outbox.
void websocket_state::end_after(const websocket_engine::step& last) {
    partial_.clear();
    if (phase_ == phase::open) phase_ = phase::closing;
    let_peer_read();
    if (last.failure) throw error(*last.failure, "websocket: " + last.why);
}

/// As far as it can be sent until then.
void websocket_state::say_last_words(clock::time_point until) {
    try {
        flush(until);
        stream_.shutdown_until(shut::write, until);
    } catch (const std::system_error&) {
        // It is of no use in any case.
    }
}

/// Sends what is left to be said, and closes. If the peer has sent more than was read, a close at once would be a reset, which
/// may overtake the last words.
void websocket_state::let_peer_read() {
    const at_exit closes([this] { abort(); });
    try {
        const clock::time_point until = std::min(receive_deadline_, deadline_in(last_words));
        say_last_words(until);
        if (engine_.close_code() != 1006) return;  // nothing more will come
        std::array<std::byte, 1024> scratch;
        std::size_t dropped = 0;
        while (dropped < most_unread) {
            const std::size_t n = stream_.recv_until(scratch, until);
            if (n == 0) return;
            dropped += n;
        }
    } catch (const std::system_error&) {
        // It is of no use in any case.
    }
}

bool websocket_state::close(std::uint16_t code, std::string_view reason, clock::time_point deadline) {
    check_thread();
    copse::detail::attend();
    if (phase_ == phase::closed) return engine_.close_code() != 1006;
    try {
        std::unique_lock held(sending_, std::defer_lock);
        hold(held, deadline);
        if (phase_ == phase::open) {
            phase_ = phase::closing;
            leaving_ = true;
            engine_.say_goodbye(code, reason);
            send_or_abort(deadline);
        }
        held.unlock();
        if (receiving_) {
            closed_.wait_until(deadline);
        } else {
            drop_until_goodbye(deadline);
        }
    } catch (const std::system_error&) {
        // The connection has failed, or the peer takes its time: what was wanted is that it ends.
    } catch (...) {
        abort();
        throw;
    }
    abort();
    return engine_.close_code() != 1006;
}

void websocket_state::drop_until_goodbye(clock::time_point deadline) {
    const flagged here(receiving_);
    receive_deadline_ = deadline;
    while (phase_ != phase::closed && receive_some()) partial_.clear();
}

void websocket_state::abort() noexcept {
    if (std::exchange(phase_, phase::closed) == phase::closed) return;
    close_quietly(stream_);
    closed_.set();
}

}  // namespace copse::io::http::detail
