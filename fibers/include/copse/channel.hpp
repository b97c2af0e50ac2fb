/// A meeting place of fibers of one thread: items change hands there, and none is kept.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include <copse/detail/exchange.hpp>

namespace copse {

namespace detail {
inline constexpr exchange_traits channel_traits{"channel", "channel put", "channel get", nullptr, true};
}  // namespace detail

/// A queue of capacity 0: `put` returns only after a getter has taken the item. Whoever comes first waits; partners are matched
/// in the order in which they came (decision 3). A match makes ready the getter and then the putter, also the one that found
/// the other waiting: so the getter continues first (rule 98).
///
///     copse::channel<int> numbers;
///     copse::spawn([&] { numbers.put(1); numbers.close(); });
///     for (int n : numbers) std::cout << n << '\n';
///
/// It has put, try_put, put_for, put_until; get, try_get, get_for, get_until; close, closed and iteration: see
/// detail/exchange.hpp. The try_ forms succeed if a partner waits (rule 99), and go on at once, before it.
///
/// Owner thread only. Ending it while fibers wait aborts with a message.
template <class T>
class channel : public detail::exchange<channel<T>, T, detail::channel_traits> {
    using line_base = detail::exchange<channel<T>, T, detail::channel_traits>;

public:
    channel() noexcept = default;

    /// Waiting putters minus waiting getters; a select counts once for each of its cases here. Cost: linear in their number.
    std::ptrdiff_t balance() const noexcept {
        return static_cast<std::ptrdiff_t>(this->putters_.size()) - static_cast<std::ptrdiff_t>(this->getters_.size());
    }

private:
    friend line_base;

    bool can_give() const noexcept { return !this->getters_.empty(); }
    bool can_take() const noexcept { return !this->putters_.empty(); }

    // The move is made by whoever came last, before anything is promised: if it throws, the partner still waits.
    bool give(T& item, detail::wait* self) {
        detail::getter<T>* const to = this->getters_.front();
        if (to == nullptr) return false;
        to->into.emplace(std::move(item));
        to->serve();
        if (self != nullptr) detail::complete(*self, detail::cause::satisfied);
        return true;
    }

    bool take(std::optional<T>& into, detail::wait* self) {
        detail::putter<T>* const from = this->putters_.front();
        if (from == nullptr) return false;
        into.emplace(std::move(*from->item));
        if (self != nullptr) detail::complete(*self, detail::cause::satisfied);
        from->serve();
        return true;
    }
};

}  // namespace copse
