/// Waiting for the first of several gets and puts.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <copse/detail/select_case.hpp>

namespace copse {

namespace detail {

struct no_handler {
    void operator()() const noexcept {}
};

template <class T>
concept selectable =
    std::derived_from<std::remove_reference_t<T>, select_case> && !std::is_const_v<std::remove_reference_t<T>>;

// An index, or where none is an answer, perhaps none.
inline std::size_t handled(select_cases cases, std::size_t chosen) {
    cases[chosen]->handle();
    return chosen;
}
inline std::optional<std::size_t> handled(select_cases cases, std::optional<std::size_t> chosen) {
    if (chosen) cases[*chosen]->handle();
    return chosen;
}

}  // namespace detail

/// A case of a select: gets an item from a queue of any kind or a channel, and then calls `handler` with it.
///
/// A handler that takes T has nothing to do with the end: once `from` is closed and drained, its case is left out. One that
/// takes std::optional<T> (or anything, as `auto`) hears of the end, too: it is called with an empty one, each time. A T that a
/// std::optional<T> converts to (std::any) only ever comes as itself.
///
/// A case may be kept and be used in one select after another, but in one at a time. `from` must outlive it.
template <class Derived, class T, const detail::exchange_traits& Traits, class Handler>
[[nodiscard]] auto on_get(detail::exchange<Derived, T, Traits>& from, Handler handler) {
    return detail::get_case<detail::exchange<Derived, T, Traits>, Handler>(from, std::move(handler));
}

/// A case of a select: puts `item` into a queue of any kind or a channel, and then calls `handler` with nothing.
///
/// The case owns the item until it is put, and keeps it if it never is: whatever becomes of the select, `item()` of a case that
/// was not chosen still has it. A case whose item is gone is left out until it is given another: `c.item() = …`.
template <class Derived, class T, const detail::exchange_traits& Traits, class Handler = detail::no_handler>
[[nodiscard]] auto on_put(detail::exchange<Derived, T, Traits>& to, std::type_identity_t<T> item,
                          Handler handler = {}) {
    return detail::put_case<detail::exchange<Derived, T, Traits>, Handler>(to, std::move(item), std::move(handler));
}

/// Waits until exactly one of the cases has happened, and calls its handler, in the calling fiber. If several can happen at
/// once, each is equally likely: none starves. The choice follows from `hub::shuffle`, so tests in virtual time repeat.
///
///     copse::select(copse::on_get(requests, [&](request r) { serve(r); }),
///                   copse::on_get(quit, [&](std::optional<int>) { stopping = true; }));
///
/// While it waits it stands in line at each queue, behind those who came before. It never matches itself: a put and a get of
/// one select on one channel wait for others.
///
/// Parks:   unless a case can happen at once; a match on a channel always does, as put and get there.
/// Returns: the index of the case.
/// Throws:  queue_closed if a case puts into a queue that is closed, or is closed meanwhile: then none has happened; or when no
///          case can happen any more. What moving the item throws, or the handler. concurrent_use if a case is
///          waited for by another fiber, or is named twice and none could happen at once.
/// Cost:    linear in the number of cases. Allocates nothing.
template <detail::selectable... Cases>
    requires(sizeof...(Cases) > 0)
std::size_t select(Cases&&... cases) {
    detail::select_case* const all[] = {&cases...};
    return detail::handled(all, *detail::select_by(all, [] { return detail::never; }));
}

/// Never parks; the default case of other languages.
/// Returns: empty if no case can happen now.
template <detail::selectable... Cases>
    requires(sizeof...(Cases) > 0)
std::optional<std::size_t> try_select(Cases&&... cases) {
    detail::select_case* const all[] = {&cases...};
    return detail::handled(all, detail::select_now(all, false));
}

/// Returns: empty if none happened for `length`. A length of 0 gives the others one turn.
template <class Rep, class Period, detail::selectable... Cases>
    requires(sizeof...(Cases) > 0)
std::optional<std::size_t> select_for(std::chrono::duration<Rep, Period> length, Cases&&... cases) {
    detail::select_case* const all[] = {&cases...};
    return detail::handled(all, detail::select_by(all, [length] { return detail::deadline_after(length); }));
}
template <class Clock, class Duration, detail::selectable... Cases>
    requires(sizeof...(Cases) > 0)
std::optional<std::size_t> select_until(std::chrono::time_point<Clock, Duration> when, Cases&&... cases) {
    detail::select_case* const all[] = {&cases...};
    return detail::handled(all, detail::select_by(all, [when] { return detail::deadline_at(when); }));
}

/// What select_get got, and from which.
template <class T>
struct selected {
    std::size_t index;
    T item;
};

namespace detail {

template <class Range>
using queue_of = std::remove_reference_t<decltype(**std::ranges::begin(std::declval<const Range&>()))>;
template <class Range>
using item_of = typename queue_of<Range>::value_type;

/// Gets from each of a range of pointers to queues.
template <class T>
class get_cases {
public:
    template <class Range>
    explicit get_cases(const Range& queues) {
        for (auto&& q : queues) all_.push_back(&add(*q));
        if (all_.empty()) throw std::invalid_argument("select_get: no queue is named");
    }

    get_cases(const get_cases&) = delete;
    get_cases& operator=(const get_cases&) = delete;

    select_cases all() const noexcept { return all_; }

    std::optional<selected<T>> result(std::optional<std::size_t> chosen) {
        if (!handled(all_, chosen)) return std::nullopt;
        return selected<T>{*chosen, std::move(*item_)};
    }

private:
    struct keep {
        void operator()(T&& item) const { to.emplace(std::move(item)); }
        std::optional<T>& to;
    };

    template <class Derived, const exchange_traits& Traits>
    select_case& add(exchange<Derived, T, Traits>& from) {
        using made = get_case<exchange<Derived, T, Traits>, keep>;
        auto held = std::make_shared<made>(from, keep{item_});
        cases_.push_back(held);
        return *held;
    }

    std::optional<T> item_;
    std::vector<std::shared_ptr<void>> cases_;
    std::vector<select_case*> all_;
};

}  // namespace detail

/// Gets from the first that has something of a range of pointers to queues or channels of one kind. Those that are closed and
/// drained are left out.
/// Returns: the item, and the index of where it came from.
/// Throws:  queue_closed when all are closed and drained; std::invalid_argument if there are none.
/// Cost:    allocates for each queue.
template <std::ranges::forward_range Range>
auto select_get(const Range& queues) -> selected<detail::item_of<Range>> {
    detail::get_cases<detail::item_of<Range>> cases(queues);
    return *cases.result(detail::select_by(cases.all(), [] { return detail::never; }));
}

/// Never parks.
template <std::ranges::forward_range Range>
auto try_select_get(const Range& queues) -> std::optional<selected<detail::item_of<Range>>> {
    detail::get_cases<detail::item_of<Range>> cases(queues);
    return cases.result(detail::select_now(cases.all(), false));
}

/// Returns: empty if nothing came for `length`.
template <class Rep, class Period, std::ranges::forward_range Range>
auto select_get_for(std::chrono::duration<Rep, Period> length, const Range& queues)
    -> std::optional<selected<detail::item_of<Range>>> {
    detail::get_cases<detail::item_of<Range>> cases(queues);
    return cases.result(detail::select_by(cases.all(), [length] { return detail::deadline_after(length); }));
}

}  // namespace copse
