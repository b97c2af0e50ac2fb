/// What a stream of bytes is, by its verbs.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>

#include <copse/clock.hpp>
#include <copse/io/buffer_view.hpp>
#include <copse/io/socket.hpp>

namespace copse::io {

namespace detail {

template <class S>
concept receives = requires(S& s, std::span<std::byte> into, clock::time_point when) {
    { s.recv(into) } -> std::same_as<std::size_t>;
    { s.recv_until(into, when) } -> std::same_as<std::size_t>;
};
template <class S>
concept reads = requires(S& s, std::span<std::byte> into, clock::time_point when) {
    { s.read(into) } -> std::same_as<std::size_t>;
    { s.read_until(into, when) } -> std::same_as<std::size_t>;
};
template <class S>
concept sends = requires(S& s, std::span<const const_buffer> pieces, clock::time_point when) {
    s.send_all(pieces);
    s.send_all_until(pieces, when);
};
template <class S>
concept writes = requires(S& s, std::span<const std::byte> bytes, clock::time_point when) {
    s.write_all(bytes);
    s.write_all_until(bytes, when);
};

}  // namespace detail

/// What bytes are taken from: sockets, the reading ends of pipes, files, any_stream; types of yours with `recv` and
/// `recv_until`, or `read` and `read_until`. They give 0 at the end of the stream and nowhere else, and have taken nothing if
/// they throw; an end that the protocol below did not announce is thrown.
template <class S>
concept readable = detail::receives<S> || detail::reads<S>;

/// What bytes are put into: the same with `send_all` and `send_all_until` for several pieces, or `write_all` and
/// `write_all_until` for one.
template <class S>
concept writable = detail::sends<S> || detail::writes<S>;

/// Both, as sockets are: the sending half can be ended by itself.
template <class S>
concept byte_stream = detail::receives<S> && detail::sends<S> && requires(S& s, const S& looked_at) {
    s.shutdown(shut::write);
    s.close();
    { looked_at.is_open() } -> std::convertible_to<bool>;
};

namespace detail {

template <readable S>
std::size_t take_some(S& from, std::span<std::byte> into, const std::optional<clock::time_point>& until) {
    if constexpr (receives<S>) {
        return until ? from.recv_until(into, *until) : from.recv(into);
    } else {
        return until ? from.read_until(into, *until) : from.read(into);
    }
}

template <writable S>
void put_all(S& to, std::span<const std::byte> bytes, const std::optional<clock::time_point>& until) {
    if constexpr (requires { to.send_all(bytes), to.send_all_until(bytes, *until); }) {
        until ? to.send_all_until(bytes, *until) : to.send_all(bytes);
    } else if constexpr (sends<S>) {
        const const_buffer piece(bytes);
        const std::span<const const_buffer> pieces(&piece, 1);
        until ? to.send_all_until(pieces, *until) : to.send_all(pieces);
    } else {
        until ? to.write_all_until(bytes, *until) : to.write_all(bytes);
    }
}

}  // namespace detail
}  // namespace copse::io
