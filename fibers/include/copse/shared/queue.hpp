/// A bounded queue between the fibers of several threads.
#pragma once

#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <copse/detail/shared_exchange.hpp>
#include <copse/detail/shared_store.hpp>

namespace copse {

namespace detail {
inline constexpr shared_exchange_nouns shared_queue_nouns{"shared queue", "shared queue put", "shared queue get"};
[[noreturn]] void throw_no_capacity(const char* noun);
}  // namespace detail

namespace shared {

/// First in, first out, with a limit. Items go straight to the longest waiting getter of all threads, and room to the
/// longest waiting putter (decision 3): nothing is lost, doubled or overtaken, whoever is killed or runs out of time
/// meanwhile.
///
///     copse::shared::queue<job> jobs(64);
///     copse::workers others(4, [&](std::size_t) { for (job& j : jobs) j.run(); });
///     for (job& j : list) jobs.put(std::move(j));     // parks while it is full
///     jobs.close();
///
/// It has put, try_put, put_for, put_until; get, try_get, get_for, get_until; close, closed and iteration: see
/// detail/shared_exchange.hpp.
///
/// Items are moved under a mutex: moving one must not park and not use the queue. Their destructors run without it, and
/// may, by what does not park. Threads, lifetime, cost: see copse::shared::event; a queue whose items have come and gone allocates nothing until
/// it holds more than ever before.
template <class T>
class queue : public detail::shared_exchange<queue<T>, T, detail::shared_queue_nouns> {
    using base = detail::shared_exchange<queue<T>, T, detail::shared_queue_nouns>;
    using typename base::guard;

public:
    static constexpr std::size_t unlimited = static_cast<std::size_t>(-1);

    /// `capacity` in items; `unlimited` for none.
    /// Throws:  std::invalid_argument for a capacity of 0: that would be a channel.
    explicit queue(std::size_t capacity) : capacity_(capacity) {
        if (capacity == 0) detail::throw_no_capacity(detail::shared_queue_nouns.noun);
    }

    /// Closes it and ends the items inside: they are got by nobody.
    void close_and_drop() noexcept {
        node* dropped = nullptr;
        {
            const guard held(this->mutex_);
            this->mark_closed();
            dropped = store_.take_all();
        }
        detail::shared_store<T>::end_all(dropped);
        this->close();  // last: whoever waited may end the queue
    }

    /// As it is just now.
    std::size_t size() const noexcept {
        const guard held(this->mutex_);
        return store_.size();
    }
    bool empty() const noexcept { return size() == 0; }
    bool full() const noexcept { return size() >= capacity_; }
    std::size_t capacity() const noexcept { return capacity_; }

private:
    friend base;
    using node = typename detail::shared_store<T>::node;

    // The node of an item that was taken.
    struct husk {
        explicit husk(queue& q) noexcept : of(q) {}
        husk(const husk&) = delete;
        husk& operator=(const husk&) = delete;
        ~husk() {
            if (out == nullptr) return;
            out->end_item();
            detail::shared_lock held(of);
            of.free_place(out, held);
        }
        queue& of;
        node* out = nullptr;
    };

    // Getters wait only while it is empty, putters only while it is full.
    bool give(T& item, detail::shared_lock& held) {
        if (auto* const first = this->getters_.front()) {
            first->into.emplace(std::move(item));
            first->claim(held);
            return true;
        }
        if (store_.used() >= capacity_) return false;
        store_.push(item);
        return true;
    }

    bool take(std::optional<T>& into, husk& left, detail::shared_lock& held) {
        if (store_.empty()) return false;
        into.emplace(std::move(store_.next()));
        node* const out = store_.pop();
        if constexpr (std::is_trivially_destructible_v<T>) {
            free_place(out, held);
        } else {
            left.out = out;  // its place is taken until what is left of the item has ended
        }
        return true;
    }

    // The last touch of a get: from here on a putter that is let in may end the queue.
    void free_place(node* out, detail::shared_lock& held) noexcept {
        store_.give_back(out);
        admit_putter(held);
    }

    // There is room: the longest waiting putter's item comes in. If it cannot be moved, that is the putter's failure.
    void admit_putter(detail::shared_lock& held) noexcept {
        while (auto* const first = this->putters_.front()) {
            try {
                store_.push(first->item);
            } catch (...) {
                first->claim(held, std::current_exception());
                continue;
            }
            return first->claim(held);
        }
    }

    detail::shared_store<T> store_;
    const std::size_t capacity_;
};

}  // namespace shared
}  // namespace copse
