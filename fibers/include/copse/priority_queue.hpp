/// A bounded queue between fibers of one thread that gives the greatest item first.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>

#include <copse/detail/basic_queue.hpp>
#include <copse/detail/stable_heap.hpp>

namespace copse {

namespace detail {
inline constexpr exchange_traits priority_queue_traits{"priority_queue", "priority_queue put", "priority_queue get",
                                                       "priority_queue peek", false};
}  // namespace detail

/// A queue that gives the greatest of the items inside, as std::priority_queue does: with std::greater<T> the smallest. Equal
/// ones come in the order in which they were put. A putter that finds it full waits outside, in the order in which it came,
/// however great its item.
///
/// `Compare` may throw, and so may moves: that reaches the caller whose item it is, and nothing is lost or disturbed.
/// In everything else as queue. Owner thread only.
/// Cost:    of put and get about log2(size) comparisons, of get twice that. Keeps the memory of its greatest size.
template <class T, class Compare = std::less<T>>
class priority_queue : public detail::basic_queue<priority_queue<T, Compare>, T, detail::stable_heap<T, Compare>,
                                                  detail::priority_queue_traits> {
public:
    /// `capacity` in items; `unlimited` for none.
    /// Throws:  std::invalid_argument for a capacity of 0.
    explicit priority_queue(std::size_t capacity, Compare less = Compare())
        : priority_queue::basic_queue(capacity, std::move(less)) {}
};

}  // namespace copse
