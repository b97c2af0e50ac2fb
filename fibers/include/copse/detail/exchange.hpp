// What queues and channels have in common: two lines of those who wait, and the calls that wait in them.
//
// A getter and a putter stand in line by a `party`, not by their wait: a select has one wait and a party in several lines.
// Whoever serves a party moves the item first, which may throw, and then completes its wait, which takes all parties of that
// wait out of their lines at once. So a party in a line is always open.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <optional>
#include <utility>

#include <copse/detail/wait.hpp>
#include <copse/error.hpp>

namespace copse::detail {

/// Somebody's place in a line.
struct party : wait_link {
    /// Its item has been moved. Makes its greenlet ready.
    void serve() noexcept {
        served = true;
        complete(*of, cause::satisfied);
    }

    wait* of = nullptr;
    /// How it is told that the queue was closed: takes it out of the line.
    void (*told_closed)(party&) noexcept = [](party& p) noexcept {
        p.closed = true;
        complete(*p.of, cause::timed_out);
    };
    bool served = false;
    bool closed = false;  // the queue was, and may have ended since
};

template <class T>
struct getter : party {
    explicit getter(std::optional<T>& arriving) noexcept : into(arriving) {}
    std::optional<T>& into;
    /// Of those who only look: gives them a copy. Null: it takes the item.
    void (*show)(getter&, const T&) noexcept = nullptr;
};

template <class T>
struct putter : party {
    explicit putter(T& offered) noexcept : item(&offered) {}
    T* item;
};

/// The wait of somebody who stands in one line.
template <class Party>
struct lone final : wait {
    template <class Item>
    lone(const char* kind, const void* object, Item& item) noexcept : wait(kind, object, gain::something), place(item) {
        place.of = this;
        undo = [](wait& w) noexcept { static_cast<lone&>(w).place.unlink(); };
    }
    Party place;
};

/// What a kind of queue is called in messages and dumps, and how it meets.
struct exchange_traits {
    const char* noun;
    const char* put;
    const char* get;
    const char* peek;
    bool rendezvous;  // a call that finds its partner waiting lets it continue first
};

template <class Queue, class Handler>
class get_case;
template <class Queue, class Handler>
class put_case;

[[noreturn]] void throw_closed(const char* noun);
[[noreturn]] void throw_drained(const char* noun);

/// `Derived` has can_give, can_take, give and take: none parks, the latter two change nothing if they throw. Of a rendezvous
/// they are given the caller's own wait, to be completed in its turn; null: the caller goes on at once.
template <class Derived, class T, const exchange_traits& Traits>
class exchange {
public:
    using value_type = T;

    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;

    /// Hands `item` over. It is moved from when somebody or the queue takes it, and not before: whoever is killed, runs out of
    /// time or is told that the queue is closed still has it.
    /// Parks:   while there is no room; on a channel until a getter has taken it.
    /// Throws:  queue_closed; what moving the item throws, nothing having changed then.
    void put(T&& item) {
        put_by(item, [] { return never; });
    }
    void put(const T& item) requires std::copy_constructible<T> { put(T(item)); }

    /// Never parks.
    /// Returns: false if there is no room; on a channel if no getter waits.
    bool try_put(T&& item) {
        require_open();
        return give_now(item, nullptr);
    }
    bool try_put(const T& item) requires std::copy_constructible<T> { return try_put(T(item)); }

    /// Returns: false if nobody took it for `length`. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool put_for(T&& item, std::chrono::duration<Rep, Period> length) {
        return put_by(item, [length] { return deadline_after(length); });
    }
    template <class Rep, class Period>
    bool put_for(const T& item, std::chrono::duration<Rep, Period> length) requires std::copy_constructible<T> {
        return put_for(T(item), length);
    }
    template <class Clock, class Duration>
    bool put_until(T&& item, std::chrono::time_point<Clock, Duration> when) {
        return put_by(item, [when] { return deadline_at(when); });
    }
    template <class Clock, class Duration>
    bool put_until(const T& item, std::chrono::time_point<Clock, Duration> when) requires std::copy_constructible<T> {
        return put_until(T(item), when);
    }

    /// Parks:   while there is nothing.
    /// Throws:  queue_closed when it is closed and drained; what moving the item throws.
    T get() {
        attend();
        if constexpr (!Traits.rendezvous) {
            if (can_take()) return derived().take();
        }
        std::optional<T> item;
        if (get_into(item, [] { return never; }) == outcome::over) throw_drained(Traits.noun);
        return std::move(*item);
    }

    /// Never parks.
    /// Returns: empty if there is nothing; on a channel if no putter waits.
    std::optional<T> try_get() {
        std::optional<T> item;
        take_now(item, nullptr);
        return item;
    }

    /// Returns: empty if nothing came for `length`. A length of 0 gives the others one turn.
    /// Throws:  queue_closed when it is closed and drained.
    template <class Rep, class Period>
    std::optional<T> get_for(std::chrono::duration<Rep, Period> length) {
        return get_by([length] { return deadline_after(length); });
    }
    template <class Clock, class Duration>
    std::optional<T> get_until(std::chrono::time_point<Clock, Duration> when) {
        return get_by([when] { return deadline_at(when); });
    }

    /// No more items. Those inside can still be got; waiting getters and putters get queue_closed, and these keep their items.
    /// Again: nothing.
    void close() noexcept {
        closed_ = true;
        while (party* p = getters_.front()) p->told_closed(*p);
        while (party* p = putters_.front()) p->told_closed(*p);
    }

    bool closed() const noexcept { return closed_; }

    /// Takes items until it is closed and drained.
    class iterator {
    public:
        using value_type = T;
        using difference_type = std::ptrdiff_t;

        explicit iterator(exchange& from) : from_(&from) { ++*this; }
        T& operator*() noexcept { return *item_; }
        iterator& operator++() {
            item_.reset();
            from_->get_into(item_, [] { return never; });
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& i, std::default_sentinel_t /*end*/) noexcept {
            return !i.item_.has_value();
        }

    private:
        exchange* from_;
        std::optional<T> item_;
    };

    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() const noexcept { return {}; }

protected:
    exchange() noexcept = default;
    ~exchange() {
        if (const party* p = getters_.front()) [[unlikely]]
            abort_waited_for(*p->of, Traits.noun);
        if (const party* p = putters_.front()) [[unlikely]]
            abort_waited_for(*p->of, Traits.noun);
    }

    /// Of a wait for an item. The queue may have ended by the time that the caller runs: only this tells how it was.
    enum class outcome : bool { done, over };
    static outcome outcome_of(const party& p) noexcept { return p.closed ? outcome::over : outcome::done; }

    ring<getter<T>> getters_;
    ring<putter<T>> putters_;
    bool closed_ = false;

private:
    template <class Queue, class Handler>
    friend class get_case;
    template <class Queue, class Handler>
    friend class put_case;

    static const char* noun() noexcept { return Traits.noun; }

    Derived& derived() noexcept { return static_cast<Derived&>(*this); }
    const Derived& derived() const noexcept { return static_cast<const Derived&>(*this); }

    void require_open() const {
        if (closed_) throw_closed(Traits.noun);
    }

    bool can_give() const noexcept { return derived().can_give(); }
    bool can_take() const noexcept { return derived().can_take(); }

    bool give_now(T& item, wait* self) {
        if constexpr (Traits.rendezvous) {
            return derived().give(item, self);
        } else {
            return derived().give(item);
        }
    }

    bool take_now(std::optional<T>& into, wait* self) {
        if constexpr (Traits.rendezvous) {
            return derived().take(into, self);
        } else {
            return derived().take(into);
        }
    }

    // At a rendezvous both go through the ready queue, the getter before the putter (rule 98).
    bool give_in_turn(T& item) {
        if constexpr (Traits.rendezvous) {
            if (!can_give()) return false;
            wait w(Traits.put, &derived(), gain::something);
            give_now(item, &w);
            park(w);
            return true;
        } else {
            return give_now(item, nullptr);
        }
    }

    bool take_in_turn(std::optional<T>& into) {
        if constexpr (Traits.rendezvous) {
            if (!can_take()) return false;
            wait w(Traits.get, &derived(), gain::something);
            take_now(into, &w);
            park(w);
            return true;
        } else {
            return take_now(into, nullptr);
        }
    }

    // The clock is only read when it comes to waiting, and what it refuses is refused before anything hangs anywhere.
    template <class Deadline>
    bool put_by(T& item, Deadline deadline) {
        attend();
        require_open();
        if (give_in_turn(item)) return true;
        const std::int64_t until = deadline();
        lone<putter<T>> w(Traits.put, &derived(), item);
        putters_.push_back(w.place);
        if (park(w, until) == cause::satisfied) return true;
        if (w.place.closed) throw_closed(Traits.noun);
        return false;
    }

    template <class Deadline>
    std::optional<T> get_by(Deadline deadline) {
        std::optional<T> item;
        if (get_into(item, deadline) == outcome::over) throw_drained(Traits.noun);
        return item;
    }

    // Leaves `item` empty at the deadline, and when it is closed and drained.
    template <class Deadline>
    outcome get_into(std::optional<T>& item, Deadline deadline) {
        attend();
        if (take_in_turn(item)) return outcome::done;
        if (closed_) return outcome::over;
        const std::int64_t until = deadline();
        lone<getter<T>> w(Traits.get, &derived(), item);
        getters_.push_back(w.place);
        park(w, until);
        return outcome_of(w.place);
    }
};

}  // namespace copse::detail
