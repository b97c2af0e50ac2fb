#pragma once

// The timers of one hub: exact like a heap, at the price of a wheel.
//
// Time is cut into ticks of 2^20 ns. `horizon_` is a tick, and these hold between any two calls:
//
//   1. A timer due in a tick <= horizon_ is in the heap, a later one in a slot of the wheel. (Or, for the rest of a
//      batch, in the list of the deferred.) So whatever is in the heap comes before whatever is in the wheel.
//   2. Read as numbers to the base 64, the tick of a timer in the wheel and the horizon differ first, from the
//      left, in the digit that is the timer's level, and there the timer's is the greater. That digit is its slot.
//      So a lower level comes before a higher one, and within a level a lower slot before a higher one: the
//      earliest slot is two bit scans away.
//   3. A bit of `occupied_` is set exactly when its slot is not empty, a bit of `levels_` exactly when its level
//      is not.
//
// Opening the earliest slot moves the horizon to the slot's first tick and files its timers anew: to lower levels,
// or to the heap. By 2 that leaves every other slot right. It happens only when the heap has run dry, so a timer
// that is cancelled in time, as most are, is never sorted. Eight levels span the clock: no deadline is too far.
//
// The heap is a pairing heap threaded through the timers, so nothing here allocates and nothing can fail. Arming
// into it costs one comparison; that matters because looking for the next deadline of an idle hub moves the horizon
// far ahead, and what is armed for less then goes to the heap.

#include <copse/detail/timer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace copse::detail {

/// A pairing heap of timers, earliest (deadline, order) on top. Push O(1), removal O(log n) amortised, nothing
/// recursive.
class timer_heap {
public:
    [[nodiscard]] timer* top() const noexcept { return root_; }

    void push(timer& t) noexcept;
    void remove(timer& t) noexcept;

    /// Calls `visit` for every timer, parents first.
    template <class Visitor>
    void for_each(Visitor& visit) const {
        for (timer* t = root_; t != nullptr; t = successor(*t)) visit(*t);
    }

private:
    [[nodiscard]] static bool before(const timer& a, const timer& b) noexcept;
    static timer* link(timer& a, timer& b) noexcept;
    static timer* merge_siblings(timer* first) noexcept;
    static timer* successor(timer& t) noexcept;

    timer* root_ = nullptr;
};

/// Owned and used by one hub, on its thread. Owns no timer. Deadlines are exact, nothing is handed out early, and
/// due timers come in order of (deadline, order of arming). Nothing throws.
///
///     wheel.begin_batch();
///     while (timer* t = wheel.pop_due(now)) t->fire(*t);
///     sleep_until(wheel.next_deadline());
class timer_wheel {
public:
    static constexpr std::int64_t never = INT64_MAX;

    timer_wheel() = default;
    timer_wheel(const timer_wheel&) = delete;
    timer_wheel& operator=(const timer_wheel&) = delete;

    /// Arms `t`, again if it was armed: it then counts as armed last. The deadline may be past.
    /// Cost:    a few nanoseconds.
    void arm(timer& t, std::int64_t deadline) noexcept;

    /// After:   not armed, and not handed out any more, also by a batch that is under way.
    /// Cost:    a few nanoseconds for a timer that is not near; O(log n) amortised otherwise.
    void cancel(timer& t) noexcept;

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Returns: the earliest deadline, `never` if there is none. Not const, because it may open slots to find out.
    [[nodiscard]] std::int64_t next_deadline() noexcept;

    /// Only timers armed so far will be handed out, until the next call: one that arms itself for now in its
    /// callback waits for the next batch, and cannot keep the others waiting. Before the first call there is no
    /// such limit. A batch may be left unfinished.
    void begin_batch() noexcept;

    /// Returns: the earliest timer of the batch that is due at `now`, disarmed; null if there is none.
    [[nodiscard]] timer* pop_due(std::int64_t now) noexcept;

    /// Calls `visit(const timer&)` for every armed timer, in no particular order. `visit` must not arm or cancel.
    template <class Visitor>
    void for_each(Visitor&& visit) const {
        const auto visit_const = [&visit](const timer& t) { visit(t); };
        heap_.for_each(visit_const);
        for (const timer* first : lists_) {
            for (const timer* t = first; t != nullptr; t = t->next_) visit(*t);
        }
    }

private:
    static constexpr unsigned tick_bits = 20;
    static constexpr unsigned digit_bits = 6;
    static constexpr unsigned slots = 1U << digit_bits;
    static constexpr unsigned levels = 8;
    static_assert(tick_bits + levels * digit_bits >= 63, "every deadline has a level");

    // Numbers of lists, as a timer's place_. Number 0 is no list: it stands for not_armed.
    static constexpr std::uint32_t first_slot = 1;
    static constexpr std::uint32_t deferred = first_slot + levels * slots;
    static constexpr std::uint32_t list_count = deferred + 1;
    static constexpr std::uint32_t in_heap = list_count;

    struct slot {
        unsigned level;      // 0 ... levels - 1
        unsigned index;      // 0 ... slots - 1
        std::int64_t start;  // its first tick
    };

    // Rounds down, below 0 too.
    static constexpr std::int64_t tick_of(std::int64_t deadline) noexcept { return deadline >> tick_bits; }

    void file(timer& t) noexcept;
    void file_in_slot(timer& t, std::int64_t tick) noexcept;
    void withdraw(timer& t) noexcept;
    void push_front(std::uint32_t list, timer& t) noexcept;
    void unlink(timer& t) noexcept;
    timer* take_list(std::uint32_t list) noexcept;
    void mark_empty(std::uint32_t list) noexcept;
    void file_all(timer* first) noexcept;
    [[nodiscard]] slot earliest_slot() const noexcept;
    void refill(std::int64_t last_tick) noexcept;
    void restore_deferred() noexcept;

    std::int64_t horizon_ = 0;              // a tick, never negative, never goes back
    std::uint64_t next_order_ = 0;          // of the next arming
    std::uint64_t batch_end_ = UINT64_MAX;  // timers of the batch have a smaller order
    std::size_t size_ = 0;                  // all that are armed, deferred ones included
    timer_heap heap_;
    std::uint32_t levels_ = 0;                      // bit n: some slot of level n is occupied
    std::array<std::uint64_t, levels> occupied_{};  // bit n: slot n of the level is not empty
    std::array<timer*, list_count> lists_{};        // first elements
};

}  // namespace copse::detail
