// The queues: an exchange with a store of limited room between putters and getters.
//
// Invariants: getters (and those who peek) wait only while the store is empty, putters only while it is full. So an item that
// comes while getters wait is next in any order of the store, and may be handed over directly.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

#include <copse/detail/exchange.hpp>

namespace copse::detail {

/// Of queues that do not count what is unfinished.
struct no_ledger {
    void came_in() noexcept {}
    void done(std::size_t /*items*/) noexcept {}
};

[[noreturn]] void throw_no_capacity(const char* noun);

template <class Derived, class T, class Store, const exchange_traits& Traits, class Ledger = no_ledger>
class basic_queue : public exchange<Derived, T, Traits> {
    using line_base = exchange<Derived, T, Traits>;

public:
    static constexpr std::size_t unlimited = static_cast<std::size_t>(-1);

    /// Waits as `get` does, and leaves the item where it is. Getters and those who peek stand in one line: whoever peeks sees
    /// the item that the next getter behind it takes, and sees none that a getter before it takes (rule 94).
    /// Parks:   while the queue is empty.
    /// Returns: a copy.
    /// Throws:  queue_closed when it is closed and drained; what copying throws.
    T peek() requires std::copy_constructible<T> {
        return std::move(*peek_by([] { return never; }));
    }

    /// Never parks.
    /// Returns: empty if there is nothing.
    std::optional<T> try_peek() const requires std::copy_constructible<T> {
        if (empty()) return std::nullopt;
        return std::optional<T>(store_.next());
    }

    /// Returns: empty if nothing came for `length`. A length of 0 gives the others one turn.
    /// Throws:  queue_closed when it is closed and drained; what copying throws.
    template <class Rep, class Period>
    std::optional<T> peek_for(std::chrono::duration<Rep, Period> length) requires std::copy_constructible<T> {
        return peek_by([length] { return deadline_after(length); });
    }
    template <class Clock, class Duration>
    std::optional<T> peek_until(std::chrono::time_point<Clock, Duration> when) requires std::copy_constructible<T> {
        return peek_by([when] { return deadline_at(when); });
    }

    /// Closes it and ends the items inside: they are got by nobody. A joinable queue counts them as done (rule 97).
    void close_and_drop() noexcept {
        this->close();
        while (!store_.empty()) {
            store_.drop_one();
            ledger_.done(1);
        }
    }

    std::size_t size() const noexcept { return store_.size(); }
    bool empty() const noexcept { return store_.empty(); }
    bool full() const noexcept { return store_.size() >= capacity_; }
    std::size_t capacity() const noexcept { return capacity_; }

protected:
    template <class... Args>
    explicit basic_queue(std::size_t capacity, Args&&... of_store)
        : store_(std::forward<Args>(of_store)...), capacity_(capacity) {
        if (capacity == 0) throw_no_capacity(Traits.noun);
    }
    ~basic_queue() = default;

    Store store_;
    [[no_unique_address]] Ledger ledger_;

private:
    friend line_base;

    // While an item ends, whose destructor may park, there is room although putters wait: it is theirs.
    bool can_give() const noexcept { return !full() && this->putters_.empty(); }
    bool can_take() const noexcept { return !empty(); }

    bool give(T& item) {
        if (!this->getters_.empty()) {
            hand_over(item);
            return true;
        }
        if (!can_give()) return false;
        store_.push(item);
        ledger_.came_in();
        return true;
    }

    // To the first in line who takes it; those who stand before that one see it on its way. First the move, which may throw.
    void hand_over(T& item) {
        getter<T>* const taker = this->getters_.find([](const getter<T>& g) { return g.show == nullptr; });
        const T& arrived = taker != nullptr ? taker->into.emplace(std::move(item)) : store_.push(item);
        ledger_.came_in();
        for (getter<T>* first = this->getters_.front(); first != taker; first = this->getters_.front())
            first->show(*first, arrived);
        if (taker != nullptr) taker->serve();
    }

    bool take(std::optional<T>& into) {
        if (empty()) return false;
        prepare_removal();
        into.emplace(std::move(store_.next()));
        remove_next();
        return true;
    }

    T take() {
        prepare_removal();
        T item(std::move(store_.next()));
        remove_next();
        return item;
    }

    void prepare_removal() {
        if constexpr (requires { store_.prepare_removal(); }) store_.prepare_removal();
    }

    void remove_next() noexcept {
        store_.remove_next();
        if (!this->putters_.empty()) admit_putter();
    }

    // There is room: the longest waiting putter's item comes in. If it cannot be moved, that is the putter's failure.
    void admit_putter() noexcept {
        while (putter<T>* first = this->putters_.front()) {
            if (full()) return;
            try {
                if (this->getters_.empty()) {
                    store_.push(*first->item);
                    ledger_.came_in();
                } else {
                    hand_over(*first->item);
                }
            } catch (...) {
                fail(*first->of, std::current_exception());
                continue;
            }
            first->serve();
            return;
        }
    }

    template <class Deadline>
    std::optional<T> peek_by(Deadline deadline) {
        attend();
        std::optional<T> seen = try_peek();
        if (seen) return seen;
        if (this->closed_) throw_drained(Traits.noun);
        const std::int64_t until = deadline();
        lone<getter<T>> w(Traits.peek, static_cast<const Derived*>(this), seen);
        w.place.show = [](getter<T>& g, const T& item) noexcept {
            try {
                g.into.emplace(item);
                g.serve();
            } catch (...) {
                fail(*g.of, std::current_exception());
            }
        };
        this->getters_.push_back(w.place);
        park(w, until);
        if (line_base::outcome_of(w.place) == line_base::outcome::over) throw_drained(Traits.noun);
        return seen;
    }

    std::size_t capacity_;
};

}  // namespace copse::detail
