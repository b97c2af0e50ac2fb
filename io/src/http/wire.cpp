#include "http/wire.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <copse/clock.hpp>
#include <copse/io/error.hpp>
#include <copse/timeout.hpp>

#include "socket_access.hpp"

namespace copse::io::http::detail {

namespace {

using namespace std::chrono_literals;

constexpr auto lingering_time = 2s;
constexpr std::size_t lingering_bytes = std::size_t{1} << 20;
constexpr std::size_t secured_piece = std::size_t{16} << 10;  // a record of TLS

/// Calls with the time that is left: without, by length, which reads no clock unless it has to wait, or until a point.
template <class Plain, class For, class Until>
auto in_time(patience& p, Plain&& plain, For&& within, Until&& until) {
    const std::int64_t deadline = p.whole.deadline();
    if (deadline == copse::detail::never) return p.pause.count() == 0 ? plain() : within(p.pause);
    const clock::time_point whole{std::chrono::nanoseconds(deadline)};
    return until(p.pause.count() == 0 ? whole : std::min(whole, clock::now() + p.pause));
}

/// What of the pieces comes after their first `n` bytes.
std::vector<const_buffer> rest_of(std::span<const const_buffer> pieces, std::size_t n) {
    std::vector<const_buffer> rest;
    for (const const_buffer& one : pieces) {
        const std::size_t gone = std::min(n, one.size());
        n -= gone;
        if (gone != one.size()) rest.emplace_back(one.bytes().subspan(gone));
    }
    return rest;
}

std::vector<const_buffer> first_of(std::span<const const_buffer> pieces, std::size_t n) {
    std::vector<const_buffer> first;
    for (const const_buffer& one : pieces) {
        const std::size_t taken = std::min(n, one.size());
        n -= taken;
        if (taken != 0) first.emplace_back(one.bytes().first(taken));
    }
    return first;
}

std::size_t size_of(std::span<const const_buffer> pieces) noexcept {
    std::size_t all = 0;
    for (const const_buffer& one : pieces) all += one.size();
    return all;
}

template <class Stream>
void send_on(Stream& to, std::span<const const_buffer> pieces, patience& p) {
    in_time(
        p, [&] { to.send_all(pieces); }, [&](auto length) { to.send_all_for(pieces, length); },
        [&](auto when) { to.send_all_until(pieces, when); });
}

}  // namespace

bool patience::is_over() {
    const std::int64_t deadline = whole.deadline();
    return deadline != copse::detail::never && clock::now().time_since_epoch().count() >= deadline;
}

io::detail::origin wire::whose() const {
    if (is_secure_ || !plain_.is_open()) return inner_.whose();
    return io::detail::origin_of(io::detail::socket_access::use(plain_, "serve"));
}

pooled_buffer wire::recv_pooled(patience p) {
    if (is_secure_) {
        pooled_buffer buffer = pooled_buffer::take();
        buffer.truncate(recv(buffer.bytes(), p));
        return buffer;
    }
    return in_time(
        p, [&] { return plain_.recv_pooled(); }, [&](auto length) { return plain_.recv_pooled_for(length); },
        [&](auto when) { return plain_.recv_pooled_until(when); });
}

std::size_t wire::recv(std::span<std::byte> into, patience p) {
    const auto from = [&](auto& s) {
        return in_time(
            p, [&] { return s.recv(into); }, [&](auto length) { return s.recv_for(into, length); },
            [&](auto when) { return s.recv_until(into, when); });
    };
    return is_secure_ ? from(secured_) : from(plain_);
}

// A secured stream tells only of whole pieces that they were taken: small ones, or a slow peer would seem to take nothing.
void wire::send_all(std::span<const const_buffer> pieces, patience p) {
    std::vector<const_buffer> rest;
    while (is_secure_ && p.pause.count() != 0 && size_of(pieces) > secured_piece) {
        send_in_time(first_of(pieces, secured_piece), p);
        rest = rest_of(pieces, secured_piece);
        pieces = rest;
    }
    send_in_time(pieces, p);
}

void wire::send_in_time(std::span<const const_buffer> pieces, patience p) {
    std::vector<const_buffer> rest;
    for (;;) {
        try {
            return is_secure_ ? send_on(secured_, pieces, p) : send_on(plain_, pieces, p);
        } catch (const timed_out& e) {
            // A slow peer may take as long as it likes, if only it takes something.
            if (e.transferred() == 0 || p.is_over()) throw;
            rest = rest_of(pieces, e.transferred());
        }
        pieces = rest;
    }
}

void wire::send_all(std::string_view text, patience p) {
    if (!is_secure_ && p.whole.deadline() == copse::detail::never && p.pause.count() != 0) {
        try {
            return plain_.send_all_for(text, p.pause);
        } catch (const timed_out& e) {
            if (e.transferred() == 0) throw;
            text.remove_prefix(e.transferred());
        }
    }
    const const_buffer whole(text);
    send_all(std::span(&whole, 1), p);
}

std::uint64_t wire::send_file(int file, std::uint64_t offset, std::uint64_t count, patience p) {
    std::uint64_t before = 0;  // of calls that ran out of time
    for (;;) {
        try {
            return before +
                   in_time(
                       p, [&] { return plain_.send_file(file, offset + before, count - before); },
                       [&](auto length) { return plain_.send_file_for(file, offset + before, count - before, length); },
                       [&](auto when) { return plain_.send_file_until(file, offset + before, count - before, when); });
        } catch (const timed_out& e) {
            if (e.transferred() == 0 || p.is_over()) throw;
            before += e.transferred();
        }
    }
}

// One moment for all of it: a peer that drips does not prolong it, nor does one that takes no goodbye.
void wire::linger() {
    const copse::timeout moment(lingering_time);
    try {
        is_secure_ ? secured_.shutdown(shut::write) : plain_.shutdown(shut::write);
        std::array<std::byte, 2048> dropped;
        for (std::size_t bytes = 0; bytes < lingering_bytes;) {
            const std::size_t n = recv(dropped, {});
            if (n == 0) return;
            bytes += n;
        }
    } catch (const std::system_error&) {
        // Gone.
    } catch (const timeout_expired& e) {
        if (!moment.threw(e)) throw;
    }
}

void wire::abort() noexcept {
    if (plain_.is_open()) return io::detail::forget_peer(plain_.native_handle());
    if (!secured_.is_open()) return;
    inner_.forget_peer();
    inner_.shut_down(shut::both);  // or its close would say a goodbye
}

// A secured stream would have to say goodbye first, which waits: its reader learns that nothing comes any more.
void wire::wake() noexcept {
    if (plain_.is_open()) return plain_.close();
    inner_.shut_down(is_secure_ ? shut::read : shut::both);
}

any_stream wire::release() { return is_secure_ ? std::move(secured_) : any_stream(std::move(plain_)); }

}  // namespace copse::io::http::detail
