#include "http/request_body.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <copse/clock.hpp>
#include <copse/io/error.hpp>

namespace copse::io::http::detail {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds rate_begins_to_count = 10s;
constexpr std::chrono::nanoseconds dropping_time = 5s;
/// A buffer of this size is received into directly.
constexpr std::size_t large = 4096;

/// How much longer may be waited for a body of which `received` bytes have come.
std::chrono::nanoseconds allowance(std::uint64_t received, std::uint64_t rate, std::chrono::nanoseconds waited) {
    const std::uint64_t seconds = std::min<std::uint64_t>(received / rate, 1'000'000'000);
    return rate_begins_to_count + std::chrono::seconds(seconds) - waited;
}

}  // namespace

void request_body::begin(wire& from, intake& in, const framing& f) {
    wire_ = &from;
    in_ = &in;
    most_ = with_.limits.body;
    length_ = left_ = f.length().value_or(0);
    chunked_ = f.is_chunked();
    done_ = !f.has_body();
    unasked_ = f.expects_continue() && !done_;
    opened_ = false;
    trailers_.clear();
    received_ = 0;
    waited_ = paused_ = 0ns;
    failed_ = broken_ = inviting_ = false;
}

std::optional<std::uint64_t> request_body::length() const noexcept {
    if (chunked_) return std::nullopt;
    return length_;
}

// The limit comes before the invitation.
void request_body::open() {
    if (opened_) return;
    if (!chunked_ && length_ > most_) throw error(errc::body_too_large);
    if (chunked_) parser_.limit_body(most_);
    if (unasked_ && in_->empty()) invite();
    unasked_ = false;
    opened_ = true;
}

// Where it was cut off an answer cannot follow.
void request_body::invite() {
    inviting_ = true;
    try {
        wire_->send_all("HTTP/1.1 100 Continue\r\n\r\n", {.pause = with_.write_pause});
    } catch (const timed_out&) {
        failed_ = true;
        throw;
    }
    inviting_ = false;
}

std::size_t request_body::read(std::span<std::byte> into, limit within) {
    if (done_ || into.empty()) return 0;
    if (broken_) throw error(errc::message_incomplete, "a read of the body has failed before");
    try {
        open();
        return chunked_ ? read_chunks(into, within) : read_plain(into, within);
    } catch (const timed_out&) {
        throw;  // the caller's time, not the client's
    } catch (const std::system_error& e) {
        failed_ = true;
        broken_ = e.code() != make_error_code(errc::body_too_large);
        throw;
    }
}

// How long the next byte may take, by the pause and on average. Returns: 0 if without end.
std::chrono::nanoseconds request_body::longest_wait() const {
    constexpr std::chrono::nanoseconds least = 1ns;
    std::chrono::nanoseconds longest = 0ns;
    if (with_.body_pause.count() != 0) longest = std::max(least, with_.body_pause - paused_);
    if (with_.body_rate == 0) return longest;
    const auto left = std::max(least, allowance(received_, with_.body_rate, waited_));
    return longest.count() == 0 ? left : std::min(left, longest);
}

void request_body::count_wait(std::chrono::nanoseconds length) noexcept {
    waited_ += length;
    paused_ += length;
}

// Waits no longer than the client may take for a byte and, on average, for all that has come. What a caller's own limit
// cuts into pieces counts together.
template <class Receive>
auto request_body::in_time(limit& within, Receive&& receive) {
    within.deadline();  // fixed by the first wait, for all that follow
    patience p{.pause = longest_wait(), .whole = within};
    const clock::time_point before = p.pause.count() == 0 ? clock::time_point() : clock::now();
    try {
        const auto result = receive(p);
        if (p.pause.count() != 0) count_wait(clock::now() - before);
        paused_ = 0ns;
        return result;
    } catch (const timed_out&) {
        if (p.pause.count() != 0) count_wait(clock::now() - before);
        if (p.is_over() && longest_wait() > 1ns) throw;  // the caller's time, not the client's
    }
    throw error(errc::too_slow);
}

std::size_t request_body::read_plain(std::span<std::byte> into, limit& within) {
    into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_)));
    std::size_t n = 0;
    if (in_->empty() && into.size() >= large) {
        n = in_time(within, [&](patience p) { return wire_->recv(into, p); });
        if (n == 0) throw error(errc::message_incomplete);
        received_ += n;
    } else {
        if (in_->empty() && !in_time(within, [&](patience p) { return in_->fill(*wire_, p); }))
            throw error(errc::message_incomplete);
        n = take(into);
        received_ += n;
    }
    left_ -= n;
    done_ = left_ == 0;
    return n;
}

std::size_t request_body::take(std::span<std::byte> into) noexcept {
    const std::string_view unread = in_->unread();
    const std::size_t n = std::min(into.size(), unread.size());
    std::memcpy(into.data(), unread.data(), n);
    in_->consume(n);
    return n;
}

std::size_t request_body::read_chunks(std::span<std::byte> into, limit& within) {
    bool more_needed = in_->empty();
    for (;;) {
        if (more_needed) {
            if (in_->full()) throw error(errc::bad_chunk, "its first line or its trailers are too long");
            if (!in_time(within, [&](patience p) { return in_->fill(*wire_, p); }))
                throw error(errc::message_incomplete);
        }
        const auto step = parser_.decode(in_->unread(), into, trailers_);
        in_->consume(step.consumed);
        received_ += step.consumed;
        done_ = step.done;
        if (step.produced != 0) return step.produced;
        if (done_) return 0;
        more_needed = in_->empty() || step.consumed == 0;
    }
}

bool request_body::drop() {
    if (done_) return true;
    if (!is_droppable()) return false;
    std::array<std::byte, 2048> dropped;
    most_ = std::max(most_, with_.unread_body);
    limit all = limit::within(dropping_time);
    all.deadline();  // one for all reads
    try {
        for (std::uint64_t bytes = 0; !done_ && bytes <= with_.unread_body;) bytes += read(dropped, all);
    } catch (const std::system_error&) {
        return false;
    }
    return done_;
}

}  // namespace copse::io::http::detail
