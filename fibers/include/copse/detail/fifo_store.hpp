// Where a queue keeps its items: first in, first out.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

namespace copse::detail {

/// Like every store: if a call throws, nothing has changed. Items stay where they are until they are taken.
template <class T>
class fifo_store {
public:
    bool empty() const noexcept { return items_.empty(); }
    std::size_t size() const noexcept { return items_.size(); }

    /// Moves `item` in; says where it lies now.
    const T& push(T& item) { return items_.emplace_back(std::move(item)); }

    /// What take() would take.
    const T& next() const noexcept { return items_.front(); }

    void take(std::optional<T>& into) {
        into.emplace(std::move(items_.front()));
        items_.pop_front();
    }

    void clear() noexcept { items_.clear(); }

private:
    std::deque<T> items_;
};

}  // namespace copse::detail
