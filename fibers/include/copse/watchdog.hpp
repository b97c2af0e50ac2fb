/// Tells who holds the hub.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

namespace copse {

namespace detail {
struct watchdog_access;
}  // namespace detail

/// A greenlet that does not let the others run: it computes, or sits in a call that blocks the thread.
struct stall_report {
    std::uint64_t id = 0;             ///< of the greenlet; 0: the thread did not answer, see `answered`
    std::string name;                 ///< its name; "main" or "hub" if it is one of those and has no other
    std::string spawned_at;           ///< "file:line"; empty when not known
    std::chrono::nanoseconds held{};  ///< for how long so far, at least
    std::vector<void*> backtrace;     ///< return addresses, innermost first; the first is one past where it was met
    bool answered = true;             ///< false: the thread blocks the signal, or cannot be interrupted
    std::uint64_t hub_id = 0;         ///< id of the main greenlet of the hub's thread
};

/// For instance `fiber #3 "crunch" has held the hub for 104 ms, spawned at main.cpp:12` and a line for each call.
std::string to_string(const stall_report& stall);
std::ostream& operator<<(std::ostream& out, const stall_report& stall);

struct watchdog_options {
    std::chrono::nanoseconds limit = std::chrono::milliseconds(100);
    /// Called on the watchdog's thread, once for each time that somebody holds the hub too long. It must not wait for that
    /// hub, nor end the watchdog; what it throws goes to stderr. Empty: the report is written to stderr, at once.
    std::function<void(const stall_report&)> report{};
    /// Sent to the thread of a hub that takes no turn, to see where it is. Best one that does nothing where it is not
    /// handled: a thread that blocks it may come to it after the watchdog has ended.
    int signal = SIGURG;
};

/// While one lives, this thread's hub is watched: a greenlet that runs longer than `limit` without parking or yielding is
/// reported, once, while it still does so (gevent rule 143, faults P12, KL03, SC09). main counts too, and posted functions.
///
///     copse::watchdog guard({.limit = 50ms});
///     serve();
///
/// How: one thread for all hubs of the process looks at each every quarter of its limit. A hub that has taken a turn since,
/// or is asleep, is well. To any other's thread it sends the signal, whose handler notes how many dispatches there were,
/// who runs and where; if the next look finds the same dispatch, that time counts. Time in which the process was stopped
/// does not. A thread that does not answer for a second on top is reported as such.
///
/// The signal may end a blocking call that is never restarted (poll, epoll_wait, nanosleep; see signal(7)) with EINTR, in a
/// fiber that blocks its thread in one. A signal that is not ours goes on to whoever handled it before. A fiber that only
/// switches by hand holds the hub, whoever it switches to.
///
/// Made and ended on the hub's thread; its end waits for a report that is being made. In the child of a fork the hub that
/// goes on is watched by a thread of its own.
/// Cost:    nothing on any switch. A signal and a walk up the stack a look, while the hub takes no turn.
class watchdog {
public:
    watchdog() : watchdog(watchdog_options()) {}
    /// Throws:  std::invalid_argument if `limit` is not positive, or the signal cannot be handled; concurrent_use if this hub
    ///          is watched already; thread_exited.
    explicit watchdog(watchdog_options with);
    ~watchdog();
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;

private:
    friend struct detail::watchdog_access;
    class post;
    std::shared_ptr<post> post_;
};

}  // namespace copse
