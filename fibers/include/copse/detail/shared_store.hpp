// Where the queue of copse::shared keeps its items.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace copse::detail {

/// First in, first out, an item a node. A node whose item was taken is ended by whoever took it, without the queue's mutex,
/// and used again: in the long run nothing is allocated. The queue's mutex guards everything but `retire`.
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
    };

    shared_store() noexcept = default;
    shared_store(const shared_store&) = delete;
    shared_store& operator=(const shared_store&) = delete;
    ~shared_store() {
        retire_all(take_all());
        drop_nodes(unused_);
        drop_nodes(retired_.load(std::memory_order_acquire));
    }

    bool empty() const noexcept { return first_ == nullptr; }
    std::size_t size() const noexcept { return size_; }
    T& next() noexcept { return first_->item; }

    /// Moves `item` in. If that throws, nothing has changed.
    void push(T& item) {
        if (unused_ == nullptr) refill();
        std::construct_at(std::addressof(unused_->item), std::move(item));
        node* const filled = std::exchange(unused_, unused_->next);
        filled->next = nullptr;
        *last_ = filled;
        last_ = &filled->next;
        ++size_;
    }

    /// Takes the next node out. To be retired.
    node* pop() noexcept {
        node* const out = std::exchange(first_, first_->next);
        if (first_ == nullptr) last_ = &first_;
        --size_;
        return out;
    }

    /// Takes all nodes out, chained. To be retired.
    node* take_all() noexcept {
        last_ = &first_;
        size_ = 0;
        return std::exchange(first_, nullptr);
    }

    /// Ends the item and gives its node back. Without the mutex: what the destructor does may come back to the queue.
    void retire(node* out) noexcept {
        std::destroy_at(std::addressof(out->item));
        out->next = retired_.load(std::memory_order_relaxed);
        while (!retired_.compare_exchange_weak(out->next, out, std::memory_order_release, std::memory_order_relaxed)) {}
    }
    void retire_all(node* chain) noexcept {
        while (chain != nullptr) retire(std::exchange(chain, chain->next));
    }

private:
    // All at once, so that no node can have come back meanwhile to be taken for itself.
    void refill() {
        unused_ = retired_.exchange(nullptr, std::memory_order_acquire);
        if (unused_ == nullptr) unused_ = new node;
    }

    static void drop_nodes(node* chain) noexcept {
        while (chain != nullptr) delete std::exchange(chain, chain->next);
    }

    node* first_ = nullptr;
    node** last_ = &first_;
    std::size_t size_ = 0;
    node* unused_ = nullptr;
    std::atomic<node*> retired_{nullptr};
};

}  // namespace copse::detail
