// What is known of a descriptor number, whoever has it.
//
// Invariants:
//   - Entries are never moved or ended while their reactor lives: sockets point at them.
//   - `generation` rises whenever the number may change hands. It travels with every registration, so an event of an
//     earlier holder is told from one of the present holder; and every call that parked compares it before it goes on.
//   - `ready` is memory, and only for owned entries: a set bit means that the next call is worth making. It is cleared by EAGAIN
//     and by a short transfer, set by events.
#pragma once

#include <cstdint>

#include <copse/detail/wait.hpp>

namespace copse::io::detail {

/// Reading and writing differ by this value only.
enum class direction : std::uint8_t { in = 0, out = 1 };

constexpr std::uint8_t bit(direction d) noexcept { return static_cast<std::uint8_t>(1U << static_cast<unsigned>(d)); }
inline constexpr std::uint8_t both_directions = 3;

enum class registration : std::uint8_t {
    none,     // epoll does not know it
    edge,     // registered once, both directions: the descriptor of a socket
    oneshot,  // armed anew for each wait: a descriptor given by number
};

/// Somebody who is told of a number without standing in line for it: of events, as long as it is linked, and of its end.
/// Must not switch.
struct watch : copse::detail::wait_link {
    watch(void (*when_happened)(watch&) noexcept, void (*when_closed)(watch&) noexcept) noexcept
        : happened(when_happened), closed(when_closed) {}

    std::uint32_t events = 0;           // of epoll, that it wants to be told of; 0: of the end only
    void (*happened)(watch&) noexcept;  // one of them came, or epoll failed: ask again
    void (*closed)(watch&) noexcept;    // the number is about to change hands; unlinked already
};

struct entry {
    copse::detail::wait_list waiting[2];  // by direction
    copse::detail::ring<watch> watchers;
    int fd = -1;
    std::uint32_t generation = 0;
    registration registered = registration::none;
    std::uint8_t ready = 0;      // bits of directions
    std::uint8_t armed = 0;      // bits of directions; of oneshot only
    std::uint8_t exclusive = 0;  // directions whose waiter wants no company
    bool owned = false;          // by a socket
    bool messages = false;       // a receive takes one message, whole or cut: no stream
    bool drains = false;         // a short transfer proves that there is nothing left: a TCP socket
    bool ended = false;          // hung up, in error or urgent: from then on a short transfer proves nothing

    copse::detail::wait_list& waiters(direction d) noexcept { return waiting[static_cast<unsigned>(d)]; }
    bool remembers(direction d) const noexcept { return (ready & bit(d)) != 0; }
    void forget(direction d) noexcept { ready = static_cast<std::uint8_t>(ready & ~bit(d)); }

    /// A call moved less than it could have.
    void note_short(direction d) noexcept {
        // The end of a stream may have arrived together with its last bytes, in one event: then no other will come.
        if (drains && !ended) forget(d);
    }
};

}  // namespace copse::io::detail
