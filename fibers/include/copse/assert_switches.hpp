/// For tests: code that must not keep the hub to itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace copse {

struct assert_switches_options {
    /// No greenlet of this thread may hold the hub longer at a stretch. By the hub's clock: in virtual time what
    /// `virtual_time::advance` says counts, and what is really computed does not.
    std::optional<std::chrono::nanoseconds> max_blocking{};
};

/// Notes how the hub stands, and tells later whether the others have had a turn since: whether somebody parked or yielded. A
/// call that could have parked and did not need to gives nobody a turn. Nor does a switch by hand: the other fibers wait on
/// meanwhile (gevent's `hub_only`, always).
/// Owner thread only. May be nested. With `max_blocking` it makes every dispatch a turn of the hub while it lives, which a
/// test of the order of timers and ready fibers could notice.
class switch_watch {
public:
    /// Throws:  std::invalid_argument if `max_blocking` is negative.
    explicit switch_watch(const assert_switches_options& with = {});
    ~switch_watch();
    switch_watch(const switch_watch&) = delete;
    switch_watch& operator=(const switch_watch&) = delete;

    /// Somebody has parked or yielded since.
    bool switched() const noexcept;

    /// The longest time that one greenlet has held the hub since, the present one included; 0 without `max_blocking`.
    std::chrono::nanoseconds longest_hold() const noexcept;

    /// Throws:  did_not_switch unless somebody has switched, and nobody held the hub longer than `max_blocking`.
    void check() const;

private:
    struct meter;
    assert_switches_options with_;
    std::uint64_t begin_;
    std::unique_ptr<meter> meter_;
};

/// Calls `body`, and fails if it did not give the other fibers a turn, or held the hub too long (gevent rule 144). It is a
/// function because it throws: a destructor had better not.
///
///     copse::assert_switches([&] { client.fetch(url); });                              // must wait, and let others run
///     copse::assert_switches({.max_blocking = 10ms}, [&] { return parse(document); });  // must yield often enough
///
/// Parks:   if `body` does.
/// Returns: what `body` returns.
/// Throws:  did_not_switch; what `body` throws, unchecked.
template <class F>
decltype(auto) assert_switches(const assert_switches_options& with, F&& body) {
    const switch_watch watch(with);
    if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
        std::invoke(std::forward<F>(body));
        watch.check();
    } else {
        std::invoke_result_t<F> result = std::invoke(std::forward<F>(body));
        watch.check();
        return static_cast<std::invoke_result_t<F>>(std::forward<std::invoke_result_t<F>>(result));
    }
}

template <class F>
decltype(auto) assert_switches(F&& body) {
    return assert_switches(assert_switches_options(), std::forward<F>(body));
}

}  // namespace copse
