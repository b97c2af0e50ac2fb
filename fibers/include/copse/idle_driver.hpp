/// The seam between the hub and what it sleeps in.
#pragma once

#include <cstddef>
#include <cstdint>

namespace copse {

/// How a hub passes the time when no fiber is ready: sleeps, looks for outside events, tells the time.
///
/// The hub owns its driver and calls it from its own thread, in a turn, on whatever stack happens to be running: a driver
/// must not park, switch, throw, or use much stack (2 KiB). It makes fibers ready by completing their waits
/// (copse/detail/wait.hpp), which only appends them to the ready queue. `wake` alone is called from other threads.
///
/// copse has three: the built-in one, which knows no descriptors; epoll, which room 2 installs in a hub the first time
/// that a descriptor is waited for; and `virtual_time` for tests.
class idle_driver {
public:
    virtual ~idle_driver() = default;

    /// The hub's clock in nanoseconds: never goes back.
    virtual std::int64_t now() noexcept = 0;

    /// Sleeps until `deadline` (detail::never: without end), or until woken, or until it could make a fiber ready; whichever
    /// comes first. May return early for no reason. Never called while a fiber is ready.
    virtual void wait(std::int64_t deadline) noexcept = 0;

    /// Makes ready what can be made ready without sleeping. Called every 64 dispatches at the latest.
    /// Cost:    must be next to nothing while `watching` is 0.
    virtual void poll() noexcept = 0;

    /// Ends the current or else the next `wait`. Called from any thread.
    virtual void wake() noexcept = 0;

    /// How many parked fibers an outside event may make ready. While it is not 0 nothing is a deadlock.
    virtual std::size_t watching() const noexcept = 0;

    /// Called in the child of a fork, before anything else of it: the driver there is a copy, which must not disturb the
    /// parent and must work on. Who was watched for is gone, but for what the forker itself waits for.
    virtual void abandon_in_child() noexcept {}
};

}  // namespace copse
