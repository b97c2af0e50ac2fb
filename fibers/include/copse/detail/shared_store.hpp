// Where the queue of copse::shared keeps its items.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace copse::detail {

/// First in, first out, an item a node. A node whose item was taken is out until its item has been ended, without the queue's
/// mutex, and it was given back: meanwhile it counts. Then it is used again: in the long run nothing is allocated. Guarded by
/// the queue's mutex.
template <class T>
class shared_store {
public:
    struct node {
        node* next = nullptr;
        union {
            T item;
        };
        node() noexcept {}  // NOLINT(modernize-use-equals-default): the item is made later
        ~node() {}          // NOLINT(modernize-use-equals-default): and ended before
        node(const node&) = delete;
        node& operator=(const node&) = delete;

        void end_item() noexcept { std::destroy_at(std::addressof(item)); }
    };

    shared_store() noexcept = default;
    shared_store(const shared_store&) = delete;
    shared_store& operator=(const shared_store&) = delete;
    ~shared_store() {
        end_all(take_all());
        while (unused_ != nullptr) delete std::exchange(unused_, unused_->next);
    }

    bool empty() const noexcept { return first_ == nullptr; }
    std::size_t size() const noexcept { return size_; }
    /// Places that are not free: items, and nodes that are out.
    std::size_t used() const noexcept { return size_ + out_; }
    T& next() noexcept { return first_->item; }

    /// Moves `item` in. If that throws, nothing has changed.
    void push(T& item) {
        if (unused_ == nullptr) unused_ = new node;
        std::construct_at(std::addressof(unused_->item), std::move(item));
        node* const filled = std::exchange(unused_, unused_->next);
        filled->next = nullptr;
        *last_ = filled;
        last_ = &filled->next;
        ++size_;
    }

    /// Takes the next node out. To be given back, its item having been ended.
    node* pop() noexcept {
        node* const popped = std::exchange(first_, first_->next);
        if (first_ == nullptr) last_ = &first_;
        --size_;
        ++out_;
        return popped;
    }

    void give_back(node* ended) noexcept {
        --out_;
        ended->next = std::exchange(unused_, ended);
    }

    /// Takes all nodes out for ever, chained.
    node* take_all() noexcept {
        last_ = &first_;
        size_ = 0;
        return std::exchange(first_, nullptr);
    }

    /// Ends what take_all returned. Without the mutex: destructors may come back to the queue.
    static void end_all(node* chain) noexcept {
        while (chain != nullptr) {
            const std::unique_ptr<node> each(std::exchange(chain, chain->next));
            each->end_item();
        }
    }

private:
    node* first_ = nullptr;
    node** last_ = &first_;
    std::size_t size_ = 0;
    std::size_t out_ = 0;
    node* unused_ = nullptr;
};

}  // namespace copse::detail
