/// A meeting place of the fibers of several threads: items change hands there, and none is kept.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include <copse/detail/shared_exchange.hpp>

namespace copse {

namespace detail {
inline constexpr shared_exchange_nouns shared_channel_nouns{"shared channel", "shared channel put",
                                                            "shared channel get"};
}  // namespace detail

namespace shared {

/// A queue of capacity 0: `put` returns only after a getter has taken the item. Whoever comes first waits; partners are
/// matched in the order in which they came (decision 3). Who finds the other waiting goes on at once: between threads
/// neither of the two could be said to continue first.
///
/// It has put, try_put, put_for, put_until; get, try_get, get_for, get_until; close, closed and iteration: see
/// detail/shared_exchange.hpp. The try_ forms succeed if a partner waits (rule 99).
///
/// Items are moved under a mutex: moving one must not park and not use the channel. Threads, lifetime, cost: see
/// copse::shared::event.
template <class T>
class channel : public detail::shared_exchange<channel<T>, T, detail::shared_channel_nouns> {
    using base = detail::shared_exchange<channel<T>, T, detail::shared_channel_nouns>;
    using typename base::guard;

public:
    channel() noexcept = default;

    /// Waiting putters minus waiting getters, just now. Cost: linear in their number.
    std::ptrdiff_t balance() const noexcept {
        const guard held(this->mutex_);
        return static_cast<std::ptrdiff_t>(this->putters_.size()) - static_cast<std::ptrdiff_t>(this->getters_.size());
    }

private:
    friend base;

    // What is left of an item that was taken is its putter's.
    struct husk {
        explicit husk(channel& /*of*/) noexcept {}
    };

    // The move is made by whoever came last, before anything is promised: if it throws, the partner still waits.
    bool give(T& item, detail::shared_lock& held) {
        auto* const to = this->getters_.front();
        if (to == nullptr) return false;
        to->into.emplace(std::move(item));
        to->claim(held);
        return true;
    }

    bool take(std::optional<T>& into, husk& /*left*/, detail::shared_lock& held) {
        auto* const from = this->putters_.front();
        if (from == nullptr) return false;
        into.emplace(std::move(from->item));
        from->claim(held);
        return true;
    }
};

}  // namespace shared
}  // namespace copse
