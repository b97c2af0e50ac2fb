// Killing fibers.
#pragma once

#include <exception>

#include <copse/detail/fiber_core.hpp>

namespace copse::detail {

/// The start of a fiber that was spawned for later. One whose delay is `never` is held: only start_held starts it.
struct delayed_start final : timer {
    fiber_core* of = nullptr;
};

/// Makes a held fiber ready.
void start_held(fiber_core& f) noexcept;

/// Ends a fiber that has been marked as dead because fork left it in the parent process.
void lose(fiber_core& f) noexcept;

/// Asks for the kill of a fiber: with an exception, or null for greenlet_exit. One that has not started is finished by this.
void ask_for_kill(fiber_core& f, std::exception_ptr exception);

}  // namespace copse::detail
