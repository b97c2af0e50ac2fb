#pragma once

/// What copse throws. Three families, told apart by what a program should do about them:
///
/// - `error` and everything derived from it: the caller broke a rule. State is unchanged; fix the call. A
///   `std::logic_error`.
/// - `timeout_expired`: a `timeout` scope ran out. A normal outcome, so not an `error`.
/// - `greenlet_exit`: a greenlet is asked to end. Deliberately outside `std::exception`, so that `catch (const
///   std::exception&)` in user code does not swallow it.
///
/// A refusal by the operating system is a `std::system_error` and has no type here.

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <stdexcept>

namespace copse {

/// Base of every report of misuse. Never thrown itself. The text names the objects concerned and is built by the
/// thrower.
struct error : std::logic_error {
    using std::logic_error::logic_error;
    ~error() override;
};

/// Thrown when a greenlet, fiber or hub is used from a thread other than the one that owns it.
struct wrong_thread : error {
    using error::error;
    ~wrong_thread() override;
};

/// Thrown by `set_parent` when the new parent descends from the greenlet, or is it.
struct parent_cycle : error {
    using error::error;
    ~parent_cycle() override;
};

/// Thrown by `set_parent` on a thread's main greenlet, which has none and gets none.
struct parent_of_main : error {
    using error::error;
    ~parent_of_main() override;
};

/// Thrown by `value::as` when the value holds another type or nothing, and by a greenlet whose first switch does
/// not bring what its callable takes. The text names both types.
struct bad_value_cast : error {
    using error::error;
    ~bad_value_cast() override;
};

/// Thrown when a default-constructed or moved-from handle is used.
struct empty_handle : error {
    using error::error;
    ~empty_handle() override;
};

/// Thrown when a greenlet, fiber or task is made from a null function pointer or an empty `std::function`.
struct null_callable : error {
    using error::error;
    ~null_callable() override;
};

/// Thrown when the thread that owned a greenlet or hub has ended, or has torn down its copse state.
struct thread_exited : error {
    using error::error;
    ~thread_exited() override;
};

/// Thrown when a second fiber uses what only one may use at a time, such as one direction of a descriptor.
struct concurrent_use : error {
    using error::error;
    ~concurrent_use() override;
};

/// Thrown when the hub itself would park: from a raw link, a posted function, an error handler or a trace.
struct blocking_in_hub : error {
    using error::error;
    ~blocking_in_hub() override;
};

/// Thrown when a hub's own greenlet, or a greenlet parked in a wait, is entered by hand.
struct not_switchable : error {
    using error::error;
    ~not_switchable() override;
};

/// Thrown when something that can be done only before the first switch is done after it.
struct already_started : error {
    using error::error;
    ~already_started() override;
};

/// Thrown in the child of a fork by `join` and `get` on a fiber that the parent has, and by locking what such a fiber holds.
struct left_in_parent : error {
    using error::error;
    ~left_in_parent() override;
};

/// Thrown by `get` on a fiber that was killed, so that the caller is not silently ended with it.
struct fiber_killed : error {
    using error::error;
    ~fiber_killed() override;
};

/// Thrown by the second `get` of a move-only result.
struct value_taken : error {
    using error::error;
    ~value_taken() override;
};

/// Thrown by `unlock` when the caller does not hold the lock.
struct not_owner : error {
    using error::error;
    ~not_owner() override;
};

/// Thrown when a greenlet locks what it holds already and would wait for itself: a mutex, or a `call_once` inside its own.
struct self_deadlock : error {
    using error::error;
    ~self_deadlock() override;
};

/// Thrown when what can be set once is set again.
struct already_set : error {
    using error::error;
    ~already_set() override;
};

/// Thrown by `put` on a closed queue or channel, and by `get` on one that is closed and drained.
struct queue_closed : error {
    using error::error;
    ~queue_closed() override;
};

/// Thrown by `task_done` when every item has been reported done already.
struct task_done_too_often : error {
    using error::error;
    ~task_done_too_often() override;
};

/// Thrown by `nursery::spawn` when the nursery is ending its children.
struct nursery_closed : error {
    using error::error;
    ~nursery_closed() override;
};

/// Thrown in `main` when it waits and nothing can ever wake it. The text lists every parked fiber and what it waits
/// on.
struct would_block_forever : error {
    using error::error;
    ~would_block_forever() override;
};

/// Thrown by `explore` when a scenario did not do again what it did before.
struct not_deterministic : error {
    using error::error;
    ~not_deterministic() override;
};

/// Thrown by `assert_switches` when its body kept the hub to itself.
struct did_not_switch : error {
    using error::error;
    ~did_not_switch() override;
};

/// Thrown when a duration is not a number.
struct invalid_duration : error {
    using error::error;
    ~invalid_duration() override;
};

/// Thrown in a fiber at the deadline of a `timeout` scope around it. A scope recognises its own by the serial
/// number, which is never used twice: a stored exception matches no later scope.
class timeout_expired : public std::exception {
public:
    /// `length` is what the scope was armed with; it only appears in the text. Negative counts as 0.
    timeout_expired(std::uint64_t serial, std::chrono::nanoseconds length) noexcept;
    timeout_expired(const timeout_expired&) noexcept = default;
    timeout_expired& operator=(const timeout_expired&) noexcept = default;
    ~timeout_expired() override;

    /// Names the arming of the scope that ran out.
    [[nodiscard]] std::uint64_t serial() const noexcept { return serial_; }

    /// Returns: for instance "timeout of 10 ms expired".
    [[nodiscard]] const char* what() const noexcept override;

private:
    std::uint64_t serial_;
    std::array<char, 48> text_;  // in place, so that copying never throws
};

/// Thrown in a greenlet by a `stop_scope` around it, when a stop is requested of the scope's std::stop_token.
struct stop_requested : std::exception {
    stop_requested() noexcept = default;
    stop_requested(const stop_requested&) noexcept = default;
    stop_requested& operator=(const stop_requested&) noexcept = default;
    ~stop_requested() override;

    /// Returns: "a stop was requested".
    [[nodiscard]] const char* what() const noexcept override;
};

/// Thrown inside a greenlet that is to end: `raise()` without an argument, a kill, or the drop of its last handle.
/// Let it pass, or catch it to clean up and throw it on. Arriving at the end of the greenlet, it (or anything
/// derived from it) ends the greenlet quietly.
struct greenlet_exit {
    greenlet_exit() noexcept = default;
    greenlet_exit(const greenlet_exit&) noexcept = default;
    greenlet_exit& operator=(const greenlet_exit&) noexcept = default;
    virtual ~greenlet_exit();

    /// Returns: "greenlet_exit".
    [[nodiscard]] virtual const char* what() const noexcept;
};

}  // namespace copse
