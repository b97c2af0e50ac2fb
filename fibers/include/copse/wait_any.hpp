/// Waiting for the first of several things: fibers, events, results, semaphores, in any mix.
///
/// Owner thread only. Watching acquires nothing: by the time the watcher runs, somebody else may have cleared the event or
/// taken the permit (gevent rule 45). The things have to outlive the wait. Cost: a small node of memory for each thing.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include <copse/detail/lookout.hpp>
#include <copse/fiber.hpp>

namespace copse {

/// What can be watched: a fiber until it has finished, an event or async_result until it is set, a semaphore until a permit is
/// free.
template <class T>
concept waitable = requires(std::remove_cvref_t<T>& object, detail::observer& o) {
    detail::watch_access::watch(object, o);
};

/// Elements that can be watched where they are.
template <class Range>
concept waitable_range = std::ranges::input_range<Range> && waitable<std::ranges::range_reference_t<Range>> &&
    std::is_reference_v<std::ranges::range_reference_t<Range>>;

/// What ends a wait for several things early.
struct wait_options {
    std::optional<std::chrono::nanoseconds> timeout{};  ///< how long to wait at most
    std::optional<std::size_t> count{};                 ///< how many to wait for; all unless given
};

namespace detail {

inline std::int64_t deadline_of(const wait_options& with) {
    return with.timeout ? deadline_after(*with.timeout) : never;
}

/// The numbers of the first so many that become ready.
std::vector<std::size_t> gather(lookout& all, const wait_options& with);

}  // namespace detail

/// Waits until one is ready.
/// Parks:   unless one is.
/// Returns: its place among the arguments, counted from 0; the first place if several are ready.
/// Throws:  empty_handle, wrong_thread; would_block_forever (in main); what is raised into the caller.
template <waitable... Objects>
    requires(sizeof...(Objects) > 0)
std::size_t wait_any(Objects&&... objects) {
    detail::lookout all("wait_any");
    (all.add(objects), ...);
    return *all.next();
}

/// Returns: empty if none was ready in time.
template <waitable... Objects>
    requires(sizeof...(Objects) > 0)
std::optional<std::size_t> wait_any(const wait_options& with, Objects&&... objects) {
    const std::int64_t deadline = detail::deadline_of(with);
    detail::lookout all("wait_any");
    (all.add(objects), ...);
    return all.next(deadline);
}

/// Returns: the place in the range; empty if none was ready in time, or there is none.
template <waitable_range Range>
std::optional<std::size_t> wait_any(const wait_options& with, Range&& objects) {
    const std::int64_t deadline = detail::deadline_of(with);
    detail::lookout all("wait_any");
    for (auto& object : objects) all.add(object);
    return all.next(deadline);
}
template <waitable_range Range>
std::optional<std::size_t> wait_any(Range&& objects) {
    return wait_any(wait_options{}, objects);
}

/// Waits until all are ready, or as the options say: gevent's `wait`.
/// Parks:   unless they are.
/// Returns: the places of those that are, in the order in which they became ready. With a count of 0: none, at once (rule 44).
template <waitable... Objects>
    requires(sizeof...(Objects) > 0)
std::vector<std::size_t> wait_all(const wait_options& with, Objects&&... objects) {
    detail::lookout all("wait_all");
    (all.add(objects), ...);
    return detail::gather(all, with);
}
template <waitable_range Range>
std::vector<std::size_t> wait_all(const wait_options& with, Range&& objects) {
    detail::lookout all("wait_all");
    for (auto& object : objects) all.add(object);
    return detail::gather(all, with);
}
template <waitable... Objects>
    requires(sizeof...(Objects) > 0)
std::vector<std::size_t> wait_all(Objects&&... objects) { return wait_all(wait_options{}, objects...); }
template <waitable_range Range>
std::vector<std::size_t> wait_all(Range&& objects) {
    return wait_all(wait_options{}, objects);
}

/// Fibers in the order in which they finish: an input range of their handles. What finishes while the loop's body parks is kept
/// for later; leaving the loop early forgets the rest, which run on (rule 46).
///
///     for (auto& f : copse::as_completed(downloads)) std::cout << f.name() << ": " << f.get() << '\n';
template <std::derived_from<any_fiber> Handle>
class completed_view {
public:
    class iterator {
    public:
        using value_type = Handle;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        explicit iterator(completed_view& from) : from_(&from) { ++*this; }
        const Handle& operator*() const noexcept { return from_->state_->fibers[*at_]; }
        const Handle* operator->() const noexcept { return &**this; }
        /// Parks:   until the next one finishes.
        iterator& operator++() {
            at_ = from_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& i, std::default_sentinel_t /*end*/) noexcept { return !i.at_; }

    private:
        completed_view* from_;
        std::optional<std::size_t> at_;
    };

    completed_view(const wait_options& with, std::vector<Handle> fibers) : state_(std::make_unique<state>(with)) {
        state_->fibers = std::move(fibers);
        state_->wanted = std::min(with.count.value_or(state_->fibers.size()), state_->fibers.size());
        for (const Handle& f : state_->fibers) state_->all.add(f);
    }

    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    struct state {
        explicit state(const wait_options& with) : deadline(detail::deadline_of(with)) {}
        std::int64_t deadline;
        std::size_t wanted = 0;
        std::vector<Handle> fibers;
        detail::lookout all{"as_completed"};
    };

    std::optional<std::size_t> next() {
        if (state_->wanted == 0) return std::nullopt;
        const std::optional<std::size_t> next = state_->all.next(state_->deadline);
        --state_->wanted;
        return next;
    }

    std::unique_ptr<state> state_;  // the view can be moved, what watches cannot
};

/// The range ends when all have finished, when the timeout of the options, which counts from here, is over, or after `count`.
template <detail::range_of_fibers Range>
auto as_completed(const wait_options& with, Range&& fibers) {
    using handle = std::remove_cvref_t<std::ranges::range_reference_t<Range>>;
    std::vector<handle> all;
    for (auto&& f : fibers) all.push_back(f);
    return completed_view<handle>(with, std::move(all));
}
template <detail::range_of_fibers Range>
auto as_completed(Range&& fibers) {
    return as_completed(wait_options{}, fibers);
}

}  // namespace copse
