// Everything a thread knows of its greenlets. Made by the first use of copse on the thread, ended when the thread ends; the
// memory stays until the last block of the thread is gone, since blocks name their thread.
//
// Invariants:
//   - Only the owner thread touches anything but `mail_` and what it guards, and `exited_`.
//   - The registry holds every started, unfinished greenlet and every unfinished fiber, newest first; not main, not hub.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <copse/detail/core.hpp>
#include <copse/detail/handle_access.hpp>
#include <copse/greenlet.hpp>
#include <copse/trace.hpp>
#include <copse/value.hpp>

#include "block_pool.hpp"
#include "fork.hpp"
#include "sanitizers.hpp"
#include "stack_pool.hpp"

namespace copse::detail {

/// Runs on a suspended greenlet's stack, and switches nowhere.
struct visitor {
    virtual void visit() noexcept = 0;

protected:
    ~visitor() = default;
};

/// The payload of a switch that is not plain, from the jump to the arrival. Nothing runs in between.
struct switch_in_flight {
    value payload;
    std::exception_ptr exception;  // set: the arrival throws it
    visitor* guest = nullptr;      // set: nothing else is
    greenlet from;                 // who was left: set while tracing, and by a greenlet that died
};

class thread_state {
public:
    thread_state();
    ~thread_state();
    thread_state(const thread_state&) = delete;
    thread_state& operator=(const thread_state&) = delete;

    /// This thread's, made if need be. Throws thread_exited once it has ended.
    static thread_state& here() {
        if (this_thread.state != nullptr) [[likely]]
            return *this_thread.state;
        return make();
    }

    std::uintptr_t gate() const noexcept { return reinterpret_cast<std::uintptr_t>(this); }

    /// Opens or shuts the thread's gate, as things stand.
    void settle_gate() noexcept;

    /// Kills or ends what other threads dropped. Switches, so never in a turn, on the hub's greenlet, or between two stacks.
    void bury_dropped();
    bool has_dropped() const noexcept { return has_dropped_.load(std::memory_order_seq_cst); }

    /// The same, where that may be done now.
    void attend_mail() {
        if (!has_dropped() || (this_thread.current->attention & attend_hub) != 0) [[likely]]
            return;
        bury_dropped();
        settle_gate();
    }

    /// Takes back the memory that other threads freed. Runs nothing.
    void take_freed() noexcept;
    bool has_freed() const noexcept { return has_freed_.load(std::memory_order_relaxed); }

    /// From another thread: leaves a reference to its owner. False if that has exited.
    bool send_dropped(core& block) noexcept;
    /// From another thread: gives memory back; may end this state if its thread has exited.
    void free_from_elsewhere(void* block, std::size_t size) noexcept;
    /// From another thread, or after the end of this one: drops a handle on main or hub.
    void release_eternal(core& eternal) noexcept;
    void release_eternal_weak(core& eternal) noexcept;
    std::uint64_t next_id() noexcept { return ++last_id; }

    void own_hub(std::unique_ptr<hub_core> made);

    /// No other thread is in the middle of anything of ours while the process forks.
    void before_fork() noexcept;
    void after_fork() noexcept;

    void enlist(core& unfinished) noexcept {
        unfinished.older = newest_;
        unfinished.newer = nullptr;
        if (newest_ != nullptr) newest_->newer = &unfinished;
        newest_ = &unfinished;
    }
    void strike_off(core& finished) noexcept {
        (finished.newer != nullptr ? finished.newer->older : newest_) = finished.older;
        if (finished.older != nullptr) finished.older->newer = finished.newer;
        finished.newer = finished.older = nullptr;
    }
    core* newest() const noexcept { return newest_; }

    /// Tells the error handler. Never throws: a handler that does is itself reported to stderr.
    void report(const std::exception_ptr& exception, const greenlet& concerned) noexcept;

    bool exited() const noexcept { return exited_.load(std::memory_order_acquire); }

    core main;
    core hub_greenlet;   // the hub's: here, because fibers name it as their parent even when the hub has gone
    core* root = &main;  // whose end ends the hub; in the child of a fork perhaps a fiber
    left_behind left;
    core grave;                // current while the stack of a dead greenlet is being left
    core* entering = nullptr;  // who runs on the stack that is about to be entered for the first time
    switch_in_flight in_flight;
    core* orphans = nullptr;  // suspended without a handle, chained by next_ready: killed by the next arrival
    std::uint64_t last_id;
    trace_function trace;
    error_handler on_error;
    checked_stack* left_stack = nullptr;  // of the stack just left for ever: forgotten on arrival
    const bool sanitized = sanitizer_present();
    block_pool blocks;
    std::optional<stack_pool> stacks;  // ends with the thread, before this

private:
    friend struct thread_end;

    static thread_state& make();
    void end() noexcept;
    void hold_shared_objects() noexcept;
    bool unused() const noexcept;
    void end_newest() noexcept;
    void end_hub() noexcept;

    std::atomic<std::uintptr_t>* gate_of_thread_ = nullptr;
    void keep_for_ever() noexcept;
    bool kept_for_ever_ = false;
    thread_state* next_kept_ = nullptr;
    core* newest_ = nullptr;
    std::atomic<bool> has_dropped_{false};
    std::atomic<bool> has_freed_{false};
    std::atomic<bool> exited_{false};

    std::vector<std::mutex*> held_for_fork_;  // of shared objects that greenlets of this thread wait at
    std::mutex mail_;
    std::vector<core*> dropped_;     // guarded by mail_
    std::unique_ptr<hub_core> hub_;  // guarded by mail_ where other threads look
    struct freed_block {
        void* memory;
        std::size_t size;
    };
    std::vector<freed_block> freed_;  // guarded by mail_
};

/// While one lives, a wait of the current greenlet throws blocking_in_hub: it is in the middle of something of ours.
class no_waits {
public:
    no_waits() noexcept : self_(*this_thread.current), before_(self_.attention) { self_.attention |= attend_hub; }
    no_waits(const no_waits&) = delete;
    no_waits& operator=(const no_waits&) = delete;
    ~no_waits() {
        if ((before_ & attend_hub) == 0) self_.attention &= static_cast<std::uint8_t>(~attend_hub);
    }

private:
    core& self_;
    const std::uint8_t before_;
};

/// Throws for a handle that is empty or belongs to another thread: empty_handle, thread_exited, wrong_thread.
[[noreturn]] void refuse(const greenlet& g, const char* operation);

/// Ends the process: an invariant of ours is broken, or a rule that has no exception.
[[noreturn]] void fatal(const char* what) noexcept;

/// Must hold, always on.
inline void must(bool holds, const char* what) noexcept {
    if (!holds) [[unlikely]]
        fatal(what);
}

}  // namespace copse::detail
