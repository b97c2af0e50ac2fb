/// Making fibers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <copse/clock.hpp>
#include <copse/fiber_handle.hpp>
#include <copse/source_site.hpp>

namespace copse {

/// How to spawn: `spawn({.name = "reader", .stack_size = 64 * 1024}, f)`.
struct spawn_options {
    std::string name{};          ///< for messages
    std::size_t stack_size = 0;  ///< bytes that can be used, rounded up; 0: `default_stack_size`
    bool start = true;           ///< false: only `fiber::start` makes it ready
    source_site site = source_site::current();
};

namespace detail {

/// Files a fresh fiber: name, stack, site, parent, registry, ready queue. Throws before anything is filed.
void file_fiber(fiber_core& f, const core_ops& ops, const spawn_options* with, source_site site, std::int64_t delay);

template <class R, class Call>
struct fiber_block : result_room<R> {
    union {
        Call call;
    };

    template <class... Args>
    explicit fiber_block(Args&&... args) : call(std::forward<Args>(args)...) {}
    ~fiber_block() {}  // NOLINT(modernize-use-equals-default): the call ends before the block

    static fiber_block& of(core& c) noexcept { return static_cast<fiber_block&>(c); }

    static value run(core& c, value&& /*none*/) {
        fiber_block& self = of(c);
        if constexpr (std::is_void_v<R>) {
            self.invoke();
        } else if constexpr (std::is_reference_v<R>) {
            self.result = &self.invoke();
        } else {
            ::new (static_cast<void*>(&self.result)) R(self.invoke());
        }
        self.has_result = true;
        return {};
    }
    static void drop_callable(core& c) noexcept { of(c).call.~Call(); }
    static void destroy(core& c) noexcept {
        thread_state* owner = c.owner;
        of(c).~fiber_block();
        free_block(&c, sizeof(fiber_block), owner);
    }

    R invoke() {
        return std::apply([](auto& f, auto&... args) -> R { return std::invoke(std::move(f), std::move(args)...); },
                          call);
    }

    static void drop_result(core& c) noexcept { of(c).end_result(); }

    static constexpr core_ops ops{&run, &drop_callable, &destroy, sizeof(fiber_block), &drop_result};
};

template <class F, class... Args>
using invoked = std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>;

/// What is kept of it: an rvalue reference would dangle, so its object is.
template <class F, class... Args>
using fiber_result = std::conditional_t<std::is_rvalue_reference_v<invoked<F, Args...>>,
                                        std::remove_cvref_t<invoked<F, Args...>>, invoked<F, Args...>>;

template <class F, class... Args>
concept fiber_callable = std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>;

template <class F, class... Args>
auto make_fiber(const spawn_options* with, source_site site, std::int64_t delay, F&& f, Args&&... args) {
    using result = fiber_result<F, Args...>;
    using call = std::tuple<std::decay_t<F>, std::decay_t<Args>...>;
    using block_type = fiber_block<result, call>;
    static_assert(alignof(block_type) <= block_alignment,
                  "over-aligned callables, arguments and results must be boxed to be spawned");
    if (is_null(f)) throw_null_callable("spawn");
    block_room room(sizeof(block_type));
    auto* block = ::new (room.get()) block_type(std::forward<F>(f), std::forward<Args>(args)...);
    try {
        file_fiber(*block, block_type::ops, with, site, delay);
    } catch (...) {
        block_type::drop_callable(*block);
        block->~block_type();
        throw;
    }
    room.keep();
    return fiber_access::adopt<result>(handle_access::adopt(*block));
}

}  // namespace detail

/// Makes a fiber that calls `f` with copies of the arguments, and appends it to the ready queue: it never runs before the
/// caller waits (decision 1).
/// Throws:  std::bad_alloc; null_callable; what copying the callable or an argument throws.
/// Cost:    one block of memory; a stack only when it first runs.
template <class F>
    requires(detail::fiber_callable<F>)
auto spawn(F&& f, source_site site = source_site::current()) {
    return detail::make_fiber(nullptr, site, 0, std::forward<F>(f));
}
template <class F, class A>
    requires(detail::fiber_callable<F, A>)
auto spawn(F&& f, A&& a, source_site site = source_site::current()) {
    return detail::make_fiber(nullptr, site, 0, std::forward<F>(f), std::forward<A>(a));
}
template <class F, class A, class B>
    requires(detail::fiber_callable<F, A, B>)
auto spawn(F&& f, A&& a, B&& b, source_site site = source_site::current()) {
    return detail::make_fiber(nullptr, site, 0, std::forward<F>(f), std::forward<A>(a), std::forward<B>(b));
}
// With more arguments there is no room for a defaulted site behind them: give it in the options.
template <class F, class A, class B, class C, class... More>
    requires(detail::fiber_callable<F, A, B, C, More...>)
auto spawn(F&& f, A&& a, B&& b, C&& c, More&&... more) {
    return detail::make_fiber(nullptr, source_site(), 0, std::forward<F>(f), std::forward<A>(a), std::forward<B>(b),
                              std::forward<C>(c), std::forward<More>(more)...);
}

/// The same with a name, a stack size.
/// Throws:  std::invalid_argument for a stack size beyond `maximum_stack_size`.
template <class F, class... Args>
    requires(detail::fiber_callable<F, Args...>)
auto spawn(const spawn_options& with, F&& f, Args&&... args) {
    return detail::make_fiber(&with, with.site, with.start ? 0 : detail::never, std::forward<F>(f),
                              std::forward<Args>(args)...);
}

/// The fiber becomes ready when `length` is over; a kill before that ends it unstarted.
template <class Rep, class Period, class F>
    requires(detail::fiber_callable<F>)
auto spawn_after(std::chrono::duration<Rep, Period> length, F&& f, source_site site = source_site::current()) {
    return detail::make_fiber(nullptr, site, detail::length_of(length), std::forward<F>(f));
}
template <class Rep, class Period, class F, class A, class... More>
    requires(detail::fiber_callable<F, A, More...>)
auto spawn_after(std::chrono::duration<Rep, Period> length, F&& f, A&& a, More&&... more) {
    return detail::make_fiber(nullptr, source_site(), detail::length_of(length), std::forward<F>(f), std::forward<A>(a),
                              std::forward<More>(more)...);
}

/// The fiber becomes ready at `when`, or at once if that has passed.
template <class Clock, class Duration, class F, class... Args>
    requires(detail::fiber_callable<F, Args...>)
auto spawn_at(std::chrono::time_point<Clock, Duration> when, F&& f, Args&&... args) {
    return detail::make_fiber(nullptr, source_site(), detail::length_until(when), std::forward<F>(f),
                              std::forward<Args>(args)...);
}

}  // namespace copse
