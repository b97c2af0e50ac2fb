/// A bounded queue between fibers of one thread.
#pragma once

#include <cstddef>

#include <copse/detail/basic_queue.hpp>
#include <copse/detail/fifo_store.hpp>

namespace copse {

namespace detail {
inline constexpr exchange_traits queue_traits{"queue", "queue put", "queue get", "queue peek", false};
}  // namespace detail

/// First in, first out, with a limit. Items go straight to the longest waiting getter, and room to the longest waiting putter
/// (decision 3): nothing is lost or overtaken, whoever is killed meanwhile.
///
///     copse::queue<int> numbers(16);
///     copse::spawn([&] { for (int i = 0; i < 3; ++i) numbers.put(i); numbers.close(); });
///     for (int n : numbers) std::cout << n << '\n';
///
/// All queues have put, try_put, put_for, put_until; get, try_get, get_for, get_until; close, closed and iteration: see
/// detail/exchange.hpp. And peek, try_peek, peek_for, peek_until; close_and_drop; size, empty, full, capacity: see
/// detail/basic_queue.hpp.
///
/// Owner thread only. Ending it while fibers wait aborts with a message.
/// Cost:    an item that nobody waits for a few nanoseconds; a hand-over about 20.
template <class T>
class queue : public detail::basic_queue<queue<T>, T, detail::fifo_store<T>, detail::queue_traits> {
public:
    /// `capacity` in items; `unlimited` for none.
    /// Throws:  std::invalid_argument for a capacity of 0: that would be a channel.
    explicit queue(std::size_t capacity) : queue::basic_queue(capacity) {}
};

}  // namespace copse
