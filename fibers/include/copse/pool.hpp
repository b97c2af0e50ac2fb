/// Pools: groups with a limit.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <copse/detail/spawn_forms.hpp>
#include <copse/detail/task_batch.hpp>
#include <copse/fiber_set.hpp>
#include <copse/imap.hpp>

namespace copse {

/// A set of fibers of which only so many run at a time. Each that runs has one of the pool's slots until it finishes; then the
/// slot goes to whoever has waited longest for one (decision 3).
///
///     copse::pool downloads(8);
///     for (const std::string& page : downloads.map(urls, fetch)) std::cout << page;
///
/// `spawn` parks while the pool is full. The fiber that waits for its slot is a member already: it is joined and killed
/// with the others, is among `members`, and is started by the hand-over of a slot. Whoever is killed while waiting in
/// `spawn` takes that fiber along, unstarted; no slot is lost.
///
/// Members that live longer than the pool go on untracked, and those that wait for a slot start. Owner thread only. Ending
/// it while fibers wait for it aborts with a message.
class pool final : public fiber_set, public detail::spawn_forms<pool> {
public:
    /// 0: never starts anything.
    /// Throws:  std::invalid_argument for a negative capacity.
    template <std::integral N>
    explicit pool(N capacity) : pool(slots{static_cast<std::size_t>(capacity)}) {
        if (std::cmp_less(capacity, 0)) throw_negative(static_cast<std::intmax_t>(capacity));
    }
    ~pool();

    /// `spawn(f, args...)`, `spawn(spawn_options, f, args...)`: as copse::spawn, in a slot.
    /// Parks:   until there is one. A member that waits here in a pool that only members can free is dead-locked: see `apply`.
    using detail::spawn_forms<pool>::spawn;

    /// The same without parking.
    /// Returns: empty if no slot is free; then nothing was copied.
    template <class F, class... Args>
        requires(detail::fiber_callable<F, Args...>)
    auto try_spawn(F&& f, Args&&... args) {
        using made =
            decltype(detail::make_fiber(nullptr, source_site(), 0, std::forward<F>(f), std::forward<Args>(args)...));
        if (full()) return std::optional<made>();
        return std::optional<made>(queue(nullptr, source_site(), std::forward<F>(f), std::forward<Args>(args)...));
    }
    template <class F, class... Args>
        requires(detail::fiber_callable<F, Args...>)
    auto try_spawn(const spawn_options& with, F&& f, Args&&... args) {
        using made = decltype(detail::make_fiber(&with, with.site, 0, std::forward<F>(f), std::forward<Args>(args)...));
        if (full()) return std::optional<made>();
        return std::optional<made>(queue(&with, with.site, std::forward<F>(f), std::forward<Args>(args)...));
    }

    /// Returns: empty if there was no slot for `length`; the copies that were made are destroyed. A length of 0 gives the
    ///          others one turn.
    template <class Rep, class Period, class F, class... Args>
        requires(detail::fiber_callable<F, Args...>)
    auto spawn_for(std::chrono::duration<Rep, Period> length, F&& f, Args&&... args) {
        return spawn_by([ns = detail::length_of(length)] { return detail::deadline_of_length(ns); }, nullptr,
                        source_site(), std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Makes a fiber that runs already a member, with a slot. One that is a member, or has finished: nothing.
    /// Parks:   until there is a slot; the fiber goes on meanwhile. Killed here, it is no member.
    void add(const any_fiber& f);

    /// Never parks.
    /// Returns: whether it is a member now.
    bool try_add(const any_fiber& f);

    /// Calls `f` in a member and waits for its result; in a member, directly (rule 102): it cannot wait for itself.
    /// Killed while it waits, it kills that member, waits for its end, and goes on being killed: what `f` refers to may be
    /// the caller's.
    /// Parks:   yes; in a member only as `f` does.
    /// Throws:  what `f` throws; fiber_killed.
    template <class F, class... Args>
        requires(detail::fiber_callable<F, Args...>)
    detail::fiber_result<F, Args...> apply(F&& f, Args&&... args) {
        if (inside()) {
            std::tuple<std::decay_t<F>, std::decay_t<Args>...> call(std::forward<F>(f), std::forward<Args>(args)...);
            return std::apply(
                [](auto& g, auto&... each) -> detail::fiber_result<F, Args...> {
                    return std::invoke(std::move(g), std::move(each)...);
                },
                call);
        }
        detail::task_batch<detail::fiber_result<F, Args...>> one;
        one.add(spawn_as(nullptr, source_site(), std::forward<F>(f), std::forward<Args>(args)...));
        return one[0].get();
    }

    /// Spawns without parking: if the pool is full the fiber waits for its slot unstarted, without a stack, in line with those
    /// that park in `spawn`. It is a member all the while (gevent: untracked, so that join could return first).
    template <class F, class... Args>
        requires(detail::fiber_callable<F, Args...>)
    auto apply_async(F&& f, Args&&... args) {
        return queue(nullptr, source_site(), std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Calls `f` with every element, each in a member, and waits for all of them. `f` itself is shared by them. Elements that a
    /// forward range refers to are passed as they are; others are copied (moved, where they cannot be) into their fiber.
    /// In a member the calls are made directly, one after the other, as in `apply`.
    /// Parks:   yes.
    /// Returns: the results in the order of the range; nothing if `f` returns nothing.
    /// Throws:  the failure of the first element that failed, when all have finished (rule 105); those of the others go to
    ///          the error handler. What the range throws, and what is raised into the caller: then the members are killed
    ///          and waited for first.
    template <std::ranges::input_range Range, class F>
    auto map(Range&& range, F f) {
        using result = detail::element_result<Range, F>;
        if (inside()) return detail::map_here<result>(range, f);
        detail::task_batch<result> tasks;
        for (auto&& element : range)
            tasks.add(spawn_call(detail::call_with_element<Range>(f, std::forward<decltype(element)>(element))));
        return tasks.results();
    }

    /// As `map`, result by result, while the tasks go on: a range that can be walked once.
    ///
    ///     for (const page& p : downloads.imap({.bound = 20}, urls, fetch)) print(p);
    ///
    /// The range is read by a fiber of its own, from the first use of the result on, and only as far as `bound` allows: so
    /// many elements may be started, or finished and not yet taken. So the range may be endless, and may park. `imap` gives
    /// the results in the order of the range, `imap_unordered` in that in which they finish. See imap_results for failures.
    /// A range given as an lvalue is referred to, else moved in; the pool must live longer than the result.
    /// Throws:  std::invalid_argument for a bound of 0.
    template <std::ranges::input_range Range, class F>
    auto imap(const imap_options& with, Range&& range, F f) {
        return imap_as(detail::result_order::of_input, with, std::forward<Range>(range), std::move(f));
    }
    template <std::ranges::input_range Range, class F>
    auto imap(Range&& range, F f) {
        return imap(imap_options{}, std::forward<Range>(range), std::move(f));
    }
    template <std::ranges::input_range Range, class F>
    auto imap_unordered(const imap_options& with, Range&& range, F f) {
        return imap_as(detail::result_order::of_finish, with, std::forward<Range>(range), std::move(f));
    }
    template <std::ranges::input_range Range, class F>
    auto imap_unordered(Range&& range, F f) {
        return imap_unordered(imap_options{}, std::forward<Range>(range), std::move(f));
    }

    std::size_t capacity() const noexcept { return capacity_; }
    std::size_t free_count() const noexcept { return free_; }
    bool full() const noexcept { return free_ == 0; }
    /// How many members have a slot: never more than the capacity.
    std::size_t size() const noexcept { return capacity_ - free_; }
    /// How many wait for one. Cost: in proportion.
    std::size_t queued() const noexcept { return line_.size(); }

    /// Waits until a slot is free that nobody is in line for, and does not take it: it may be gone by the caller's turn.
    /// Parks:   while the pool is full.
    void wait_available() { wait_available_by(detail::never); }
    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    bool wait_available_for(std::chrono::duration<Rep, Period> length) {
        return wait_available_by(detail::deadline_after(length));
    }

private:
    friend class detail::spawn_forms<pool>;
    template <class Pool, class Range, class F>
    friend class imap_results;
    struct slot_wait;
    struct slots {
        std::size_t count;
    };
    explicit pool(slots all) noexcept : fiber_set("pool"), capacity_(all.count), free_(all.count) {}
    [[noreturn]] static void throw_negative(std::intmax_t capacity);

    /// A place for a fiber that is about to be made, and its slot if one is free. Given back unless the fiber is admitted.
    class admission {
    public:
        explicit admission(pool& to) : pool_(to), room_(to.make_member()) { room_->has_slot = to.take_slot(); }
        admission(const admission&) = delete;
        admission& operator=(const admission&) = delete;
        ~admission() {
            if (room_ != nullptr && room_->has_slot) pool_.give_slot();
        }

        bool has_slot() const noexcept { return room_->has_slot; }
        /// `fresh`: without a slot it is held.
        void admit(detail::fiber_core& f, bool fresh) noexcept;

    private:
        pool& pool_;
        fiber_set::new_member room_;
    };

    /// Makes a member: ready to run if a slot is free, else held.
    template <class F, class... Args>
    auto queue(const spawn_options* with, source_site site, F&& f, Args&&... args) {
        admission next(*this);
        auto made = detail::make_fiber(with, site, next.has_slot() ? 0 : detail::never, std::forward<F>(f),
                                       std::forward<Args>(args)...);
        next.admit(detail::fiber_access::block(made, "spawn"), true);
        return made;
    }

    // The clock is only read when it comes to waiting.
    template <class Deadline, class F, class... Args>
    auto spawn_by(Deadline deadline, const spawn_options* with, source_site site, F&& f, Args&&... args) {
        detail::attend();
        auto made = queue(with, site, std::forward<F>(f), std::forward<Args>(args)...);
        std::optional<decltype(made)> started;
        if (await_slot(detail::fiber_access::block(made, "spawn"), deadline)) started.emplace(std::move(made));
        return started;
    }

    template <class F, class... Args>
    auto spawn_as(const spawn_options* with, source_site site, F&& f, Args&&... args) {
        return *spawn_by([] { return detail::never; }, with, site, std::forward<F>(f), std::forward<Args>(args)...);
    }

    template <class Call>
    auto spawn_call(Call call) {
        return spawn_as(nullptr, source_site(), std::move(call));
    }

    template <class Range, class F>
    auto imap_as(detail::result_order order, const imap_options& with, Range&& range, F f) {
        const std::size_t bound = with.bound.value_or(capacity_ == 0 ? 1 : capacity_);
        return imap_results<pool, Range, F>(order, *this, bound, std::forward<Range>(range), std::move(f));
    }

    template <class Deadline>
    bool await_slot(detail::fiber_core& f, Deadline deadline) {
        detail::member* m = find(f);
        if (m == nullptr || m->has_slot) return true;
        return await_slot_by(*m, deadline());
    }
    bool await_slot_by(detail::member& m, std::int64_t deadline);
    bool wait_available_by(std::int64_t deadline);
    bool take_slot() noexcept;
    void give_slot() noexcept;
    static void give_slot_to(detail::member& first) noexcept;
    void left(detail::member& gone) noexcept override;

    std::size_t capacity_;
    std::size_t free_;  // not 0: nobody is in line
    detail::ring<detail::member_claim> line_;
    detail::wait_list watchers_;  // wait_available
};

}  // namespace copse
