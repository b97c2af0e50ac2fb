#pragma once
/// Calls an operation from below two frames that stay frames, as it happens in a program: returning through them after
/// a switch is part of what a switch costs.

#include "bench.hpp"

namespace bench {

template <class Operation>
[[gnu::noinline]] void inner_frame() {
    Operation::run();
    clobber();  // no tail call
}

template <class Operation>
[[gnu::noinline]] void outer_frame() {
    inner_frame<Operation>();
    clobber();
}

/// Everybody's loop, the measuring fiber's too: the CPU guesses where a return goes from who ran before.
template <class Yield>
[[gnu::noinline]] void yield_laps(std::size_t laps, std::size_t& count) {
    for (; laps > 0; --laps) {
        outer_frame<Yield>();
        ++count;
    }
}

/// Nanoseconds per yield among `fibers` fibers, the calling one included. All others must be ready to run
/// `yield_laps<Yield>(for_ever, others)`.
constexpr std::size_t for_ever = std::numeric_limits<std::size_t>::max();

template <class Yield>
double ns_per_yield(std::size_t fibers, const std::size_t& others) {
    const std::size_t laps = std::max<std::size_t>(1, (settings().quick ? 100'000 : 200'000) / fibers);
    std::size_t own = 0;
    const double result = ns_per_op(laps * fibers, [&] { yield_laps<Yield>(laps, own); });
    const std::size_t expected = own * (fibers - 1);
    require(others + fibers >= expected && others <= expected + fibers, "every fiber yielded in turn");
    return result;
}

}  // namespace bench
