/// Watching what is spawned: for tests, statistics, tracing.
#pragma once

#include <functional>

#include <copse/detail/wait.hpp>
#include <copse/fiber.hpp>

namespace copse {

namespace detail {

/// Calls all of this thread's.
void tell_of_spawn(fiber_core& spawned) noexcept;

}  // namespace detail

/// While one lives, a function is told of every fiber that this thread spawns.
///
///     copse::spawn_observer watch([](const copse::any_fiber& f) { std::puts(f.name().c_str()); });
///
/// Several are told in the order in which they were made. Owner thread only.
class spawn_observer : detail::wait_link {
public:
    /// `told` is called by `spawn`, in whoever spawns, before the fiber can run. It must not park; what it throws goes to the
    /// hub's error handler. It may spawn, of which it is told too. It may not end a spawn_observer.
    /// Throws:  null_callable; thread_exited.
    explicit spawn_observer(std::function<void(const any_fiber&)> told);
    spawn_observer(const spawn_observer&) = delete;
    spawn_observer& operator=(const spawn_observer&) = delete;
    ~spawn_observer() { unlink(); }

private:
    friend class detail::ring<spawn_observer>;
    friend void detail::tell_of_spawn(detail::fiber_core& spawned) noexcept;

    void call(const any_fiber& spawned) const noexcept;

    std::function<void(const any_fiber&)> told_;
};

}  // namespace copse
