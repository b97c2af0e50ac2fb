// What the two halves of the reactor know of epoll's events, and nobody else.
#pragma once

#include <sys/epoll.h>

#include <cstdint>

#include "reactor.hpp"

namespace copse::io::detail {

/// Urgent data is asked for only because a receive stops short of it, which proves nothing about what is behind.
inline constexpr std::uint32_t edge_events =
    EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | static_cast<std::uint32_t>(EPOLLET);

inline std::uint32_t oneshot_events(std::uint8_t directions) noexcept {
    std::uint32_t events = EPOLLONESHOT;
    if ((directions & bit(direction::in)) != 0) events |= EPOLLIN | EPOLLRDHUP;
    if ((directions & bit(direction::out)) != 0) events |= EPOLLOUT;
    return events;
}

/// What the watchers of a number want to be told of, together.
inline std::uint32_t watched_events(const entry& e) noexcept {
    std::uint32_t events = 0;
    e.watchers.for_each([&events](const watch& w) { events |= w.events; });
    return events;
}

/// The number with its generation.
inline std::uint64_t tag_of(const entry& e) noexcept {
    return (static_cast<std::uint64_t>(e.generation) << 32) | static_cast<std::uint32_t>(e.fd);
}

/// Of the descriptor that wakes: no entry has the number -1.
inline constexpr std::uint64_t wakeup_tag = ~std::uint64_t{0};

/// Of other event loops: a generation that no entry lives to see, except with the wakeup tag's number.
inline constexpr std::uint32_t guest_generation = ~std::uint32_t{0};

inline epoll_event guest_event(const guest& g) noexcept {
    return {EPOLLIN | static_cast<std::uint32_t>(EPOLLET),
            {.u64 = (static_cast<std::uint64_t>(guest_generation) << 32) | static_cast<std::uint32_t>(g.fd)}};
}

/// How many events one look may bring; the others come with the next look.
inline constexpr int events_at_once = 512;

struct reactor::event_buffer {
    epoll_event at[events_at_once];
};

}  // namespace copse::io::detail
