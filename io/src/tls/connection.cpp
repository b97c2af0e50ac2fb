#include "connection.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include <copse/detail/wait.hpp>
#include <copse/error.hpp>
#include <copse/fiber.hpp>
#include <copse/io/tls_error.hpp>
#include <copse/shield.hpp>
#include <copse/timeout.hpp>

#include "context_state.hpp"
#include "failure.hpp"
#include "openssl_error.hpp"
#include "plain_text.hpp"

namespace copse::io::detail {

namespace {

constexpr std::size_t flight_size = 64 * 1024;   // of plain text that is encrypted before the stream below is asked
constexpr std::size_t kept_capacity = 4 * 1024;  // of a buffer with nothing in it
constexpr std::size_t most_unanswered = 4 * flight_size;  // a sender may have left some of its own there
constexpr unsigned most_without_wait = 128;               // as sockets have it

/// One fiber for each direction.
class turn {
public:
    turn(bool& taken, const char* operation) : taken_(taken) {
        if (taken) throw concurrent_use(std::string(operation) + " over tls: another fiber does so already");
        taken = true;
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    ~turn() { taken_ = false; }

private:
    bool& taken_;
};

std::optional<clock::time_point> point_of(limit& within) {
    const std::int64_t ns = within.deadline();
    if (ns == copse::detail::never) return std::nullopt;
    return clock::time_point(std::chrono::nanoseconds(ns));
}

/// Tried once, and the others have a turn.
constexpr clock::time_point now_or_never{};

[[noreturn]] void fail_out_of_time(const char* operation, const std::string& host, std::size_t moved) {
    std::string text = about(operation, host);
    if (moved != 0) text += " after " + std::to_string(moved) + " bytes";
    throw timed_out(std::make_error_code(std::errc::timed_out), text + ", its time is over", moved);
}

}  // namespace

// ---- the handshake

void tls_connection::shake_hands(limit within) {
    struct closed_unless_done {
        tls_connection& of;
        bool done = false;
        ~closed_unless_done() {
            if (!done) of.cut();
        }
    } guard{*this};
    copse::detail::attend();
    try {
        exchange_flights(within);
    } catch (const timed_out&) {
        fail_out_of_time("tls handshake", engine_.host(), 0);
    }
    guard.done = true;
    has_heard_ = false;
}

void tls_connection::exchange_flights(limit& within) {
    const turn receiving(receiving_, "tls handshake");
    const turn sending(sending_, "tls handshake");
    for (;;) {
        const tls_engine::outcome o = engine_.shake_hands();
        switch (o) {
        case tls_engine::outcome::done: return flush(within);
        case tls_engine::outcome::wants_choice: ask_for_choice(within); break;
        case tls_engine::outcome::wants_bytes:
            flush(within);
            if (!fill(within)) fail_truncated();
            break;
        case tls_engine::outcome::ended: fail_truncated();
        case tls_engine::outcome::failed:
            answer();  // the peer learns why
            engine_.throw_failure();
        }
    }
}

/// The program's own function, outside of OpenSSL: it may park.
void tls_connection::ask_for_choice(limit& within) {
    const deadline until = point_of(within);
    std::optional<tls_context> chosen;
    timeout left(until ? std::chrono::nanoseconds(*until - clock::now()) : std::chrono::nanoseconds::max());
    choice_failed_ = true;  // until it has come to its end
    try {
        chosen = engine_.chooser()(engine_.server_name());
    } catch (const timeout_expired& e) {
        if (!left.threw(e)) throw;
        choice_failed_ = false;
        fail_out_of_time("tls handshake", engine_.host(), 0);
    }
    choice_failed_ = false;
    if (chosen && !chosen->is_server())
        throw std::invalid_argument("tls_server_options::choose returned a context of a client");
    engine_.choose(chosen ? tls_context_access::state(*chosen) : nullptr);
}

// ---- receiving

/// Who finds everything in memory must not keep the thread from the others.
void tls_connection::take_a_turn() {
    copse::detail::attend();
    if (++without_wait_ < most_without_wait) return;
    without_wait_ = 0;
    yield();
}

bool tls_connection::fill(limit& within) {
    without_wait_ = 0;
    const std::span<std::byte> room = engine_.room();
    const deadline until = point_of(within);
    const std::size_t n = until ? below_.recv_until(room, *until) : below_.recv(room);
    engine_.filled(n);
    has_heard_ = true;
    return n != 0;
}

std::size_t tls_connection::read(std::span<std::byte> into, limit& within) {
    for (;;) {
        std::size_t got = 0;
        const tls_engine::outcome o = engine_.read(into, got);
        answer();
        if (o == tls_engine::outcome::done) return got;
        if (o == tls_engine::outcome::ended) return 0;
        if (o == tls_engine::outcome::failed) engine_.throw_failure();
        if (closed_) fail(EBADF, about("tls recv", engine_.host()) + ", closed by another fiber");
        if (fill(within)) continue;
        if (accepts_truncation_) return 0;
        fail_truncated();
    }
}

void tls_connection::fail_truncated() const { throw truncation(about("tls", engine_.host()), this); }

std::size_t tls_connection::recv(std::span<std::byte> into, limit within) {
    take_a_turn();
    if (into.empty()) return 0;
    const turn mine(receiving_, "recv");
    return read(into, within);
}

std::size_t tls_connection::recv_exactly(std::span<std::byte> into, limit within) {
    take_a_turn();
    const turn mine(receiving_, "recv_exactly");
    std::size_t got = 0;
    while (got != into.size()) {
        try {
            const std::size_t n = read(into.subspan(got), within);
            if (n == 0 && got == 0) return 0;
            if (n == 0)
                throw transfer_error(std::make_error_code(std::errc::connection_aborted),
                                     about("tls recv_exactly", engine_.host()) + ", the stream ended after " +
                                         std::to_string(got) + " of " + std::to_string(into.size()) + " bytes",
                                     got);
            got += n;
        } catch (const timed_out&) {
            fail_out_of_time("tls recv_exactly", engine_.host(), got);
        }
        if (got != into.size()) take_a_turn();
    }
    return got;
}

pooled_buffer tls_connection::recv_pooled(limit within) {
    take_a_turn();
    const turn mine(receiving_, "recv_pooled");
    for (;;) {
        pooled_buffer buffer = pooled_buffer::take();
        std::size_t got = 0;
        // Not waited for with a buffer in hand: only what is there already is read into it.
        const tls_engine::outcome o = engine_.read(buffer.bytes(), got);
        buffer.truncate(got);
        answer();
        if (o == tls_engine::outcome::failed) engine_.throw_failure();
        if (o != tls_engine::outcome::wants_bytes) return buffer;
        if (closed_) fail(EBADF, about("tls recv", engine_.host()) + ", closed by another fiber");
        if (fill(within)) continue;
        if (accepts_truncation_) return {};
        fail_truncated();
    }
}

// ---- sending

/// What reading left for the peer. Whoever holds the pipe takes it along, and nobody waits here.
void tls_connection::answer() {
    if (!engine_.has_outgoing() || closed_) return;
    if (pipe_.try_lock()) {
        const std::lock_guard held(pipe_, std::adopt_lock);
        const shield kept_back;  // a kill is for the receive that follows; here it would cut a record
        try {
            if (!cut_off_) send_outgoing(now_or_never);
        } catch (const std::exception&) {
            // Not now, or never: who sends next will learn why.
        }
    }
    // It asks and asks, and reads no answer.
    if (engine_.outgoing_size() > most_unanswered && !engine_.has_failed())
        engine_.fail(std::make_exception_ptr(
            tls_error(make_error_code(tls_errc::too_many_control_messages), about("tls recv", engine_.host()))));
}

void tls_connection::flush(limit& within) {
    if (!has_unsent() && !pipe_.locked()) return;
    const deadline until = point_of(within);
    if (!until) {
        pipe_.lock();
    } else if (!pipe_.try_lock_until(*until)) {
        fail_out_of_time("tls send", engine_.host(), 0);
    }
    const std::lock_guard held(pipe_, std::adopt_lock);
    copse::detail::attend();  // now, when nothing of a record is on its way
    check_can_send("tls send");
    send_outgoing(until);
}

void tls_connection::send_outgoing(deadline until) {
    while (sent_ != flight_.size() || engine_.has_outgoing()) {
        if (sent_ == flight_.size()) {
            flight_.clear();
            sent_ = 0;
            engine_.take_outgoing(flight_);
        }
        send_flight(until);
    }
    flight_.clear();
    sent_ = 0;
    if (flight_.capacity() > kept_capacity) std::vector<std::byte>().swap(flight_);
}

void tls_connection::send_flight(deadline until) {
    const const_buffer rest(std::span<const std::byte>(flight_).subspan(sent_));
    cut_off_ = true;  // unless it comes to its end, or says where it stopped
    try {
        if (until) {
            below_.send_all_until(std::span(&rest, 1), *until);
        } else {
            below_.send_all({rest});
        }
    } catch (const timed_out& e) {
        sent_ += std::min(e.transferred(), rest.size());
        cut_off_ = false;
        throw;
    }
    sent_ = flight_.size();
    cut_off_ = false;
}

void tls_connection::check_can_send(const char* operation) const {
    if (closed_) fail(EBADF, about(operation, engine_.host()) + ", closed by another fiber");
    if (engine_.has_failed()) engine_.throw_failure();
    if (cut_off_ && !(pipe_.locked() && !pipe_.owned()))  // it is set, too, while somebody sends
        throw tls_error(make_error_code(tls_errc::sending_cut_off), about(operation, engine_.host()));
}

void tls_connection::send_all(std::span<const const_buffer> pieces, limit within) {
    copse::detail::attend();
    const turn mine(sending_, "send_all");
    check_can_send("tls send");
    if (ended_sending_) fail(EPIPE, about("tls send", engine_.host()) + " after shutdown");
    std::size_t taken = 0;
    try {
        flush(within);  // what an earlier one left goes first
        encrypt_and_send(pieces, within, taken);
    } catch (const timed_out&) {
        fail_out_of_time("tls send", engine_.host(), taken);
    }
}

void tls_connection::encrypt_and_send(std::span<const const_buffer> pieces, limit& within, std::size_t& taken) {
    plain_text text(pieces);
    for (auto next = text.take(flight_size); !next.empty(); next = text.take(flight_size)) {
        if (engine_.write(next) == tls_engine::outcome::failed) engine_.throw_failure();
        text.let_go();
        taken += next.size();
        if (engine_.outgoing_size() >= flight_size) flush(within);
    }
    flush(within);
}

void tls_connection::end_sending(limit within) {
    copse::detail::attend();
    const turn mine(sending_, "shutdown");
    check_can_send("tls shutdown");
    try {
        if (!std::exchange(ended_sending_, true) && engine_.end_sending() == tls_engine::outcome::failed)
            engine_.throw_failure();
        flush(within);
    } catch (const timed_out&) {
        fail_out_of_time("tls shutdown", engine_.host(), 0);
    }
}

// ---- the end

void tls_connection::close() noexcept {
    if (closed_) return;
    say_goodbye();
    cut();
}

/// In one attempt: a peer that does not read cannot keep us. A client that never received has the server's tickets waiting, and
/// to close a socket over unread bytes is to reset it, which may take what was sent along.
void tls_connection::say_goodbye() noexcept {
    if (cut_off_ || sending_ || engine_.has_failed()) return;
    try {
        if (!pipe_.try_lock()) return;
        const std::lock_guard held(pipe_, std::adopt_lock);
        const shield kept_back;
        if (!std::exchange(ended_sending_, true)) engine_.end_sending();
        send_outgoing(now_or_never);
        if (!has_heard_ && !receiving_ && engine_.is_client()) below_.recv_until(engine_.room(), now_or_never);
    } catch (...) {
        // It is closed all the same.
    }
}

void tls_connection::cut() noexcept {
    if (std::exchange(closed_, true)) return;
    try {
        below_.close();
    } catch (...) {
        // A stream of somebody's own: it had its chance.
    }
}

}  // namespace copse::io::detail
