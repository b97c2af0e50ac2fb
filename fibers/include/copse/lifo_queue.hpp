/// A bounded queue between fibers of one thread that gives the newest item first.
#pragma once

#include <cstddef>
#include <iterator>
#include <list>
#include <type_traits>
#include <utility>

#include <copse/detail/basic_queue.hpp>
#include <copse/detail/fifo_store.hpp>

namespace copse {

namespace detail {

inline constexpr exchange_traits lifo_queue_traits{"lifo_queue", "lifo_queue put", "lifo_queue get", "lifo_queue peek",
                                                   false};

/// A deque, not a vector: items whose moves may throw must not be moved again by growth.
template <class T>
class lifo_store {
public:
    bool empty() const noexcept { return items_.empty(); }
    std::size_t size() const noexcept { return items_.size(); }
    const T& push(T& item) { return items_.emplace_back(std::move(item)); }
    T& next() noexcept { return items_.back(); }
    const T& next() const noexcept { return items_.back(); }
    void remove_next() noexcept {
        std::list<T> removed;
        removed.splice(removed.begin(), items_, std::prev(items_.end()));
    }
    void drop_one() noexcept { remove_next(); }

private:
    std::list<T> items_;
};

template <class T>
    requires std::is_nothrow_move_constructible_v<T>
class lifo_store<T> {
public:
    bool empty() const noexcept { return items_.empty(); }
    std::size_t size() const noexcept { return items_.size(); }
    const T& push(T& item) { return items_.push(item); }
    T& next() noexcept { return items_.last(); }
    const T& next() const noexcept { return items_.last(); }
    void remove_next() noexcept { items_.remove_last(); }
    void drop_one() noexcept { remove_next(); }

private:
    fifo_store<T> items_;
};

}  // namespace detail

/// A queue that gives the item that came in last. A putter that finds it full waits outside: its item is younger than those
/// inside only once it has come in. Getters and putters are served in the order in which they came.
///
/// In everything else as queue. Owner thread only.
template <class T>
class lifo_queue : public detail::basic_queue<lifo_queue<T>, T, detail::lifo_store<T>, detail::lifo_queue_traits> {
public:
    /// `capacity` in items; `unlimited` for none.
    /// Throws:  std::invalid_argument for a capacity of 0.
    explicit lifo_queue(std::size_t capacity) : lifo_queue::basic_queue(capacity) {}
};

}  // namespace copse
