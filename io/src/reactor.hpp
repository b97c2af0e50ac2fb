// The reactor: what fibers of one thread wait for on which descriptor, and what epoll said about it.
//
// A descriptor of a socket is registered once, edge-triggered, for both directions, when it first has to wait; readiness
// is remembered in its entry. A descriptor given by number may be read by others, so nothing is remembered: each wait
// arms it anew (EPOLLONESHOT, level-triggered), which asks the kernel afresh.
//
// Invariants:
//   - Whoever holds a wait in an entry's list is counted in watching_, by the wait's own constructor and undo.
//   - Delivering an event never switches and runs no user code.
//   - Events go to a buffer of the reactor's, since a turn runs on whatever stack there is.
//   - Everything but wake() is for the owner thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include <copse/hub.hpp>
#include <copse/idle_driver.hpp>
#include <copse/io/detail/limit.hpp>
#include <copse/io/wait.hpp>

#include "entry_table.hpp"
#include "guest.hpp"
#include "home_block.hpp"

namespace copse::io::detail {

struct interest;

class reactor {
public:
    /// Of a thread that has none use here().
    explicit reactor(std::uint64_t serial);
    ~reactor();
    reactor(const reactor&) = delete;
    reactor& operator=(const reactor&) = delete;

    /// This thread's, made if need be.
    /// Throws:  thread_exited; std::system_error; std::bad_alloc.
    static reactor& here() {
        if (home.now != nullptr) [[likely]]
            return *home.now;
        return make();
    }
    /// Before a wait for what others do: somebody may have put another driver into the hub since.
    static void stay_in_hub() {
        if (home.now != nullptr) home.now->drive();
    }
    std::uint64_t serial() const noexcept { return serial_; }
    entry_table& table() noexcept { return table_; }

    /// Gives the number to a socket, which may expect `ready` of it. What was known of its last holder is forgotten.
    entry& adopt(int fd, std::uint8_t ready, bool drains, bool messages);

    /// Step 2: lets others run after 128 operations in a row that did not park. False if the entry changed hands meanwhile.
    [[gnu::always_inline]] bool spend(const entry& e) {
        if (--budget_ != 0) [[likely]]
            return true;
        return rest(e);
    }

    /// Steps 3 and 4: parks until an event says that `d` is ready, and comes back then, or for no reason.
    /// Returns: false at the deadline.
    /// Throws:  concurrent_use, std::system_error(EBADF) if the number changed hands, what is pending.
    bool await(entry& e, direction d, limit& within, const char* operation);

    /// The same for a descriptor given by number.
    bool await_by_number(int fd, direction d, limit& within, sharing who, const char* operation);

    /// Parks until something happens to one of several descriptors, given by number, that were not ready when poll was
    /// asked just now, and comes back then, or for no reason. Each may be waited for by others too. What never blocks is
    /// passed over.
    /// Returns: false at the deadline.
    /// Throws:  std::system_error of epoll; what is pending.
    bool await_any(std::span<interest> all, limit& within, const char* operation);

    /// Has `w` told when the number changes hands. It has been found open.
    void watch_end(int fd, watch& w);

    /// For those whose watches may be there longer than the thread.
    std::shared_ptr<reactor> share() const noexcept { return self_.lock(); }

    /// Counts the forks from the first process to this one: what is behind a number is shared with the parent.
    unsigned forks() const noexcept { return forks_; }

    /// Parks a moment, because the kernel lacks memory: 1 ms, doubling. False when there were enough of them, or at the
    /// deadline.
    bool pause(const entry& e, limit& within, unsigned attempt, const char* operation);

    /// We have shut this direction: from now on every call answers at once, with its end.
    void has_ended(entry& e, direction d) noexcept;

    /// The number is about to change hands: fails the waiters, forgets everything.
    void closing(entry& e) noexcept;

    /// Watches the descriptor of another event loop. Edges are told; `remind` has what is readable told again.
    /// Throws:  std::system_error.
    void add(guest& g);
    void remove(guest& g) noexcept;
    void remind(const guest& g) noexcept;

    // Of the driver.
    void wait(std::int64_t deadline) noexcept;
    bool poll() noexcept;  // whether there was anything
    void wake() noexcept;
    bool awaits_kernel() const noexcept;
    std::size_t watching() const noexcept { return watching_ + (has_busy_guest() ? 1 : 0); }
    void abandon_in_child() noexcept;

private:
    friend class reactor_driver;
    struct descriptor_wait;
    struct common_wait;
    struct event_buffer;

    static reactor& make();
    void open();
    void drive();
    bool rest(const entry& e);
    bool park(entry& e, direction d, limit& within, const char* operation);
    bool await_once(entry& e, direction d, limit& within, sharing who, const char* operation);
    bool await_unremembered(entry& e, direction d, limit& within, sharing who, const char* operation);
    void refuse_company(entry& e, direction d, sharing who, const char* operation);
    void forget_stale(entry& e) noexcept;
    bool join(interest& i, const char* operation);
    int arm_watched(entry& e, std::uint32_t events) noexcept;
    int arm_edge(entry& e) noexcept;
    int arm_oneshot(entry& e, std::uint8_t directions, std::uint32_t more = 0) noexcept;
    int control(entry& e, std::uint32_t events) noexcept;
    int try_control(entry& e, std::uint32_t events) noexcept;
    bool is_intact() noexcept;
    bool still_known(entry& e) noexcept;
    void orphan(entry& e, int error) noexcept;
    void disown(entry& e) noexcept;
    void fail_waiters(entry& e, int error) noexcept;
    void tell_watchers(entry& e, std::uint32_t events) noexcept;
    void end_watchers(entry& e, int error) noexcept;
    void take(int n) noexcept;
    void harvest(int n) noexcept;
    void deliver(entry& e, std::uint32_t events) noexcept;
    int look(std::int64_t deadline) noexcept;
    int look_by_milliseconds(std::int64_t left) noexcept;
    void rebuild(int error) noexcept;
    void rejoin(entry& e) noexcept;
    int join(guest& g) noexcept;
    void rejoin_guests() noexcept;
    void call_guest(int fd) noexcept;
    bool has_unheard_guest() const noexcept;
    void call_unheard_guests() noexcept;
    template <class Chosen>
    void call_guests(Chosen chosen) noexcept;
    bool guests_post() const noexcept;
    bool has_busy_guest() const noexcept;
    void abandon_guests() noexcept;
    void dismiss_guests() noexcept;

    static constexpr unsigned full_budget = 129;  // the operation that finds it spent rests first

    const std::uint64_t serial_;
    entry_table table_;
    unsigned budget_ = full_budget;
    std::size_t watching_ = 0;
    copse::detail::ring<guest> guests_;
    int epoll_ = -1;
    std::atomic<int> wakeup_{-1};     // an eventfd; its number is lower than epoll's, so closefrom() takes both or none
    std::atomic<bool> woken_{false};  // it has been written to, and the event not seen yet
    bool has_pwait2_ = true;          // unless the kernel or a sandbox refused it
    unsigned strangers_ = 0;          // stale events of this epoll
    unsigned forks_ = 0;
    idle_driver* driver_ = nullptr;  // ours in the hub; null: the hub sleeps in another one
    std::unique_ptr<event_buffer> events_;
    std::weak_ptr<reactor> self_;
};

}  // namespace copse::io::detail
