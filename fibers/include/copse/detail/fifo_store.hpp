// Where a queue keeps its items: first in, first out.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <type_traits>
#include <utility>

namespace copse::detail {

/// Like every store: if a call throws, nothing has changed. Moves no item but those that come and go: theirs may throw.
template <class T>
class fifo_store {
public:
    bool empty() const noexcept { return items_.empty(); }
    std::size_t size() const noexcept { return items_.size(); }

    /// Moves `item` in; says where it lies until the next push.
    const T& push(T& item) { return items_.emplace_back(std::move(item)); }

    /// What would be taken. It may be moved from if it is removed then.
    T& next() noexcept { return items_.front(); }
    const T& next() const noexcept { return items_.front(); }

    /// Its destructor, as all of a store's items', may come back to the queue: the item is out before it runs.
    void remove_next() noexcept {
        std::list<T> removed;
        removed.splice(removed.begin(), items_, items_.begin());
    }
    void drop_one() noexcept { remove_next(); }

private:
    std::list<T> items_;  // a deque would end the item in its place
};

/// The same for items whose moves never throw: a ring that doubles when it is full, and keeps its memory. An item costs no
/// allocation then, where a deque makes one every few.
template <class T>
    requires std::is_nothrow_move_constructible_v<T>
class fifo_store<T> {
public:
    fifo_store() noexcept = default;
    fifo_store(const fifo_store&) = delete;
    fifo_store& operator=(const fifo_store&) = delete;
    ~fifo_store() {
        while (size_ != 0) remove_next();
        release(slots_, room_);
    }

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }

    const T& push(T& item) {
        if (size_ == room_) grow();
        T* const made = std::construct_at(at(size_), std::move(item));
        ++size_;
        return *made;
    }

    T& next() noexcept { return *at(0); }
    const T& next() const noexcept { return *at(0); }

    void remove_next() noexcept {
        T* const removed = at(0);
        ++first_;
        --size_;
        std::destroy_at(removed);  // last: it may run code of the user's
    }

    void drop_one() noexcept { remove_next(); }

    /// The other end, for who takes the newest first.
    T& last() noexcept { return *at(size_ - 1); }
    const T& last() const noexcept { return *at(size_ - 1); }
    void remove_last() noexcept {
        T* const removed = at(size_ - 1);
        --size_;
        std::destroy_at(removed);
    }

private:
    // `first_` counts on and on; `room_` is a power of two, or 0 at first.
    T* at(std::size_t nth) const noexcept { return slots_ + ((first_ + nth) & (room_ - 1)); }

    void grow() {
        const std::size_t room = room_ == 0 ? 8 : 2 * room_;
        T* const slots = std::allocator<T>().allocate(room);
        for (std::size_t i = 0; i < size_; ++i) std::construct_at(slots + i, std::move(*at(i)));
        for (std::size_t i = 0; i < size_; ++i) std::destroy_at(at(i));
        release(std::exchange(slots_, slots), std::exchange(room_, room));
        first_ = 0;
    }

    static void release(T* slots, std::size_t room) noexcept {
        if (slots != nullptr) std::allocator<T>().deallocate(slots, room);
    }

    T* slots_ = nullptr;
    std::size_t room_ = 0;
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

}  // namespace copse::detail
