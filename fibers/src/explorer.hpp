// Runs a scenario once, and once more: chooses in the hub, interferes, and sees how each execution ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <copse/explore.hpp>
#include <copse/virtual_time.hpp>

#include "choices.hpp"
#include "hub_core.hpp"

namespace copse::detail {

/// What explore and explore_seeds have in common of their options.
struct exploration_rules {
    const char* operation;  // for messages
    std::string_view name;
    bool kills;
    bool timeouts;
    bool deadlines;
    std::size_t interferences;
    std::size_t max_dispatches;
    bool hangs;
};

/// How an execution went wrong; the first thing that did.
struct mishap {
    std::string text;
    std::exception_ptr cause;
};

/// While one lives it chooses in this thread's hub, has its error handler, and its time is virtual. On main.
class explorer final : public chooser {
public:
    /// Throws:  error if it is not on main, or fibers are unfinished.
    explicit explorer(const exploration_rules& rules);
    ~explorer();

    /// Runs it once, with choices from there. Whatever it leaves behind is killed.
    /// Returns: whether it went well.
    bool run(const scenario& scene, choices& by);

    const mishap& failure() const noexcept { return *failure_; }

    /// From now on it is written down who goes on.
    void tell() { telling_ = true; }
    const std::string& story() const noexcept { return story_; }

    // What a scenario asks: see exploration.
    std::size_t choose(std::size_t of);
    void fail(std::string text, std::exception_ptr cause) noexcept;
    bool interfered() const noexcept { return interfered_ != 0; }

    // What the hub asks.
    std::size_t pick(std::size_t of) noexcept override;
    void interfere() noexcept override;
    void chosen(ready_node& next) noexcept override;
    bool stuck() noexcept override;

private:
    void begin(choices& by);
    void call(const scenario& scene);
    void settle();
    void drain();
    void end_all() noexcept;
    template <class F>
    void call_first(F f) noexcept;
    void interrupt_main() noexcept;
    void require_nothing_left();
    void hear(const std::exception_ptr& error, const greenlet& of);
    bool is_mine(const std::exception_ptr& error) const;
    bool may_interfere() const noexcept { return choosing_ && interfered_ < rules_.interferences; }
    bool may_kill(const fiber_core& f) const noexcept { return rules_.kills && f.killing == kill_phase::none; }
    template <class Kill, class TimeOut>
    void for_each_parked(Kill kill, TimeOut time_out) noexcept;
    void apply(std::uint32_t taken, const alternatives& of) noexcept;
    void note_dispatch() noexcept;
    void interfere_with(fiber_core& f) noexcept;
    void kill(fiber_core& f) noexcept;
    void time_out(fiber_core& f) noexcept;
    void add_to_story(const std::string& what);
    std::string label(const core& c) const;

    const exploration_rules rules_;
    const virtual_time time_;
    hub_core& hub_;
    error_handler handler_before_;
    exploration face_{*this};

    choices* choices_ = nullptr;
    std::optional<mishap> failure_;
    std::deque<interrupt> interrupts_;          // thrown by us; stay where they are
    std::vector<std::exception_ptr> injected_;  // what they throw
    const core* helper_ = nullptr;              // a fiber of ours, which is left alone
    std::size_t interfered_ = 0;
    std::size_t dispatches_ = 0;
    std::size_t greenlets_before_ = 0;
    std::size_t stacks_before_ = 0;
    std::uint64_t last_id_before_ = 0;
    bool choosing_ = false;
    bool ended_all_ = false;
    bool killed_ = false;
    bool telling_ = false;
    std::string story_;
};

}  // namespace copse::detail
