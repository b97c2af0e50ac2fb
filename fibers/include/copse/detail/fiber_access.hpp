// What the rest of the library does with handles on fibers that users cannot.
#pragma once

#include <utility>

#include <copse/detail/fiber_core.hpp>
#include <copse/detail/handle_access.hpp>

namespace copse {

class any_fiber;
template <class R>
class fiber;

namespace detail {

struct fiber_access {
    template <class R>
    static fiber<R> adopt(greenlet handle) noexcept {
        return fiber<R>(std::move(handle));
    }
    template <class Handle = any_fiber>
    static Handle share(fiber_core& f) noexcept {
        return Handle(handle_access::share(f));
    }
    static fiber_core& block(const any_fiber& f, const char* operation);

    /// Of one that has returned: without a wait, so also in the hub.
    template <class R>
    static R result(const fiber<R>& f) {
        return f.result();
    }
};

}  // namespace detail
}  // namespace copse
