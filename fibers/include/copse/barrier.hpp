/// A place where so many meet, again and again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include <copse/detail/wait.hpp>
#include <copse/fiber.hpp>

namespace copse {

namespace detail {

/// A barrier without its completion function.
class meeting {
public:
    explicit meeting(std::ptrdiff_t expected);
    meeting(const meeting&) = delete;
    meeting& operator=(const meeting&) = delete;
    ~meeting() { must_not_be_waited_for(waiting_, "barrier"); }

    std::uint64_t phase() const noexcept { return phase_; }

    /// Throws:  std::invalid_argument unless so many are still expected in this phase.
    void require_expected(std::ptrdiff_t n) const;
    /// Returns: whether that was the last of them. Then next_phase must follow; meanwhile nobody is expected.
    bool count(std::ptrdiff_t n) noexcept { return (left_ -= n) == 0; }
    void expect_one_less() noexcept { --expected_; }
    /// Throws:  std::invalid_argument unless somebody is expected in the phases to come.
    void require_more() const;
    /// Lets all go on who wait.
    void next_phase() noexcept;

    bool is_over(std::uint64_t phase) const noexcept { return phase != phase_; }
    /// After attend(), in the current phase. Parks. Returns: false at the deadline.
    bool wait_by(std::int64_t deadline) const;

private:
    std::ptrdiff_t expected_;  // in each phase to come
    std::ptrdiff_t left_;      // in this one
    std::uint64_t phase_ = 0;
    mutable wait_list waiting_;
};

[[noreturn]] void throw_foreign_token();

}  // namespace detail

struct no_completion {
    void operator()() const noexcept {}
};

/// A phase ends when as many have arrived as are expected: the completion function is called, once, by the last of them; then
/// all who wait go on, in the order in which they came, and the next phase begins. Has the interface of std::barrier.
///
/// Waiting acquires nothing. A participant that is killed while it waits (or times out) **has arrived all the same**: the
/// phase ends without it, and the next one still expects it. A fiber that may be killed should give up its place on the way
/// out, or the others wait for ever: by `drop` with the token of its `arrive`, which does not count it twice; if it has not
/// arrived by `arrive_and_drop`. There is no broken state.
///
/// The completion function must not throw. It may park; kills of the greenlet that calls it are kept back meanwhile, and
/// further arrivals are refused until it has returned. Owner thread only. Ending a barrier while fibers wait aborts with a
/// message.
template <class Completion = no_completion>
class barrier {
    static_assert(std::is_nothrow_invocable_v<Completion&>,
                  "the completion function must be noexcept: nobody could catch");

public:
    /// Which phase was arrived in. Belongs to its barrier.
    class arrival_token {
    public:
        arrival_token(arrival_token&&) noexcept = default;
        arrival_token& operator=(arrival_token&&) noexcept = default;

    private:
        friend class barrier;
        arrival_token(const barrier& of, std::uint64_t in) noexcept : of_(&of), phase_(in) {}

        const barrier* of_;  // for comparison only
        std::uint64_t phase_;
    };

    /// Throws:  std::invalid_argument for a negative count.
    explicit barrier(std::ptrdiff_t expected, Completion f = Completion())
        : meeting_(expected), completion_(std::move(f)) {}

    static constexpr std::ptrdiff_t(max)() noexcept { return std::numeric_limits<std::ptrdiff_t>::max(); }

    /// Arrives `n` times in this phase. Does not wait; the last of a phase calls the completion function.
    /// Throws:  std::invalid_argument if `n` is not positive or more than are still expected. Nothing has changed then.
    [[nodiscard]] arrival_token arrive(std::ptrdiff_t n = 1) {
        meeting_.require_expected(n);
        arrival_token token(*this, meeting_.phase());
        count(n);
        return token;
    }

    /// Waits for the end of the phase in which the token was got. A phase that is over does not come again.
    /// Parks:   unless that is over.
    /// Throws:  std::invalid_argument for the token of another barrier.
    void wait(arrival_token&& token) const {
        wait_by(token, [] { return detail::never; });
    }

    /// Returns: false if `length` went by first; the arrival stands, and the token can be waited with again. A length of 0
    ///          gives the others one turn.
    template <class Rep, class Period>
    bool wait_for(const arrival_token& token, std::chrono::duration<Rep, Period> length) const {
        return wait_by(token, [length] { return detail::deadline_after(length); });
    }
    template <class Clock, class Duration>
    bool wait_until(const arrival_token& token, std::chrono::time_point<Clock, Duration> when) const {
        return wait_by(token, [when] { return detail::deadline_at(when); });
    }

    /// A kill that is pending already is thrown before it arrives; one that comes later finds it arrived.
    /// Parks:   unless it is the last of the phase.
    /// Throws:  as arrive.
    void arrive_and_wait() {
        detail::attend();
        wait(arrive());
    }

    /// Arrives, and is not expected in any later phase. Does not wait.
    /// Throws:  as arrive.
    void arrive_and_drop() {
        meeting_.require_expected(1);
        meeting_.expect_one_less();
        count(1);
    }

    /// For who has arrived, and is killed before it can wait for the end of the phase or has just done so: is not expected
    /// in any phase after that of the token. If that is over, arrives in the present one for the last time. Does not wait.
    /// Throws:  as wait; as arrive.
    void drop(arrival_token&& token) {
        if (token.of_ != this) detail::throw_foreign_token();
        if (meeting_.is_over(token.phase_)) return arrive_and_drop();
        meeting_.require_more();
        meeting_.expect_one_less();
    }

private:
    void count(std::ptrdiff_t n) noexcept {
        if (!meeting_.count(n)) return;
        complete_phase();
        meeting_.next_phase();
    }

    void complete_phase() noexcept {
        if constexpr (!std::is_same_v<Completion, no_completion>) {
            const shield keep_back;
            completion_();
        }
    }

    template <class Deadline>
    bool wait_by(const arrival_token& token, Deadline deadline) const {
        if (token.of_ != this) detail::throw_foreign_token();
        detail::attend();
        return meeting_.is_over(token.phase_) || meeting_.wait_by(deadline());
    }

    detail::meeting meeting_;
    [[no_unique_address]] Completion completion_;
};

}  // namespace copse
