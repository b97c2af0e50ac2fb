/// A result that somebody sets once and anybody waits for.
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <copse/detail/result.hpp>
#include <copse/detail/wait.hpp>
#include <copse/error.hpp>
#include <copse/fiber.hpp>

namespace copse {

namespace detail {

/// What does not depend on the type: whether it is set, with which exception, and who waits for that.
class settlement {
public:
    settlement() noexcept = default;
    settlement(const settlement&) = delete;
    settlement& operator=(const settlement&) = delete;
    ~settlement();

    bool settled() const noexcept { return settled_; }
    const std::exception_ptr& error() const noexcept { return error_; }

    /// Throws:  already_set.
    void require_unsettled() const;
    /// Makes ready all who wait, in the order in which they came.
    void settle() noexcept;
    /// Throws:  already_set; std::invalid_argument if null.
    void settle(std::exception_ptr error);

    /// After attend(). Parks. Returns: false at the deadline.
    bool wait_by(std::int64_t deadline);
    /// The same for who will look at the result: the object may not end before it has.
    bool wait_to_read_by(std::int64_t deadline);

    bool watch(observer& o) noexcept {
        if (!settled_) observers_.push_back(o);
        return settled_;
    }

private:
    struct reader;

    wait_list waiting_;  // some of them readers
    wait_list reading_;  // readers that were made ready and have not run yet
    ring<observer> observers_;
    std::exception_ptr error_;
    bool settled_ = false;
};

}  // namespace detail

/// One slot for a value or an exception, set once. Whoever wants it waits; everybody gets it, any number of times.
///
///     copse::async_result<int> answer;
///     copse::spawn([&] { answer.set(42); });
///     std::cout << answer.get() << '\n';
///
/// T may be void, a reference, or something that can only be moved: that is moved out by the first `get`. Waiting acquires
/// nothing: a kill that came with the result is thrown, and the result stays for the others. Owner thread only. Ending it while
/// fibers wait, or while one in `get` was made ready but has not run yet, aborts with a message.
template <class T>
class async_result {
    static_assert(!std::is_rvalue_reference_v<T>, "an rvalue reference would dangle: use the object's type");

    // set takes nothing for void, a T otherwise.
    struct nothing {};
    using held = std::conditional_t<std::is_void_v<T>, nothing, T>;
    using room = std::conditional_t<std::is_reference_v<T>, detail::kept<held>, std::optional<held>>;

public:
    async_result() noexcept = default;

    /// Sets it and makes ready all who wait, in the order in which they came. Never parks.
    /// Throws:  already_set (rule 77); what moving the value throws. Nothing has changed then.
    void set() requires(std::is_void_v<T>) {
        settlement_.require_unsettled();
        settlement_.settle();
    }
    void set(held value) requires(!std::is_void_v<T>) {
        settlement_.require_unsettled();
        if constexpr (std::is_reference_v<T>) {
            value_ = &value;
        } else {
            value_.emplace(std::move(value));
        }
        settlement_.settle();
    }

    /// `get` will throw it.
    /// Throws:  already_set; std::invalid_argument for null.
    void set_exception(std::exception_ptr exception) { settlement_.settle(std::move(exception)); }

    /// Sets what a finished fiber ended with: `std::ref(result)` can be a link of that fiber. Of a killed one that is
    /// fiber_killed (rule 78). A result that can only be moved is taken from the fiber.
    /// Throws:  already_set; error if the fiber has not finished; value_taken; what copying the value throws. Nothing has
    ///          changed then.
    void operator()(const fiber<T>& finished);

    /// Has been set, in whatever way.
    bool ready() const noexcept { return settlement_.settled(); }
    /// Has been set to a value.
    bool successful() const noexcept { return ready() && settlement_.error() == nullptr; }
    /// What it was set to by set_exception; null if it was not.
    std::exception_ptr exception() const noexcept { return settlement_.error(); }

    /// Every call returns a copy; a move-only value is moved out once.
    /// Parks:   until it is set.
    /// Throws:  the exception that it was set to, the same object every time; value_taken on the second call for a move-only
    ///          value.
    T get() {
        detail::attend();
        if (!ready()) settlement_.wait_to_read_by(detail::never);
        return give();
    }

    /// Never parks.
    /// Returns: empty if it is not set. (For void: whether it is. For a reference: a pointer.)
    /// Throws:  as get.
    auto try_get() { return give_if(ready()); }

    /// Returns: empty if `length` went by first, as try_get. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    auto get_for(std::chrono::duration<Rep, Period> length) {
        detail::attend();
        return give_if(ready() || settlement_.wait_to_read_by(detail::deadline_after(length)));
    }
    template <class Clock, class Duration>
    auto get_until(std::chrono::time_point<Clock, Duration> when) {
        detail::attend();
        return give_if(ready() || settlement_.wait_to_read_by(detail::deadline_at(when)));
    }

    /// Waits until it is set. Never throws what it was set to (rule 76).
    /// Parks:   unless it is set.
    void wait() {
        detail::attend();
        if (!ready()) settlement_.wait_by(detail::never);
    }

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> length) {
        detail::attend();
        return ready() || settlement_.wait_by(detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool wait_until(std::chrono::time_point<Clock, Duration> when) {
        detail::attend();
        return ready() || settlement_.wait_by(detail::deadline_at(when));
    }

private:
    friend struct detail::watch_access;

    bool watch(detail::observer& o) noexcept { return settlement_.watch(o); }

    T give() {
        if (settlement_.error() != nullptr) std::rethrow_exception(settlement_.error());
        if constexpr (std::is_reference_v<T>) {
            return static_cast<T>(*value_);
        } else if constexpr (!std::is_void_v<T>) {
            return detail::give<T>(
                *value_,
                [this] {
                    if (taken_) throw value_taken("get: the value of the async_result was taken already");
                },
                [this] { taken_ = true; });
        }
    }
    auto give_if(bool there) {
        return detail::give_if<T>(there, [this]() -> T { return give(); });
    }

    detail::settlement settlement_;
    room value_{};
    bool taken_ = false;  // what can only be moved
};

template <class T>
void async_result<T>::operator()(const fiber<T>& finished) {
    settlement_.require_unsettled();
    if (!finished.ready())
        throw error("async_result: set from " + to_string(finished.underlying()) + ", which has not finished");
    if (std::exception_ptr failure = finished.exception()) return set_exception(std::move(failure));
    if (finished.killed()) {
        return set_exception(
            std::make_exception_ptr(fiber_killed("get: " + to_string(finished.underlying()) + " was killed")));
    }
    if constexpr (std::is_void_v<T>) {
        set();
    } else {
        set(detail::fiber_access::result(finished));
    }
}

}  // namespace copse
