/// Handles on fibers.
///
/// Unless a line says otherwise a function does not park, is called on the thread that spawned the fiber (else it throws
/// `wrong_thread`), and throws `empty_handle` through an empty handle.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <copse/detail/fiber_access.hpp>
#include <copse/detail/fiber_core.hpp>
#include <copse/detail/result.hpp>
#include <copse/greenlet.hpp>
#include <copse/link.hpp>

namespace copse {

namespace detail {
struct watch_access;
}  // namespace detail

/// What is common to fibers of every result: a shared handle. Dropping it does not stop the fiber.
/// Copying, comparing and dropping handles is safe on every thread.
class any_fiber : public detail::link_forms<any_fiber> {
public:
    constexpr any_fiber() noexcept = default;

    bool empty() const noexcept { return handle_.empty(); }
    explicit operator bool() const noexcept { return !empty(); }
    friend bool operator==(const any_fiber& a, const any_fiber& b) noexcept { return a.handle_ == b.handle_; }

    /// Waits until the fiber has finished. Acquires nothing.
    /// Parks:   unless it has.
    /// Throws:  would_block_forever (in main); what is raised into the caller.
    void join() const { join_by(detail::never); }

    /// Returns: whether it has finished. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool join_for(std::chrono::duration<Rep, Period> length) const {
        return join_by(detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool join_until(std::chrono::time_point<Clock, Duration> when) const {
        return join_by(detail::deadline_at(when));
    }

    /// Throws `greenlet_exit` in the fiber at its current wait, or at its next one while it runs, unwinds or is shielded; one
    /// that has not started never will. Then waits until it has finished. Once asked for, further kills change nothing
    /// until its clean-up is over (decision 4). On the caller's own fiber: throws here. A destructor that waits at the ordinary
    /// end of a scope is such a wait too, and what is thrown in a destructor ends the program: let it hold a `shield`.
    /// Parks:   unless it has finished.
    void kill() const { kill_by(nullptr, detail::never); }

    /// The same with another exception, which then counts as the fiber's failure.
    void kill(std::exception_ptr exception) const { kill_by(std::move(exception), detail::never); }

    /// Returns: whether it has finished by then. The kill stays asked for.
    template <class Rep, class Period>
    bool kill_for(std::chrono::duration<Rep, Period> length) const {
        return kill_by(nullptr, detail::deadline_after(length));
    }

    /// Makes ready what was spawned with `start = false`, or for later, right away. On any other it does nothing, also when it
    /// has finished. One that is never started is kept, unstarted, until its thread ends.
    void start() const;

    /// Asks for the kill and does not wait.
    void request_kill() const { request_kill(nullptr); }
    void request_kill(std::exception_ptr exception) const;

    /// Has finished, in whatever way.
    bool ready() const;
    /// Has finished and `get` returns a value.
    bool successful() const;
    /// Has been ended by greenlet_exit.
    bool killed() const;

    /// What escaped from it; null if nothing did, or not yet. Looking counts as observing: the failure is then not given to
    /// the error handler (decision 5).
    std::exception_ptr exception() const;

    std::string name() const { return handle_.name(); }
    void set_name(std::string_view name) const { handle_.set_name(name); }
    std::uint64_t id() const { return handle_.id(); }

    /// The greenlet that it runs in.
    const greenlet& underlying() const noexcept { return handle_; }

protected:
    explicit any_fiber(greenlet handle) noexcept : handle_(std::move(handle)) {}

    friend struct detail::fiber_access;
    friend struct detail::watch_access;

    bool join_by(std::int64_t deadline) const;
    bool watch(detail::observer& o) const;
    bool kill_by(std::exception_ptr exception, std::int64_t deadline) const;

    /// Joins; then throws its exception, or fiber_killed. False at the deadline.
    bool settle_by(std::int64_t deadline) const;
    detail::fiber_core& block(const char* operation) const;

    greenlet handle_;
};

namespace detail {

inline fiber_core& fiber_access::block(const any_fiber& f, const char* operation) { return f.block(operation); }

/// Where a result stays until the last handle goes.
template <class R>
struct result_room : fiber_core {
    using stored = kept<R>;
    union {
        stored result;
    };
    result_room() noexcept {}
    ~result_room() { end_result(); }

    void end_result() noexcept {
        if (!has_result) return;
        has_result = false;
        result.~stored();
    }
};

template <>
struct result_room<void> : fiber_core {
    void end_result() noexcept {}
};

}  // namespace detail

/// A handle on a fiber that returns an R.
///
///     auto a = copse::spawn([] { copse::sleep(2s); return 1; });
///     auto b = copse::spawn({.name = "b"}, [](int x) { copse::sleep(1s); return x; }, 41);
///     copse::join_all(a, b);            // 2 s, not 3
///     int sum = a.get() + b.get();
///
/// States: unstarted, ready, running, parked; then finished for ever: successful, failed or killed.
template <class R>
class fiber : public any_fiber, public detail::link_forms<fiber<R>> {
public:
    constexpr fiber() noexcept = default;

    /// Waits for the result. It stays with the fiber: every call returns a copy; a move-only result is moved out once.
    /// Parks:   unless the fiber has finished.
    /// Throws:  what the fiber threw, the same object every time; fiber_killed; value_taken on the second call for a move-only
    ///          result; would_block_forever (in main); what is raised into the caller.
    R get() const {
        settle_by(detail::never);
        return result();
    }

    /// Returns: empty if it had not finished in time. For void: whether it had.
    template <class Rep, class Period>
    auto get_for(std::chrono::duration<Rep, Period> length) const {
        return get_by(detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    auto get_until(std::chrono::time_point<Clock, Duration> when) const {
        return get_by(detail::deadline_at(when));
    }

    // As any_fiber's, but called with a `fiber<R>`.
    using detail::link_forms<fiber>::link;
    using detail::link_forms<fiber>::link_value;
    using detail::link_forms<fiber>::link_exception;
    using detail::link_forms<fiber>::link_raw;

private:
    friend struct detail::fiber_access;
    explicit fiber(greenlet handle) noexcept : any_fiber(std::move(handle)) {}

    auto get_by(std::int64_t deadline) const {
        return detail::give_if<R>(settle_by(deadline), [this]() -> R { return result(); });
    }

    R result() const {
        if constexpr (!std::is_void_v<R>) {
            auto& room = static_cast<detail::result_room<R>&>(block("get"));
            return detail::give<R>(
                room.result,
                [&] {
                    if (room.marked(detail::mark_taken))
                        throw value_taken("get: the result of " + to_string(handle_) + " was taken already");
                },
                [&] { room.marks |= detail::mark_taken; });
        }
    }
};

}  // namespace copse
