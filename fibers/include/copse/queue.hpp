/// A bounded queue between fibers of one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <utility>

#include <copse/detail/wait.hpp>
#include <copse/error.hpp>

namespace copse {

/// First in, first out, with a limit. Items go straight to the longest waiting getter, and room to the longest waiting putter
/// (decision 3): nothing is lost or overtaken, whoever is killed meanwhile.
///
///     copse::queue<int> numbers(16);
///     copse::spawn([&] { for (int i = 0; i < 3; ++i) numbers.put(i); numbers.close(); });
///     for (int n : numbers) std::cout << n << '\n';
///
/// Owner thread only. Ending it while fibers wait aborts with a message.
/// Cost:    an item that nobody waits for a few nanoseconds; a hand-over about 20.
template <class T>
class queue {
public:
    static constexpr std::size_t unlimited = static_cast<std::size_t>(-1);

    /// Throws:  std::invalid_argument for a capacity of 0: that would be a channel.
    explicit queue(std::size_t capacity) : capacity_(capacity) {
        if (capacity == 0) throw std::invalid_argument("queue: a capacity of 0 holds nothing; use a channel");
    }
    queue(const queue&) = delete;
    queue& operator=(const queue&) = delete;
    ~queue() {
        detail::must_not_be_waited_for(getters_, "queue");
        detail::must_not_be_waited_for(putters_, "queue");
    }

    /// Parks:   while the queue is full.
    /// Throws:  queue_closed; what moving the item throws, the queue being unchanged then.
    void put(T item) {
        put_by(item, [] { return detail::never; });
    }

    /// Never parks.
    /// Returns: false if the queue is full.
    bool try_put(T item) {
        require_open();
        return put_now(item);
    }

    /// Returns: false if it stayed full for `length`. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool put_for(T item, std::chrono::duration<Rep, Period> length) {
        return put_by(item, [length] { return detail::deadline_after(length); });
    }

    /// Parks:   while the queue is empty.
    /// Throws:  queue_closed when it is closed and drained.
    T get() {
        std::optional<T> item = get_by([] { return detail::never; });
        if (!item) throw queue_closed("get: the queue is closed and drained");
        return std::move(*item);
    }

    /// Never parks.
    /// Returns: empty if there is nothing.
    std::optional<T> try_get() {
        std::optional<T> item;
        take_now(item);
        return item;
    }

    /// Returns: empty if nothing came for `length`. A length of 0 gives the others one turn.
    /// Throws:  queue_closed when it is closed and drained.
    template <class Rep, class Period>
    std::optional<T> get_for(std::chrono::duration<Rep, Period> length) {
        std::optional<T> item = get_by([length] { return detail::deadline_after(length); });
        if (!item && closed_) throw queue_closed("get: the queue is closed and drained");
        return item;
    }

    /// No more items. Those inside can still be got; waiting getters and putters get queue_closed. Again: nothing.
    void close() noexcept {
        closed_ = true;
        while (detail::wait* w = getters_.front()) detail::complete(*w, detail::cause::timed_out);
        while (detail::wait* w = putters_.front()) detail::complete(*w, detail::cause::timed_out);
    }

    bool closed() const noexcept { return closed_; }
    std::size_t size() const noexcept { return items_.size(); }
    bool empty() const noexcept { return items_.empty(); }
    bool full() const noexcept { return items_.size() >= capacity_; }
    std::size_t capacity() const noexcept { return capacity_; }

    /// Takes items until the queue is closed and drained.
    class iterator {
    public:
        using value_type = T;
        using difference_type = std::ptrdiff_t;

        explicit iterator(queue& from) : from_(&from) { ++*this; }
        T& operator*() noexcept { return *item_; }
        iterator& operator++() {
            item_ = from_->get_by([] { return detail::never; });
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& i, std::default_sentinel_t /*end*/) noexcept {
            return !i.item_.has_value();
        }

    private:
        queue* from_;
        std::optional<T> item_;
    };

    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    // A getter's item arrives in `item`; a putter's is taken from there.
    struct side final : detail::wait {
        side(const char* kind, const queue& q, std::optional<T>& slot) noexcept
            : wait(kind, &q, detail::gain::something), item(slot) {}
        std::optional<T>& item;
    };

    void require_open() const {
        if (closed_) throw queue_closed("put: the queue is closed");
    }

    bool put_now(T& item) {
        if (auto* getter = static_cast<side*>(getters_.front())) {
            getter->item.emplace(std::move(item));
            detail::complete(*getter, detail::cause::satisfied);
            return true;
        }
        if (full()) return false;
        items_.push_back(std::move(item));
        return true;
    }

    void take_now(std::optional<T>& into) {
        if (items_.empty()) return;
        into.emplace(std::move(items_.front()));
        items_.pop_front();
        admit_putter();
    }

    // There is room: the longest waiting putter's item comes in. If it cannot be moved, that is the putter's failure.
    void admit_putter() noexcept {
        while (auto* putter = static_cast<side*>(putters_.front())) {
            try {
                items_.push_back(std::move(*putter->item));
                detail::complete(*putter, detail::cause::satisfied);
                return;
            } catch (...) {
                detail::fail(*putter, std::current_exception());
            }
        }
    }

    template <class Deadline>
    bool put_by(T& item, Deadline deadline) {
        detail::attend();
        require_open();
        if (put_now(item)) return true;
        const std::int64_t until = deadline();
        std::optional<T> offered(std::move(item));
        side w("queue put", *this, offered);
        putters_.push_back(w);
        if (detail::park(w, until) == detail::cause::satisfied) return true;
        require_open();
        return false;
    }

    template <class Deadline>
    std::optional<T> get_by(Deadline deadline) {
        detail::attend();
        std::optional<T> item;
        take_now(item);
        if (item || closed_) return item;
        const std::int64_t until = deadline();
        side w("queue get", *this, item);
        getters_.push_back(w);
        detail::park(w, until);
        return item;
    }

    std::deque<T> items_;
    std::size_t capacity_;
    bool closed_ = false;
    detail::wait_list getters_;
    detail::wait_list putters_;
};

}  // namespace copse
