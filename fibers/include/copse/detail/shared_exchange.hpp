// What the queue and the channel of copse::shared have in common: two lines, and the calls that wait in them.
//
// Whoever serves a waiter moves the item first, under the object's mutex, which may throw, and then claims the waiter. No
// item ends under the mutex: what is left of one that was taken is put aside, and ended when the mutex is free again.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>

#include <copse/detail/shared_wait.hpp>

namespace copse::detail {

[[noreturn]] void throw_closed(const char* noun);
[[noreturn]] void throw_drained(const char* noun);

/// What one of them is called in messages and dumps.
struct shared_exchange_nouns {
    const char* noun;
    const char* put;
    const char* get;
};

template <class T>
struct shared_getter final : shared_wait {
    shared_getter(const char* kind, shared_object& from, std::optional<T>& arriving)
        : shared_wait(kind, from, gain::something), into(arriving) {}
    std::optional<T>& into;
    bool told_closed = false;
};

template <class T>
struct shared_putter final : shared_wait {
    shared_putter(const char* kind, shared_object& to, T& offered)
        : shared_wait(kind, to, gain::something), item(offered) {}
    T& item;
    bool told_closed = false;
};

/// `Derived` has give(item, lock) and take(into, husk, lock), which are called with the mutex held, never park, and change
/// nothing if they throw; and the type `husk` of what is left of an item that was taken, which ends it in its destructor.
template <class Derived, class T, const shared_exchange_nouns& Nouns>
class shared_exchange : public shared_object {
public:
    using value_type = T;

    /// Hands `item` over. It is moved from when somebody or the queue takes it, and not before: whoever is killed, runs out
    /// of time or is told that the queue is closed still has it.
    /// Parks:   while there is no room; on a channel until a getter has taken it.
    /// Throws:  queue_closed; what moving the item throws, nothing having changed then.
    void put(T&& item) {
        put_by(item, [] { return never; });
    }
    void put(const T& item) requires std::copy_constructible<T> { put(T(item)); }

    /// Never parks.
    /// Returns: false if there is no room; on a channel if no getter waits.
    /// Throws:  as put.
    bool try_put(T&& item) { return give_now(item); }
    bool try_put(const T& item) requires std::copy_constructible<T> { return try_put(T(item)); }

    /// Returns: false if nobody took it for `length`. A length of 0 gives the others one turn.
    /// Throws:  as put.
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
    /// Throws:  queue_closed when it is closed and drained; what moving the item throws. If that comes when it is moved to the
    ///          caller, having been taken, the item is gone.
    T get() {
        return std::move(*get_by([] { return never; }));
    }

    /// Never parks.
    /// Returns: empty if there is nothing; on a channel if no putter waits.
    /// Throws:  what moving the item throws, nothing having changed then.
    std::optional<T> try_get() {
        std::optional<T> item;
        take_now(item);
        return item;
    }

    /// Returns: empty if nothing came for `length`. A length of 0 gives the others one turn.
    /// Throws:  as get.
    template <class Rep, class Period>
    std::optional<T> get_for(std::chrono::duration<Rep, Period> length) {
        return get_by([length] { return deadline_after(length); });
    }
    template <class Clock, class Duration>
    std::optional<T> get_until(std::chrono::time_point<Clock, Duration> when) {
        return get_by([when] { return deadline_at(when); });
    }

    /// No more items. Those inside can still be got; waiting getters and putters get queue_closed, and these keep their
    /// items. Again: nothing. Never parks.
    void close() noexcept {
        shared_lock held(*this);
        closed_ = true;
        turn_away(getters_, held);
        turn_away(putters_, held);
    }

    bool closed() const noexcept {
        const guard held(this->mutex_);
        return closed_;
    }

    /// Takes items until it is closed and drained.
    class iterator {
    public:
        using value_type = T;
        using difference_type = std::ptrdiff_t;

        explicit iterator(shared_exchange& from) : from_(&from) { ++*this; }
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
        shared_exchange* from_;
        std::optional<T> item_;
    };

    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() const noexcept { return {}; }

protected:
    shared_exchange() noexcept : shared_object(Nouns.noun) {}
    ~shared_exchange() {
        must_be_empty(getters_);
        must_be_empty(putters_);
    }

    /// With the mutex held: no more items. Those who wait are told by close().
    void mark_closed() noexcept { closed_ = true; }

    // Guarded by the mutex, as is closed_.
    ring<shared_getter<T>> getters_;
    ring<shared_putter<T>> putters_;

private:
    enum class outcome : bool { done, over };

    Derived& derived() noexcept { return static_cast<Derived&>(*this); }

    template <class Line>
    static void turn_away(Line& line, shared_lock& held) noexcept {
        while (auto* const first = line.front()) {
            first->told_closed = true;
            first->claim(held, cause::timed_out);
        }
    }

    bool give_now(T& item) {
        shared_lock held(*this);
        return give(item, held);
    }

    bool give(T& item, shared_lock& held) {
        if (closed_) throw_closed(Nouns.noun);
        return derived().give(item, held);
    }

    bool take_now(std::optional<T>& into) {
        typename Derived::husk left(derived());  // ends after the lock
        shared_lock held(*this);
        return derived().take(into, left, held);
    }

    // The clock is only read when it comes to waiting, and not under the mutex: it may be the user's.
    template <class Deadline>
    bool put_by(T& item, Deadline deadline) {
        attend();
        if (give_now(item)) return true;
        const std::int64_t until = deadline();
        shared_lock held(*this);
        if (give(item, held)) return true;
        shared_putter<T> w(Nouns.put, *this, item);
        putters_.push_back(w);
        if (w.park(held, until) == cause::satisfied) return true;
        if (w.told_closed) throw_closed(Nouns.noun);
        return false;
    }

    template <class Deadline>
    std::optional<T> get_by(Deadline deadline) {
        std::optional<T> item;
        if (get_into(item, deadline) == outcome::over) throw_drained(Nouns.noun);
        return item;
    }

    // Leaves `item` empty at the deadline, and when it is closed and drained.
    template <class Deadline>
    outcome get_into(std::optional<T>& item, Deadline deadline) {
        attend();
        if (take_now(item)) return outcome::done;
        const std::int64_t until = deadline();
        typename Derived::husk left(derived());
        shared_lock held(*this);
        if (derived().take(item, left, held)) return outcome::done;
        if (closed_) return outcome::over;
        shared_getter<T> w(Nouns.get, *this, item);
        getters_.push_back(w);
        w.park(held, until);
        return w.told_closed ? outcome::over : outcome::done;
    }

    bool closed_ = false;
};

}  // namespace copse::detail
