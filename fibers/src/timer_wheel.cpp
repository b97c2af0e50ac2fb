// How timers get from the wheel to the heap and out of it. The invariants are in the header.

#include "timer_wheel.hpp"

#include <bit>
#include <cassert>
#include <utility>

namespace copse::detail {

bool timer_heap::before(const timer& a, const timer& b) noexcept {
    return a.deadline != b.deadline ? a.deadline < b.deadline : a.order < b.order;
}

// Makes the later of two roots the first child of the earlier. The siblings of the one that is returned are for the
// caller to set.
timer* timer_heap::link(timer& a, timer& b) noexcept {
    auto [parent, child] = before(a, b) ? std::pair(&a, &b) : std::pair(&b, &a);
    child->prev_ = parent;
    child->next_ = parent->child_;
    if (parent->child_ != nullptr) parent->child_->prev_ = child;
    parent->child_ = child;
    return parent;
}

// Makes one tree of a list of siblings: in pairs from the left, then all of those from the right. This is what the
// amortised bound rests on.
timer* timer_heap::merge_siblings(timer* first) noexcept {
    timer* pairs = nullptr;  // last one first
    while (first != nullptr) {
        timer* second = first->next_;
        timer* rest = second == nullptr ? nullptr : second->next_;
        timer* winner = second == nullptr ? first : link(*first, *second);
        winner->next_ = std::exchange(pairs, winner);
        first = rest;
    }
    timer* root = nullptr;
    while (pairs != nullptr) {
        timer* rest = pairs->next_;
        root = root == nullptr ? pairs : link(*root, *pairs);
        pairs = rest;
    }
    if (root != nullptr) root->next_ = root->prev_ = nullptr;
    return root;
}

void timer_heap::push(timer& t) noexcept {
    t.next_ = t.prev_ = t.child_ = nullptr;
    root_ = root_ == nullptr ? &t : link(*root_, t);
    root_->next_ = root_->prev_ = nullptr;
}

void timer_heap::remove(timer& t) noexcept {
    timer* orphans = merge_siblings(std::exchange(t.child_, nullptr));
    if (&t == root_) {
        root_ = orphans;
        return;
    }
    (t.prev_->child_ == &t ? t.prev_->child_ : t.prev_->next_) = t.next_;
    if (t.next_ != nullptr) t.next_->prev_ = t.prev_;
    if (orphans != nullptr) link(*root_, *orphans);  // the root stays: it comes before t, and t before them
}

// The next timer when parents come before their children. Every list of siblings is walked once forth and once
// back, so a whole walk is O(n).
timer* timer_heap::successor(timer& t) noexcept {
    timer* at = &t;
    if (at->child_ != nullptr) return at->child_;
    while (at->next_ == nullptr) {
        while (at->prev_ != nullptr && at->prev_->child_ != at) at = at->prev_;
        at = at->prev_;
        if (at == nullptr) return nullptr;
    }
    return at->next_;
}

void timer_wheel::push_front(std::uint32_t list, timer& t) noexcept {
    timer* first = std::exchange(lists_[list], &t);
    if (first != nullptr) first->prev_ = &t;
    t.next_ = first;
    t.prev_ = nullptr;
    t.place_ = list;
}

void timer_wheel::mark_empty(std::uint32_t list) noexcept {
    assert(list >= first_slot && list <= deferred);
    if (list == deferred) return;
    const unsigned level = (list - first_slot) / slots;
    occupied_[level] &= ~(std::uint64_t{1} << (list - first_slot) % slots);
    if (occupied_[level] == 0) levels_ &= ~(1U << level);
}

void timer_wheel::unlink(timer& t) noexcept {
    if (t.next_ != nullptr) t.next_->prev_ = t.prev_;
    if (t.prev_ != nullptr) {
        t.prev_->next_ = t.next_;
        return;
    }
    lists_[t.place_] = t.next_;
    if (t.next_ == nullptr) mark_empty(t.place_);
}

timer* timer_wheel::take_list(std::uint32_t list) noexcept {
    mark_empty(list);
    return std::exchange(lists_[list], nullptr);
}

void timer_wheel::file_in_slot(timer& t, std::int64_t tick) noexcept {
    const auto differing = static_cast<std::uint64_t>(tick ^ horizon_);
    assert(tick > horizon_ && differing != 0);
    const unsigned level = (static_cast<unsigned>(std::bit_width(differing)) - 1) / digit_bits;
    const unsigned index = static_cast<unsigned>(tick >> (level * digit_bits)) % slots;
    occupied_[level] |= std::uint64_t{1} << index;
    levels_ |= 1U << level;
    push_front(first_slot + level * slots + index, t);
}

// Puts a timer that is nowhere where invariants 1 and 2 want it.
void timer_wheel::file(timer& t) noexcept {
    const std::int64_t tick = tick_of(t.deadline);
    if (tick > horizon_) {
        file_in_slot(t, tick);
    } else {
        heap_.push(t);
        t.place_ = in_heap;
    }
}

void timer_wheel::file_all(timer* first) noexcept {
    while (first != nullptr) {
        timer* rest = first->next_;
        file(*first);
        first = rest;
    }
}

void timer_wheel::withdraw(timer& t) noexcept {
    if (t.place_ == in_heap) {
        heap_.remove(t);
    } else {
        unlink(t);
    }
}

void timer_wheel::arm(timer& t, std::int64_t deadline) noexcept {
    if (t.armed()) {
        withdraw(t);
    } else {
        ++size_;
    }
    t.deadline = deadline;
    t.order = next_order_++;
    file(t);
}

void timer_wheel::cancel(timer& t) noexcept {
    if (!t.armed()) return;
    withdraw(t);
    t.place_ = timer::not_armed;
    --size_;
}

// Requires: a slot is occupied.
timer_wheel::slot timer_wheel::earliest_slot() const noexcept {
    const auto level = static_cast<unsigned>(std::countr_zero(levels_));
    const auto index = static_cast<unsigned>(std::countr_zero(occupied_[level]));
    // The digits that the slot shares with the horizon.
    const std::int64_t above = horizon_ >> ((level + 1) * digit_bits);
    return {level, index, ((above << digit_bits) | index) << (level * digit_bits)};
}

// Opens slots that start by `last_tick` until the heap has a timer or there are no more of them.
void timer_wheel::refill(std::int64_t last_tick) noexcept {
    while (heap_.top() == nullptr && levels_ != 0) {
        const slot earliest = earliest_slot();
        if (earliest.start > last_tick) return;
        horizon_ = earliest.start;
        file_all(take_list(first_slot + earliest.level * slots + earliest.index));
    }
}

void timer_wheel::restore_deferred() noexcept { file_all(take_list(deferred)); }

std::int64_t timer_wheel::next_deadline() noexcept {
    restore_deferred();
    refill(INT64_MAX);
    return heap_.top() == nullptr ? never : heap_.top()->deadline;
}

void timer_wheel::begin_batch() noexcept {
    restore_deferred();
    batch_end_ = next_order_;
}

timer* timer_wheel::pop_due(std::int64_t now) noexcept {
    const std::int64_t tick = tick_of(now);
    for (;;) {
        refill(tick);
        timer* t = heap_.top();
        if (t == nullptr) {
            // No slot starts by now, so the horizon may come up to it: timers are then filed on the lowest level
            // they can be.
            if (tick > horizon_) horizon_ = tick;
            return nullptr;
        }
        if (t->deadline > now) return nullptr;
        heap_.remove(*t);
        if (t->order >= batch_end_) {
            push_front(deferred, *t);
            continue;
        }
        t->place_ = timer::not_armed;
        --size_;
        return t;
    }
}

}  // namespace copse::detail
