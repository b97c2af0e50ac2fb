#pragma once

#include <cstdint>

namespace copse::detail {

/// One entry of a hub's timer wheel. It lies inside the wait or the scope that it wakes, often on a fiber's stack,
/// so arming it allocates nothing.
///
/// Rules: it stays where it is while it is armed, and is cancelled before it ends.
struct timer {
    timer() = default;
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;

    /// Whether it waits in a wheel. False as soon as the wheel hands it out, so inside `fire` too.
    [[nodiscard]] bool armed() const noexcept { return place_ != not_armed; }

    /// What the hub calls when the time has come. It may arm this timer again, arm and cancel others, and end this
    /// one.
    void (*fire)(timer&) = nullptr;

    std::int64_t deadline = 0;  ///< Nanoseconds on the hub's clock. Written by the wheel; keeps its last value.
    std::uint64_t order = 0;    ///< Which arming of the wheel this was. Decides between equal deadlines.

private:
    friend class timer_heap;
    friend class timer_wheel;

    static constexpr std::uint32_t not_armed = 0;

    timer* next_ = nullptr;  // in a slot, or the next sibling in the heap
    timer* prev_ =
        nullptr;  // in a slot (null for the first); in the heap the previous sibling, for the first one the parent
    timer* child_ = nullptr;           // first child in the heap; null elsewhere
    std::uint32_t place_ = not_armed;  // not_armed, in the heap, or the number of a list: see timer_wheel.hpp
};

}  // namespace copse::detail
