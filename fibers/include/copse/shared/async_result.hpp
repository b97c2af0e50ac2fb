/// A result that any thread sets once and the fibers of any thread wait for.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <copse/detail/result.hpp>
#include <copse/detail/shared_wait.hpp>

namespace copse {

namespace detail {

/// What does not depend on the type: whether it is set, with which exception, and who waits for that.
class shared_settlement : public shared_object {
public:
    shared_settlement() noexcept : shared_object("shared async_result") {}
    ~shared_settlement() { must_be_empty(waiting_); }

    bool settled() const noexcept {
        const guard held(mutex_);
        return settled_;
    }
    std::exception_ptr error() const noexcept {
        const guard held(mutex_);
        return error_;
    }

    /// `make` puts the value where it belongs, with the mutex held.
    /// Throws:  already_set; what `make` throws. Nothing has changed then.
    template <class Make>
    void settle_with(Make make) {
        shared_lock held(*this);
        require_unsettled();
        make();
        settle(held);
    }
    /// Throws:  already_set; std::invalid_argument if null.
    void settle_with_error(std::exception_ptr error);

    /// After attend(). Parks. Returns: false at the deadline.
    bool wait_by(std::int64_t deadline);

    /// When it is settled: throws what it was set to by set_exception.
    void rethrow() const;
    /// When it is settled, of a value that can only be moved. Throws: value_taken to all but the first.
    void take();
    /// That one could not be moved out.
    void put_back() noexcept;

private:
    void require_unsettled() const;
    void settle(shared_lock& held) noexcept;

    ring<shared_wait> waiting_;
    std::exception_ptr error_;
    bool settled_ = false;
    bool taken_ = false;
};

}  // namespace detail

namespace shared {

/// One slot for a value or an exception, set once, on any thread. Whoever wants it waits; everybody gets it, any number of
/// times.
///
///     copse::shared::async_result<int> answer;
///     std::thread other([&] { answer.set(42); });
///     std::cout << answer.get() << '\n';
///
/// T may be void, a reference, or something that can only be moved: that is moved out by the first `get`. Several threads
/// may copy the value at a time. Waiting acquires nothing: a kill that came with the result is thrown, and the result stays
/// for the others. The value is moved in under a mutex: moving it must not park and not use the async_result.
///
/// Threads, lifetime, cost: see copse::shared::event.
template <class T>
class async_result {
    static_assert(!std::is_rvalue_reference_v<T>, "an rvalue reference would dangle: use the object's type");

    // set takes nothing for void, a T otherwise.
    struct nothing {};
    using held = std::conditional_t<std::is_void_v<T>, nothing, T>;
    using room = std::conditional_t<std::is_reference_v<T>, detail::kept<held>, std::optional<held>>;

public:
    async_result() noexcept = default;
    async_result(const async_result&) = delete;
    async_result& operator=(const async_result&) = delete;

    /// Sets it and makes ready all who wait, in the order in which they came. Never parks.
    /// Throws:  already_set (rule 77); what moving the value throws. Nothing has changed then.
    void set() requires(std::is_void_v<T>) {
        settlement_.settle_with([] {});
    }
    void set(held value) requires(!std::is_void_v<T>) {
        settlement_.settle_with([&] {
            if constexpr (std::is_reference_v<T>) {
                value_ = &value;
            } else {
                value_.emplace(std::move(value));
            }
        });
    }

    /// `get` will throw it. Never parks.
    /// Throws:  already_set; std::invalid_argument for null.
    void set_exception(std::exception_ptr exception) { settlement_.settle_with_error(std::move(exception)); }

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
        wait();
        return give();
    }

    /// Never parks.
    /// Returns: empty if it is not set. (For void: whether it is. For a reference: a pointer.)
    /// Throws:  as get.
    auto try_get() { return give_if(ready()); }

    /// Returns: empty if `length` went by first, as try_get. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    auto get_for(std::chrono::duration<Rep, Period> length) {
        return give_if(wait_for(length));
    }
    template <class Clock, class Duration>
    auto get_until(std::chrono::time_point<Clock, Duration> when) {
        return give_if(wait_until(when));
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
    // From here on nobody writes the value any more, but who takes it.
    T give() {
        settlement_.rethrow();
        if constexpr (std::is_reference_v<T>) {
            return static_cast<T>(*value_);
        } else if constexpr (std::is_copy_constructible_v<T>) {
            return *value_;
        } else if constexpr (!std::is_void_v<T>) {
            settlement_.take();
            try {
                return std::move(*value_);
            } catch (...) {
                settlement_.put_back();
                throw;
            }
        }
    }
    auto give_if(bool there) {
        return detail::give_if<T>(there, [this]() -> T { return give(); });
    }

    detail::shared_settlement settlement_;
    room value_{};
};

}  // namespace shared
}  // namespace copse
