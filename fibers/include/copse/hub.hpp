/// The hub: a thread's scheduler of fibers.
///
/// Unless a line says otherwise a function does not park and is called on the hub's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <copse/clock.hpp>
#include <copse/greenlet.hpp>
#include <copse/idle_driver.hpp>

namespace copse {

namespace detail {
struct hub_door;
}  // namespace detail

/// Counters since the hub was made.
struct hub_stats {
    std::uint64_t turns = 0;       ///< looks at timers and driver
    std::uint64_t dispatches = 0;  ///< greenlets entered from the ready queue, to within 64
    std::uint64_t spawned = 0;     ///< fibers
    std::size_t fibers = 0;        ///< of those, unfinished
    std::size_t ready = 0;         ///< greenlets in the ready queue
    std::size_t timers = 0;        ///< armed deadlines
    std::size_t watching = 0;      ///< parked fibers that a descriptor may make ready
};

/// One unfinished fiber or parked greenlet, for people.
struct fiber_info {
    std::uint64_t id = 0;
    std::string name;
    std::string state;           ///< "pending", "ready", "running", "parked", "suspended"
    std::string waits_for;       ///< "semaphore 0x…"; empty unless parked
    clock::duration waited{};    ///< since it parked, as far as the hub has looked at the clock
    std::string spawned_at;      ///< "file:line"; empty when not known
    std::uint64_t spawned_by{};  ///< id of the greenlet that spawned it; 0: a greenlet made by hand
    std::uint64_t parent{};      ///< where it hangs in a dump: `spawned_by`, or the id of the greenlet's parent
    std::size_t stack_used{};    ///< bytes of its stack touched so far, as `greenlet::stack_usage`; 0: it has none yet
    std::size_t stack_size{};    ///< bytes that it can use; 0: it has none yet
    /// Ids of the greenlets that must act before it can go on, as far as that is known: who holds the mutex that it waits
    /// for, those whose end it waits for (64 at most).
    std::vector<std::uint64_t> behind{};
};

/// What a dump shows; designated initialisers read well: `{.backtraces = true}`.
struct dump_options {
    bool backtraces = false;  ///< where each parked or suspended greenlet stands, innermost call first
    bool stacks = true;       ///< how much of its stack each has touched: a system call each
};

/// A way to reach a hub from other threads that may outlive it. While one exists, a hub whose fibers all wait is not
/// dead-locked: the holder may post. Copies may be used on every thread.
class hub_handle {
public:
    hub_handle() noexcept = default;

    /// Runs `f` in the hub, in the order in which this thread posts. `f` must not block; what it throws goes to the hub's
    /// error handler.
    /// Throws:  thread_exited if the hub has ended; empty_handle; std::bad_alloc.
    void post(std::function<void()> f) const;

    /// The hub has ended.
    bool expired() const noexcept;

private:
    friend class hub;
    friend class workers;
    struct hold;
    static hub_handle through(std::shared_ptr<detail::hub_door> door);
    explicit hub_handle(std::shared_ptr<hold> held) noexcept : held_(std::move(held)) {}
    std::shared_ptr<hold> held_;
};

/// A thread's hub. Made by its first blocking call, ended with the thread: the fibers left then are killed, the newest
/// first, and have a second to end.
///
/// Order: one first-in-first-out queue of what is ready; everything that makes a fiber runnable appends to it (decision 1).
/// A fiber that parks hands over to the next ready one directly; when none is ready, or after 64 dispatches, the hub takes a
/// turn: driver, posted functions, timers.
class hub {
public:
    hub(const hub&) = delete;
    hub& operator=(const hub&) = delete;

    /// This thread's hub, made if need be.
    /// Throws:  thread_exited in the thread's last destructors.
    static hub& current();

    /// Runs `f` in the hub, after what is ready now. Safe on every thread as long as the hub lives: a thread that may
    /// outlive it holds a hub_handle instead. Never lost; in order for each poster.
    void post(std::function<void()> f);

    /// See hub_handle.
    hub_handle handle();

    /// The same door as set_error_handler.
    error_handler on_error(error_handler handler);

    /// Parks:   yes; the main greenlet only.
    /// Waits until no fiber is ready and nothing can make one ready any more. Parked fibers that nothing will wake stay parked.
    /// Throws:  concurrent_use if it is waited for already.
    void run_until_idle();

    /// Returns: false if that had not come after `length`.
    template <class Rep, class Period>
    bool run_until_idle_for(std::chrono::duration<Rep, Period> length) {
        return idle_by(detail::deadline_after(length));
    }

    hub_stats stats() const noexcept;

    /// Every unfinished fiber and parked greenlet, the newest first.
    /// Cost:    a system call for each, which looks at its stack.
    std::vector<fiber_info> fibers() const;

    /// Prints main and every unfinished fiber and greenlet of this thread as a tree, a line each: fibers below who spawned
    /// them, greenlets made by hand below their parents, the oldest first. Those whose spawner has ended stand at the root.
    /// Then come the rings of those that wait for each other, if there are any.
    ///
    ///     main #1 running
    ///     |-- fiber #3 "reader" parked in queue get 0x7ffd… for 250 ms, spawned at server.cpp:41 by #1, stack 8 of 256 KiB
    ///     `-- fiber #4 "writer" parked in mutex 0x7ffd… held by fiber #3 "reader" for 3 ms, spawned at server.cpp:44 by #1, …
    ///
    /// All of it is of one moment: whatever writing to `out` does, it is done last. With backtraces, functions have names
    /// unless the program is stripped; addr2line knows their lines.
    /// Throws:  std::bad_alloc; what `out` throws.
    /// Cost:    linear; see dump_options.
    void dump(std::ostream& out, const dump_options& with = {}) const;

    /// Replaces what the hub sleeps in. Waits that the old driver watches must have ended.
    /// Returns: the old one.
    /// Throws:  std::invalid_argument for null.
    std::unique_ptr<idle_driver> set_driver(std::unique_ptr<idle_driver> driver);
    idle_driver& driver() const noexcept;

    /// From now on the next ready greenlet is chosen at random by this seed; none: first in, first out. For tests that
    /// depend on no order, or look for what does. Posted functions and raw links keep their order among themselves. What a
    /// select chooses among ready cases repeats from here, too. While `explore` runs it has no effect.
    void shuffle(std::optional<std::uint64_t> seed) noexcept;

protected:
    hub() = default;
    ~hub() = default;

private:
    bool idle_by(std::int64_t deadline);
};

}  // namespace copse
