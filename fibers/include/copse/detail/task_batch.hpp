// Fibers that work for their caller, and must not outlive the call.
#pragma once

#include <functional>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include <copse/fiber.hpp>

namespace copse::detail {

/// Asks for the kill of a fiber, if there is one.
void ask_to_end(const any_fiber& f) noexcept;

/// Waits for the end of a fiber, whatever is raised into the caller meanwhile.
void await_end(const any_fiber& f) noexcept;

/// What can be put in a container of a task's result.
template <class R>
using kept_result = std::remove_cvref_t<R>;

template <class R>
class task_batch {
public:
    task_batch() = default;
    task_batch(const task_batch&) = delete;
    task_batch& operator=(const task_batch&) = delete;
    /// Kills those that have not finished, and waits for them.
    ~task_batch() {
        for (const auto& t : tasks_) ask_to_end(t);
        for (const auto& t : tasks_) await_end(t);
    }

    void add(fiber<R> task) {
        try {
            tasks_.push_back(task);
        } catch (...) {
            ask_to_end(task);
            await_end(task);
            throw;
        }
    }
    const fiber<R>& operator[](std::size_t i) const noexcept { return tasks_[i]; }

    /// Joins all; then the results, or the first failure in order.
    auto results() const {
        for (const auto& t : tasks_) t.join();
        if constexpr (std::is_void_v<R>) {
            for (const auto& t : tasks_) t.get();
        } else {
            std::vector<kept_result<R>> all;
            all.reserve(tasks_.size());
            for (const auto& t : tasks_) all.push_back(t.get());
            return all;
        }
    }

private:
    std::vector<fiber<R>> tasks_;
};

/// Elements of `Range` stay where they are while it is walked.
template <class Range>
inline constexpr bool refers_to_elements =
    std::conjunction_v<std::bool_constant<std::ranges::forward_range<Range>>,
                       std::is_lvalue_reference<std::ranges::range_reference_t<Range>>>;

/// A call of `f` with one element, which it holds unless the range does.
template <class Range, class F>
auto call_with_element(F& f, std::ranges::range_reference_t<Range>&& element) {
    using value = std::ranges::range_value_t<Range>;
    using reference = std::ranges::range_reference_t<Range>;
    if constexpr (refers_to_elements<Range>) {
        return [&f, at = std::addressof(element)]() -> decltype(auto) { return std::invoke(f, *at); };
    } else if constexpr (std::is_constructible_v<value, reference>) {
        return [&f, own = value(std::forward<reference>(element))]() mutable -> decltype(auto) {
            return std::invoke(f, std::move(own));
        };
    } else {
        return [&f, own = value(std::move(element))]() mutable -> decltype(auto) {
            return std::invoke(f, std::move(own));
        };
    }
}

template <class Range, class F>
using element_call =
    decltype(call_with_element<Range>(std::declval<F&>(), std::declval<std::ranges::range_reference_t<Range>>()));

template <class Range, class F>
using element_result = fiber_result<element_call<Range, F>>;

/// The calls made one after the other: all of them, whichever fail.
template <class R, class Range, class F>
auto map_here(Range&& range, F& f) {
    std::exception_ptr failure;
    std::vector<std::conditional_t<std::is_void_v<R>, char, kept_result<R>>> all;
    for (auto&& element : range) {
        auto call = call_with_element<Range>(f, std::forward<decltype(element)>(element));
        try {
            if constexpr (std::is_void_v<R>) {
                call();
            } else {
                all.push_back(call());
            }
        } catch (const greenlet_exit&) {
            throw;
        } catch (const timeout_expired&) {
            throw;
        } catch (...) {
            if (failure == nullptr) failure = std::current_exception();
        }
    }
    if (failure != nullptr) std::rethrow_exception(failure);
    if constexpr (!std::is_void_v<R>) return all;
}

}  // namespace copse::detail
