/// Exploring: running a scenario of fibers in every order in which it could go. For tests of what must hold in all of them.
///
/// Not in fibers.hpp: a tool for tests, as virtual_time.hpp is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace copse {

namespace detail {
class explorer;
}  // namespace detail

/// The interferences are put at every place where they can come: as many in one execution as `interferences` says.
struct explore_options {
    std::string name{};      ///< in messages, and to tell whose failure a COPSE_REPLAY repeats
    bool kills = false;      ///< a fiber is killed: at a wait, right after it was made ready, or before it starts
    bool timeouts = false;   ///< timeout_expired is thrown in a fiber at a wait, as by a `timeout` around it
    bool deadlines = false;  ///< the next deadline comes although others are ready: they were slow
    std::size_t interferences = 1;
    std::size_t limit = 1'000'000;  ///< executions
    /// Of one execution: what comes later is not varied. For scenarios that poll, whose choices have no end.
    std::size_t max_choices = 1'000;
    /// Of one execution: one that has not come to its end by then is taken to hang.
    std::size_t max_dispatches = 100'000;
    bool hangs = false;  ///< a hang is no failure: would_block_forever is thrown in main, as it always is
    /// From the line of a failure: only this execution. Empty: what COPSE_REPLAY in the environment says.
    std::string replay{};
};

/// Interferences come now and then. All else as in explore_options.
struct explore_seeds_options {
    std::string name{};
    bool kills = false;
    bool timeouts = false;
    bool deadlines = false;
    std::size_t interferences = 1;
    std::size_t seeds = 1'000;  ///< how many executions
    std::uint64_t first = 1;    ///< the first seed; the others follow it
    std::size_t max_dispatches = 1'000'000;
    bool hangs = false;
};

/// How far it has come.
struct explored {
    std::size_t executions = 0;
    std::size_t choices = 0;  ///< of all executions together, between two or more
    std::size_t deepest = 0;  ///< most choices in one execution
    bool complete = false;    ///< every order was run; false: a limit came first
};

/// An execution went wrong. The text says how, who went on in which order, and ends with a line that repeats it:
///
///     COPSE_REPLAY=0,2,0*4,k1
///
/// One word for each choice. A number chooses among those that are ready (cases of a select, alternatives of
/// `exploration::choose`), counted from 0 in the order in which they came; `0*4` is four zeros; where something may come in
/// between, 0 says that nothing does, `k1` kills and `t1` times out the second of those who may be, `d` lets the next
/// deadline come. Zeros at the end are left out. With seeds the line is COPSE_SEED=17. The order of the text names fibers
/// by their names, those without one by the place of their spawn: #1, #2.
class exploration_failed : public std::runtime_error {
public:
    exploration_failed(const std::string& text, std::string replay, std::exception_ptr cause);
    exploration_failed(const exploration_failed&) noexcept = default;
    exploration_failed& operator=(const exploration_failed&) noexcept = default;
    ~exploration_failed() override;

    /// What explore_options::replay takes; of a seed, the seed.
    const std::string& replay() const noexcept { return *replay_; }

    /// What the scenario threw, or what nobody observed; null if it failed otherwise.
    const std::exception_ptr& cause() const noexcept { return cause_; }

private:
    std::shared_ptr<const std::string> replay_;  // copying must not throw
    std::exception_ptr cause_;
};

/// What a scenario can ask and say.
class exploration {
public:
    /// A choice of the scenario's own: every alternative is run, as every order is.
    /// Returns: 0 to `of` - 1.
    /// Throws:  std::invalid_argument for 0.
    std::size_t choose(std::size_t of);

    /// Must hold. What does not is a failure with this text. The execution goes on to its end, so that it may be said
    /// anywhere, also in fibers and destructors.
    void check(bool holds, std::string_view text) noexcept;

    /// Somebody was killed or timed out, or a deadline came early, in this execution so far.
    bool interfered() const noexcept;

    exploration(const exploration&) = delete;
    exploration& operator=(const exploration&) = delete;

private:
    friend class detail::explorer;
    explicit exploration(detail::explorer& by) noexcept : by_(by) {}
    ~exploration() = default;
    detail::explorer& by_;
};

using scenario = std::function<void(exploration&)>;

/// Calls `run` again and again, each time with another order in which ready fibers go on, until there is none left. Time is
/// virtual.
///
///     copse::explore({.kills = true}, [](copse::exploration& run) {
///         copse::semaphore permits(1);
///         const auto use = [&] { permits.acquire(); copse::yield(); permits.release(); };  // wrong: a kill keeps it
///         const auto a = copse::spawn(use), b = copse::spawn(use);
///         copse::join_all(a, b);
///         run.check(permits.available() == 1, "the permit is back");
///     });
///
/// The scenario runs on main, spawns what it wants, and returns when all of that has finished. It must be deterministic:
/// what it does may depend on nothing but the order, virtual time and `choose`. It has no other threads: a wait that only
/// one of those could end is a hang. Deadlines come in their order, equal ones in the order in which they were armed; with
/// `deadlines` other orders are run too.
///
/// It is a failure if a check does not hold; if it throws; if it hangs (then its fibers are killed, so that it can return);
/// if it leaves fibers, greenlets, stacks or deadlines behind; if nobody observes a fiber's failure. What an interference
/// throws is none when it leaves a fiber or the scenario, nor is fiber_killed after a kill.
///
/// Orders are what the hub could do: any ready greenlet may be next, but posted functions and raw links keep their order
/// among themselves, and a wait of length 0 ends after all have run who were ready when it began. The search goes depth
/// first, so a limit cuts off orders that differ early: where it does, add `explore_seeds`. Of an execution that ends the
/// process (an object ends while it is waited for, a fault) the line that repeats it is written to stderr.
///
/// Parks:   main greenlet only, while no fiber of the thread is unfinished and nobody holds a hub_handle. One thread of
///          the process at a time.
/// Throws:  exploration_failed; not_deterministic if an execution cannot be repeated; error if called elsewhere or while
///          fibers are unfinished; null_callable; std::invalid_argument for a replay that cannot be read, or does not fit.
/// Cost:    about a microsecond an execution, and what the scenario does.
explored explore(const explore_options& with, const scenario& run);
explored explore(const scenario& run);

/// The same with orders drawn from seeds, one execution for each: for scenarios that have too many orders. What `choose`
/// returns is drawn, too, so a scenario can be a program made by chance. COPSE_SEED in the environment (with the name and a
/// colon before it, if there is a name): only this seed.
explored explore_seeds(const explore_seeds_options& with, const scenario& run);

}  // namespace copse
