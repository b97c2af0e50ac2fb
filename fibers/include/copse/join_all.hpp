/// Waiting for several fibers, and ending them.
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <vector>

#include <copse/fiber_handle.hpp>

namespace copse {

/// What ends a join of several early.
struct join_options {
    std::optional<std::chrono::nanoseconds> timeout{};  ///< how long to wait at most
    bool raise_error = false;                           ///< throw the first failure, in the order in which they finish
    std::optional<std::size_t> count{};                 ///< how many to wait for; all unless given
};

namespace detail {
std::size_t join_many(const join_options& with, std::span<const any_fiber> fibers);

template <class Range>
concept range_of_fibers = std::ranges::input_range<Range> &&
    std::derived_from<std::remove_cvref_t<std::ranges::range_reference_t<Range>>, any_fiber>;
}  // namespace detail

/// Waits until all have finished, or as the options say.
/// Parks:   unless they have.
/// Returns: how many of them have finished.
template <std::derived_from<any_fiber>... Fibers>
std::size_t join_all(const join_options& with, const Fibers&... fibers) {
    const std::array<any_fiber, sizeof...(fibers)> all = {fibers...};
    return detail::join_many(with, all);
}
template <std::derived_from<any_fiber> First, std::derived_from<any_fiber>... Fibers>
std::size_t join_all(const First& first, const Fibers&... fibers) {
    return join_all(join_options{}, first, fibers...);
}
template <detail::range_of_fibers Range>
std::size_t join_all(const join_options& with, Range&& fibers) {
    std::vector<any_fiber> all;  // copies: a view's handles may live no longer than its iterator
    for (auto&& f : fibers) all.push_back(f);
    return detail::join_many(with, all);
}
template <detail::range_of_fibers Range>
std::size_t join_all(Range&& fibers) {
    return join_all(join_options{}, fibers);
}

/// How several fibers are killed.
struct kill_options {
    std::optional<std::chrono::nanoseconds> timeout{};  ///< how long to wait for their ends at most
    std::exception_ptr exception{};                     ///< thrown in them; null: greenlet_exit
};

namespace detail {
std::size_t kill_many(const kill_options& with, std::span<const any_fiber> fibers);
}  // namespace detail

/// Asks for the kill of all, in their order, and waits until they have finished. Those that have not started never will. If the
/// caller's own fiber is among them it is killed last, right here (gevent rule 29).
/// Parks:   unless they have finished.
/// Returns: how many of them have finished.
template <std::derived_from<any_fiber>... Fibers>
std::size_t kill_all(const kill_options& with, const Fibers&... fibers) {
    const std::array<any_fiber, sizeof...(fibers)> all = {fibers...};
    return detail::kill_many(with, all);
}
template <std::derived_from<any_fiber> First, std::derived_from<any_fiber>... Fibers>
std::size_t kill_all(const First& first, const Fibers&... fibers) {
    return kill_all(kill_options{}, first, fibers...);
}
template <detail::range_of_fibers Range>
std::size_t kill_all(const kill_options& with, Range&& fibers) {
    std::vector<any_fiber> all;
    for (auto&& f : fibers) all.push_back(f);
    return detail::kill_many(with, all);
}
template <detail::range_of_fibers Range>
std::size_t kill_all(Range&& fibers) {
    return kill_all(kill_options{}, fibers);
}

}  // namespace copse
