/// What groups, pools and nurseries have in common: a set of unfinished fibers.
///
/// Functions are called on the thread that owns the set; fibers of other threads are refused with `wrong_thread`, empty
/// handles with `empty_handle`.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <copse/detail/fiber_core.hpp>
#include <copse/detail/wait.hpp>
#include <copse/fiber.hpp>

namespace copse {

/// What ends a join of a set early, and what it throws.
struct set_join_options {
    std::optional<std::chrono::nanoseconds> timeout{};  ///< how long to wait at most
    bool raise_error = false;                           ///< throw a failure of those that were members at the call
};

class fiber_set;

namespace detail {

struct member_place : wait_link {};  // among the members
struct member_claim : wait_link {};  // in a pool: in the line for a slot

/// A fiber in a set: told of its end, and ended by it. Owned by the set.
struct member final : observer, member_place, member_claim {
    member(fiber_set& in, void (*when_told)(observer&) noexcept) noexcept : observer(when_told), of(in) {}

    fiber_set& of;
    fiber_core* who = nullptr;
    wait* spawner = nullptr;  // in a pool: who waits for its slot
    bool has_slot = false;    // in a pool
    bool held = false;        // in a pool: has not been started, for want of a slot
};

}  // namespace detail

/// Unfinished fibers. One leaves when it finishes: before anybody learns of its end who asked for that after it came in.
class fiber_set {
public:
    fiber_set(const fiber_set&) = delete;
    fiber_set& operator=(const fiber_set&) = delete;

    /// It is no member from here on, and goes on. No member: nothing.
    void discard(const any_fiber& f);

    /// Cost:    in proportion to how many wait for the end of `f`.
    bool contains(const any_fiber& f) const;

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

    /// Handles on those that are members now, in the order in which they came (those that were asked to end first).
    std::vector<any_fiber> members() const;

    /// Waits for the first moment at which there is no member (rule 103): what members add before that is waited for, what
    /// comes later is not. Acquires nothing.
    /// Parks:   unless it is empty.
    /// Throws:  would_block_forever (in main); what is raised into the caller. No failure of a member: those stay with their
    ///          fibers, unobserved.
    void join() { wait_empty(joiners_, detail::never); }

    /// Returns: whether that moment came in time. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool join_for(std::chrono::duration<Rep, Period> length) {
        return wait_empty(joiners_, detail::deadline_after(length));
    }
    template <class Clock, class Duration>
    bool join_until(std::chrono::time_point<Clock, Duration> when) {
        return wait_empty(joiners_, detail::deadline_at(when));
    }

    /// The same as the options say. With `raise_error` it is an observer (decision 5) of one failure, which it throws when
    /// the wait is over, whether in time or not: of those that were members at the call, the first in their order that has
    /// failed. Other failures stay unobserved.
    bool join(const set_join_options& with);

    /// Asks every member to end, once in its time as a member (rule 104), and those that come while this waits as well.
    /// Then waits for the set to be empty. If the caller is a member, it is killed here; if it cannot be now (shielded, or
    /// in its clean-up), nobody is waited for.
    /// Parks:   unless it is empty.
    void kill() { kill_by(detail::never); }

    /// Returns: whether the set was empty in time. The kills stay asked for.
    template <class Rep, class Period>
    bool kill_for(std::chrono::duration<Rep, Period> length) {
        return kill_by(detail::deadline_after(length));
    }

    /// Asks those that are members now, and does not wait. Those that have not started never will: what they would have
    /// called is destroyed here.
    void request_kill() noexcept;

protected:
    using new_member = std::unique_ptr<detail::member>;

    explicit fiber_set(const char* kind) noexcept : kind_(kind) {}
    /// Lets every member go.
    ~fiber_set();

    /// Made before the fiber is, so that entering cannot fail.
    new_member make_member() { return std::make_unique<detail::member>(*this, &fiber_set::told); }
    void enter(new_member made, detail::fiber_core& f) noexcept;
    detail::member* find(const detail::fiber_core& f) const noexcept;
    void let_go(detail::member& gone) noexcept;

    /// The current greenlet is a member, or was made by one.
    bool inside() const noexcept;

    bool wait_empty(detail::wait_list& list, std::int64_t deadline);
    bool kill_by(std::int64_t deadline);

    template <class F>
    void for_each(F f) const {
        const auto visit = [&f](const detail::member_place& p) {
            f(const_cast<detail::member&>(static_cast<const detail::member&>(p)));
        };
        asked_.for_each(visit);
        fresh_.for_each(visit);
    }

    detail::wait_list joiners_;

private:
    static void told(detail::observer& o) noexcept;

    /// A member has finished, and still counts. May run what destroys callables.
    virtual void ended(detail::fiber_core& /*f*/) noexcept {}
    /// `gone` is no member any more.
    virtual void left(detail::member& /*gone*/) noexcept {}

    const char* const kind_;
    std::size_t size_ = 0;
    detail::ring<detail::member_place> fresh_;  // not asked to end
    detail::ring<detail::member_place> asked_;
    detail::wait_list killers_;  // while one waits, whoever enters is asked to end
};

}  // namespace copse
