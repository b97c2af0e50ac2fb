// Where a priority_queue keeps its items: the greatest first, equal ones in the order in which they came.
//
// Neither a comparison nor a move that throws may lose an item or disturb the order. So items lie still in slots, the heap is
// one of pointers to them, and every comparison is made before anything is changed.
//
// Invariants: entries_[0, count_) is a heap of the slots in use, no child coming before its parent; the entries behind it are
// the free slots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace copse::detail {

template <class T, class Compare>
class stable_heap {
public:
    explicit stable_heap(Compare less) : less_(std::move(less)) {}

    bool empty() const noexcept { return count_ == 0; }
    std::size_t size() const noexcept { return count_; }

    const T& push(T& item) {
        if (count_ == entries_.size()) add_slot();
        std::size_t to = count_;
        while (to != 0 && less_(item_at(parent(to)), std::as_const(item))) to = parent(to);
        const entry made{entries_[count_].slot, ++arrivals_};
        made.slot->emplace(std::move(item));
        for (std::size_t at = count_++; at != to; at = parent(at)) entries_[at] = entries_[parent(at)];
        entries_[to] = made;
        return **made.slot;
    }

    T& next() noexcept { return **entries_[0].slot; }
    const T& next() const noexcept { return item_at(0); }

    /// To be called before `next` is moved from: what is compared must be whole. It may throw, remove_next() does not.
    void prepare_removal() { hole_ = place_without_first(); }
    void remove_next() noexcept { remove_first(hole_); }

    /// Any of them, without a comparison.
    void drop_one() noexcept { end_item(entries_[--count_]); }

private:
    struct entry {
        std::optional<T>* slot;
        std::uint64_t arrival;
    };

    static std::size_t parent(std::size_t at) noexcept { return (at - 1) / 2; }

    const T& item_at(std::size_t at) const noexcept { return **entries_[at].slot; }

    bool comes_before(std::size_t a, std::size_t b) const {
        if (less_(item_at(b), item_at(a))) return true;
        return entries_[a].arrival < entries_[b].arrival && !less_(item_at(a), item_at(b));
    }

    // There is room in entries_ for every slot, also for one that is out of it while its item ends.
    void add_slot() {
        entries_.reserve(slots_.size() + 1 > entries_.capacity() ? 2 * slots_.size() + 8 : 0);
        entries_.push_back({&slots_.emplace_back(), 0});
    }

    // Ends the item of the entry that was at count_. Its destructor may come back to the queue: until it is over the slot is
    // neither in use nor free.
    void end_item(entry gone) noexcept {
        entries_[count_] = entries_.back();
        entries_.pop_back();
        gone.slot->reset();
        entries_.push_back(gone);
    }

    // Where the last entry would come to stand if the first were taken away.
    std::size_t place_without_first() const {
        const std::size_t last = count_ - 1;
        std::size_t at = 0;
        for (std::size_t child = 1; child < last; child = 2 * at + 1) {
            if (child + 1 < last && comes_before(child + 1, child)) ++child;
            if (!comes_before(child, last)) break;
            at = child;
        }
        return at;
    }

    // The last entry moves to `hole`, those on the way up from there one place up, and the first out.
    void remove_first(std::size_t hole) noexcept {
        entry moving = entries_[--count_];
        for (std::size_t at = hole;; at = parent(at)) {
            std::swap(moving, entries_[at]);
            if (at == 0) break;
        }
        end_item(moving);
    }

    std::deque<std::optional<T>> slots_;
    std::vector<entry> entries_;
    std::size_t count_ = 0;
    std::size_t hole_ = 0;  // see prepare_removal
    std::uint64_t arrivals_ = 0;
    [[no_unique_address]] Compare less_;
};

}  // namespace copse::detail
