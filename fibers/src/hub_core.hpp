// The hub, whole. What hub.hpp shows is its base.
//
// Invariants:
//   - A greenlet is in the ready queue at most once, and only if it is an unstarted fiber, yielded, or its wait is completed.
//   - Only next() takes from the ready queue, and whoever calls next() jumps to what it returns (or is it).
//   - A turn runs on the stack of whoever found the queue empty or the budget spent; user code (posted functions, clean-up of
//     what other threads dropped) runs on the hub's greenlet or on fibers, never in a turn.
//   - `sleeping` is true while the driver may have to be woken: a poster first files its callback, then looks at it.
//   - Word for a claimed wait is filed where posted functions are, and gets there while the wait's object is locked. It is
//     delivered when it is taken over; what is posted after it by the same thread comes after it. The hub is woken later, and
//     does not end before that.
#pragma once

#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>

#include <copse/detail/fiber_core.hpp>
#include <copse/detail/shared_wait.hpp>
#include <copse/hub.hpp>

#include "chooser.hpp"
#include "switch.hpp"
#include "thread_state.hpp"
#include "timer_wheel.hpp"

namespace copse {
class spawn_observer;
}  // namespace copse

namespace copse::detail {

/// A function on its way to the hub's greenlet. In the ready queue it is told from a greenlet by its frame.
struct callback : ready_node {
    explicit callback(std::function<void()> f);
    std::function<void()> run;
};

/// What hub_handles share. `hub` is null once it has ended.
struct hub_door {
    std::mutex mutex;
    struct hub_core* hub = nullptr;  // guarded by mutex
    std::atomic<std::size_t> holders{0};
};

/// Frames that are none: callbacks, and marks in the ready queue. At or below the last: look closer before jumping.
inline constexpr std::uintptr_t frame_of_callback = 1;
inline constexpr std::uintptr_t frame_of_turn_mark = 2;
/// Of what is posted only: word for a wait.
inline constexpr std::uintptr_t frame_of_word = 3;

/// Stands in the ready queue behind all who were ready when it came. When its turn comes, a wait that nobody has completed
/// times out.
class turn_mark : public ready_node {
public:
    turn_mark(hub_core& hub, wait& ends) noexcept;
    turn_mark(const turn_mark&) = delete;
    turn_mark& operator=(const turn_mark&) = delete;
    ~turn_mark();

    void reached() noexcept {
        queued_ = false;
        complete(ends_, cause::timed_out);
    }

    /// Its wait has ended otherwise: nothing happens when its turn comes.
    bool spent() const noexcept { return ends_.ended != cause::open; }

private:
    hub_core& hub_;
    wait& ends_;
    bool queued_ = true;
};

/// Measures how long greenlets hold the hub. While there is one, every dispatch takes a turn.
struct hold_meter {
    std::int64_t since = 0;  // of the hub's clock: the last dispatch
    std::int64_t longest = 0;
    hold_meter* next = nullptr;
};

class hub_watch;

struct hub_core : hub {
    explicit hub_core(thread_state& of);
    ~hub_core();

    static hub_core& here() {
        if (this_thread.hub != nullptr) [[likely]]
            return *this_thread.hub;
        return make();
    }
    static hub_core& of(const hub& h) noexcept { return static_cast<hub_core&>(const_cast<hub&>(h)); }
    static bool is_hub(const core& c) noexcept { return c.is(trait_eternal) && &c != &c.owner->main; }

    [[gnu::always_inline]] void push(ready_node& node) noexcept {
        node.next_ready = nullptr;
        *last_ = &node;
        last_ = &node.next_ready;
    }

    /// Takes the next greenlet from the ready queue, after a turn when it is empty or the budget is spent. It has a frame,
    /// unless a stack is on offer (see spare).
    [[gnu::always_inline]] core& next() noexcept {
        ready_node* node = first_;
        if (node == nullptr || --budget_ == 0) [[unlikely]]
            return next_by_turn();
        return take(*node);
    }

    bool has_ready() const noexcept { return first_ != nullptr; }

    /// For choosers: what is ready goes before all others.
    void bring_to_front(ready_node& node) noexcept;

    /// For choosers: time goes by until the next deadline, which there must be, although others are ready.
    void pass_next_deadline() noexcept;

    /// From now on `asked` chooses; null: first in, first out. Kept until it is replaced; hub::shuffle leaves it alone.
    void set_chooser(chooser* asked) noexcept;
    bool is_explored() const noexcept { return chooser_ != nullptr && !shuffler_; }
    void shuffle_by(std::optional<std::uint64_t> seed) noexcept;

    /// One of so many, as the chooser says, or at random.
    std::size_t draw(std::size_t of) noexcept;

    /// Takes back a greenlet that was made ready. Linear; for kills.
    void unpush(ready_node& node) noexcept;

    /// Runs `f` on the hub's greenlet, after what is ready now.
    void call_back(std::function<void()> f);

    void post_from_anywhere(std::function<void()> f);
    /// Word that this wait of ours has been claimed. Does not wake us: a promise to do that must have been made.
    void file_word(shared_wait& claimed) noexcept;
    /// From another thread that keeps us from ending now, by the object of a wait: from here on the promise does.
    void promise_wake() noexcept { promised_wakes_.fetch_add(1, std::memory_order_relaxed); }
    void keep_promise() noexcept {
        wake_from_anywhere();
        promised_wakes_.fetch_sub(1, std::memory_order_release);
    }
    /// Takes over what other threads have posted. Runs none of it.
    void take_posts() noexcept;
    void wake_from_anywhere() noexcept;
    /// Another thread has left mail for this one's state.
    void notice_mail() noexcept { wake_from_anywhere(); }

    /// Kills every fiber, the newest first, and gives them a second; what is killed by hand after that gets another. On
    /// main, at the end of the thread.
    void shut_down() noexcept;

    /// While the process forks. The doors of all hubs come before the thread's mail, its own driver after it.
    void hold_door() noexcept { door_->mutex.lock(); }
    void release_door() noexcept { door_->mutex.unlock(); }
    void hold_driver() noexcept { driver_mutex_.lock(); }
    void release_driver() noexcept { driver_mutex_.unlock(); }

    /// In the child of a fork: forgets whom it was to resume, except those that are marked to stay, what it was to call, and who
    /// could reach it.
    void renew_in_child() noexcept;

    /// A fiber has finished.
    void count_finished() noexcept {
        if (--unfinished == 0 && shutdown_ != nullptr) complete(*shutdown_, cause::satisfied);
    }

    [[noreturn]] void run_callbacks();

    std::int64_t now() noexcept { return driver_->now(); }

    const std::shared_ptr<hub_door>& door() const noexcept { return door_; }
    /// Grows with every dispatch: while it stays the same, one greenlet holds the hub. Also in a signal handler of this thread.
    std::uint64_t steps() const noexcept { return turns() + dispatches(); }
    /// Any thread.
    std::uint64_t turns() const noexcept { return turns_.load(std::memory_order_relaxed); }
    bool asleep() const noexcept { return sleeping_.load(std::memory_order_relaxed); }

    void add_meter(hold_meter& m) noexcept;
    void remove_meter(hold_meter& m) noexcept;

    /// Set while a watchdog looks at this hub, for its signal handler.
    std::atomic<hub_watch*> watch{nullptr};

    thread_state& state;
    timer_wheel timers;
    std::int64_t looked_at = 0;  // the clock at the last turn that read it
    core& greenlet_core;         // in the thread's state
    ring<spawn_observer> spawn_observers;
    unsigned unobserved = 0;  // unobserved_spawns
    std::size_t unfinished = 0;
    std::size_t shared_waits = 0;  // what other threads may end: while there are any, nothing is a deadlock
    std::uint64_t spawned = 0;
    std::uint64_t last_timeout;  // serial number; those of different hubs are 2^40 apart

    /// A stack whose fiber has finished and which is still stood on: the next unstarted fiber of this size may have it.
    struct {
        stack_slot* slot = nullptr;
        std::uint32_t request = 0;
    } spare;

private:
    friend class copse::hub;
    friend class copse::hub_handle;

    static constexpr unsigned dispatches_per_turn = 64;

    static hub_core& make();

    ready_node& pop() noexcept {
        ready_node& node = *first_;
        first_ = node.next_ready;
        if (first_ == nullptr) last_ = &first_;
        return node;
    }

    [[gnu::always_inline]] core& take(ready_node& node) noexcept {
        ready_node* after = node.next_ready;
        first_ = after;
        if (after == nullptr) {
            last_ = &first_;
        } else {
            // With many greenlets each switch misses cache and TLB: the next frame is fetched while this one runs, and the
            // block of the one after, which says where its frame is.
            __builtin_prefetch(after->frame);
            __builtin_prefetch(static_cast<char*>(after->frame) + 64);
            __builtin_prefetch(after->next_ready);
        }
        if (reinterpret_cast<std::uintptr_t>(node.frame) <= frame_of_turn_mark) [[unlikely]]
            return prepare(node);
        return static_cast<core&>(node);
    }

    core& next_by_turn() noexcept;
    core& prepare(ready_node& without_frame) noexcept;
    core* prepare_callback(callback& c) noexcept;
    core* prepare_fiber(fiber_core& f) noexcept;
    core* prepare_messenger(core& messenger) noexcept;
    void turn() noexcept;
    void file(ready_node& posted) noexcept;
    void renew_budget() noexcept;
    std::uint64_t dispatches() const noexcept { return dispatched_ + (granted_ - budget_); }
    void fire_timers() noexcept;
    void sleep() noexcept;
    void bury_mail() noexcept;
    void await_end() noexcept;
    bool return_to_main() noexcept;
    bool may_be_woken() const noexcept;
    void nothing_can_wake() noexcept;
    void report_deadlock() noexcept;
    void choose() noexcept;
    template <class Visit>
    void for_each_eligible(Visit visit) noexcept;
    std::size_t count_ready() const noexcept;

    ready_node* first_ = nullptr;
    ready_node** last_ = &first_;
    unsigned budget_ = dispatches_per_turn;
    unsigned granted_ = dispatches_per_turn;  // what the budget was after the last turn
    bool at_rest_ = true;                     // the hub's greenlet waits for callbacks, or has not run yet
    std::atomic<std::uint64_t> turns_{0};
    std::uint64_t dispatched_ = 0;     // up to the last turn
    ready_node* callbacks_ = nullptr;  // taken from the ready queue, to be run by the hub's greenlet
    ready_node** last_callback_ = &callbacks_;
    wait* idler_ = nullptr;     // run_until_idle
    wait* shutdown_ = nullptr;  // shut_down
    bool undertaker_ = false;   // a fiber is on its way to what other threads dropped
    bool ending_ = false;       // the thread ends: main kills by hand what is left
    std::int64_t end_of_grace_ = 0;
    chooser* chooser_ = nullptr;              // null: first in, first out
    std::optional<seeded_chooser> shuffler_;  // chooser_, or nobody
    std::minstd_rand dice_;                   // which of several ready cases a select takes, without a chooser
    hold_meter* meters_ = nullptr;

    std::mutex driver_mutex_;  // the driver is replaced by its thread, and woken by others
    std::unique_ptr<idle_driver> driver_;
    std::atomic<ready_node*> posted_{nullptr};  // callbacks and word, the newest first
    std::atomic<bool> sleeping_{false};
    std::atomic<std::size_t> promised_wakes_{0};
    std::shared_ptr<hub_door> door_ = std::make_shared<hub_door>();
};

/// While one lives, observers are not told of spawns: those of ours in a turn.
class unobserved_spawns {
public:
    explicit unobserved_spawns(hub_core& hub) noexcept : hub_(hub) { ++hub_.unobserved; }
    unobserved_spawns(const unobserved_spawns&) = delete;
    unobserved_spawns& operator=(const unobserved_spawns&) = delete;
    ~unobserved_spawns() { --hub_.unobserved; }

private:
    hub_core& hub_;
};

/// ", parked in …" or what else it does, for messages.
std::string describe_wait(const core& c);

/// Takes a greenlet out of everything that could wake it: its wait, its deadline, the ready queue. Tells whether it had
/// been given what it waited for.
gain withdraw_wait(core& parked) noexcept;

/// It is parked, and has been given what it waited for.
inline bool has_gained(const core& c) noexcept {
    return c.waiting != nullptr && c.waiting->ended == cause::satisfied && c.waiting->acquires == gain::something;
}

/// A kill or timeout may be thrown in it now: not while it unwinds or is shielded.
bool may_interrupt(const core& c) noexcept;

/// Where a fiber was spawned; null and 0 for others. Async-signal-safe.
const char* spawn_file(const core& c) noexcept;
unsigned spawn_line(const core& c) noexcept;

/// Asks for a fiber's kill; never throws.
void request_end(fiber_core& f) noexcept;

/// An interrupt is about to be thrown in `self`.
void note_thrown(core& self, const interrupt& thrown) noexcept;  // only its address counts

/// Ends a fiber that could not be started.
void fail_unstarted(fiber_core& f, std::exception_ptr error) noexcept;

/// A failure that nobody has observed is told when nobody can any more.
void last_word(fiber_core& f) noexcept;

/// The default driver: no descriptors.
std::unique_ptr<idle_driver> make_plain_driver();

}  // namespace copse::detail
