/// Descriptors as parameters: by number, or the thing that has one.
#pragma once

#include <concepts>
#include <initializer_list>
#include <ranges>
#include <vector>

namespace copse::io {

namespace detail {

template <class T>
concept has_native_handle = requires(const T& t) {
    { t.native_handle() } -> std::same_as<int>;
};
template <class T>
concept holds_number = requires(const T& t) {
    { t.get() } -> std::same_as<int>;
};

}  // namespace detail

/// The number of a descriptor: made from an int, and from whatever has `native_handle()` (socket, pipe) or `get()`
/// (descriptor). Owns nothing.
class descriptor_number {
public:
    constexpr explicit(false) descriptor_number(int fd) noexcept : fd_(fd) {}
    template <detail::has_native_handle T>
    constexpr explicit(false) descriptor_number(const T& has_one) : fd_(has_one.native_handle()) {}
    template <detail::holds_number T>
    constexpr explicit(false) descriptor_number(const T& has_one) : fd_(has_one.get()) {}

    constexpr int value() const noexcept { return fd_; }

private:
    int fd_;
};

/// Several of them, copied: `{listener, client, 0}`, or any range of numbers or of things that have one.
class descriptor_list {
public:
    descriptor_list() noexcept = default;
    explicit(false) descriptor_list(std::initializer_list<descriptor_number> all) {
        numbers_.reserve(all.size());
        for (const descriptor_number& n : all) numbers_.push_back(n.value());
    }
    template <std::ranges::input_range R>
        requires std::convertible_to<std::ranges::range_reference_t<const R>, descriptor_number>
    explicit(false) descriptor_list(const R& all) {
        for (const auto& one : all) numbers_.push_back(descriptor_number(one).value());
    }

    const std::vector<int>& numbers() const noexcept { return numbers_; }

private:
    std::vector<int> numbers_;
};

}  // namespace copse::io
