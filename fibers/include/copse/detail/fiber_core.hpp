// The control block of a fiber: a greenlet that the hub owns, with a result that is kept.
#pragma once

#include <cstdint>
#include <exception>

#include <copse/detail/core.hpp>
#include <copse/detail/wait.hpp>
#include <copse/source_site.hpp>

namespace copse::detail {

/// How far a kill has got.
enum class kill_phase : std::uint8_t {
    none,
    pending,   // asked for, not yet thrown
    cleaning,  // thrown; its exception is still on the way, or a handler is cleaning up
};

enum fiber_mark : std::uint8_t {
    mark_observed = 1,  // somebody saw or will see how it ended
    mark_killed = 2,    // ended by greenlet_exit
    mark_taken = 4,     // a move-only result was taken
    mark_exiting = 8,   // an exception has reached the fiber's root
};

struct delayed_start;

struct fiber_core : core {
    ring<observer> observers;        // who is told of its end, in the order in which they came
    std::exception_ptr error;        // what escaped from it
    interrupt kill;                  // the kill, until it is thrown
    source_site site;                // of the spawn
    delayed_start* delay = nullptr;  // spawned for later, and not yet ready
    std::uint64_t spawner = 0;       // id of the greenlet that spawned it
    kill_phase killing = kill_phase::none;
    std::uint8_t marks = 0;
    bool has_result = false;

    bool marked(fiber_mark m) const noexcept { return (marks & m) != 0; }
};

}  // namespace copse::detail
