/// Fibers that end with their scope.
#pragma once

#include <exception>
#include <utility>

#include <copse/fiber.hpp>

namespace copse {

namespace detail {
void leave_scope_of(const any_fiber& f, bool unwinding);
}  // namespace detail

/// Holds a fiber until the end of the scope: there it is joined; if the scope is left by an exception, it is killed and
/// waited for (gevent's context manager).
///
///     const copse::scoped_fiber heartbeat(copse::spawn(beat));
///
/// Killed or timed out while it joins, it kills the fiber, waits for it, shielded, and throws on: so the destructor may
/// throw, and this is for local variables, not for containers. A failure of the fiber is told as that of any fiber
/// (decision 5). Move-only; empty when moved from or released.
template <class R>
class scoped_fiber {
public:
    scoped_fiber() noexcept = default;
    explicit scoped_fiber(fiber<R> f) noexcept : held_(std::move(f)) {}
    scoped_fiber(scoped_fiber&& other) noexcept : held_(other.release()) {}
    scoped_fiber(const scoped_fiber&) = delete;
    scoped_fiber& operator=(const scoped_fiber&) = delete;

    /// Leaves the scope of its own fiber first, then takes the other's.
    scoped_fiber& operator=(scoped_fiber&& other) noexcept(false) {
        if (this == &other) return *this;
        leave();
        held_ = other.release();
        return *this;
    }

    /// Parks:   unless the fiber has finished.
    /// Throws:  what is raised into the caller; would_block_forever (in main). Not while unwinding.
    ~scoped_fiber() noexcept(false) { leave(); }

    const fiber<R>& get() const noexcept { return held_; }
    const fiber<R>& operator*() const noexcept { return held_; }
    const fiber<R>* operator->() const noexcept { return &held_; }

    /// The fiber no longer ends with the scope.
    fiber<R> release() noexcept { return std::exchange(held_, fiber<R>()); }

private:
    void leave() {
        const fiber<R> leaving = release();
        if (!leaving.empty()) detail::leave_scope_of(leaving, std::uncaught_exceptions() > exceptions_);
    }

    fiber<R> held_;
    int exceptions_ = std::uncaught_exceptions();
};

}  // namespace copse
