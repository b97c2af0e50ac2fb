/// Signals of the process that a fiber waits for.
#pragma once

#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>

#include <copse/io/detail/limit.hpp>

namespace copse::io {

namespace detail {
class signal_bell;
}  // namespace detail

/// While one lives, its signals do not do what they did before: they are remembered for whoever waits here.
///
///     copse::io::signal_listener stop({SIGINT, SIGTERM});
///     server.start();
///     stop.wait();
///     server.stop_for(10s);
///
/// A signal that comes while nobody waits is there for the next wait. Several of the same number that come before one is
/// taken are one, as everywhere in Unix: a SIGCHLD does not tell how many. Several listeners, on any threads, may take the
/// same signal: each of them gets it. When the last one of a signal ends, what handled the signal before is back, unless
/// somebody has taken the signal over meanwhile.
///
/// No signal mask is touched, and none need be: a handler of ours runs on whatever thread the kernel chooses, and only
/// rings. But a signal that every thread has blocked never gets there.
///
/// In the child of a fork listeners are deaf, and what handled the signals before is back: a wait throws left_in_parent.
///
/// Made, used and ended on one thread; one fiber at a time waits. Cost: a descriptor.
class signal_listener {
public:
    /// Throws:  std::invalid_argument if there is no such signal, it cannot be handled (SIGKILL, SIGSTOP), or tells of
    ///          a fault of the thread itself (SIGSEGV, SIGBUS, SIGFPE, SIGILL); also if there is none at all;
    ///          std::system_error (EMFILE …).
    explicit signal_listener(std::span<const int> signals);
    explicit signal_listener(std::initializer_list<int> signals)
        : signal_listener(std::span<const int>(signals.begin(), signals.size())) {}
    signal_listener(signal_listener&& other) noexcept;
    signal_listener& operator=(signal_listener&& other) noexcept;
    /// Who waits gets EBADF.
    ~signal_listener();

    /// Waits for the next signal.
    /// Parks:   until one of them has come. It keeps the hub alive meanwhile: nothing is a deadlock.
    /// Returns: its number; of several the lowest.
    /// Throws:  concurrent_use; empty_handle if it was moved from; left_in_parent; greenlet_exit when this fiber is killed:
    ///          then no signal was taken.
    int wait() { return *wait_by({}); }

    /// Returns: empty if `length` went by first. A length of 0 gives the others one turn.
    template <class Rep, class Period>
    std::optional<int> wait_for(std::chrono::duration<Rep, Period> length) {
        return wait_by(detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::optional<int> wait_until(std::chrono::time_point<Clock, Duration> when) {
        return wait_by(detail::limit::until(when));
    }

    /// Parks:   no. Returns: empty if none has come.
    std::optional<int> try_wait();

private:
    std::optional<int> wait_by(detail::limit within);
    detail::signal_bell& use() const;

    std::unique_ptr<detail::signal_bell> bell_;
};

/// Waits for the first of some signals. They are taken only as long as this takes: before and after, they do what they did;
/// a SIGTERM that comes a moment too early or too late ends the program. Where that matters hold a signal_listener.
/// Parks:   until one has come.
/// Returns: its number.
/// Throws:  as the constructor and `wait` of signal_listener.
inline int wait_signal(std::initializer_list<int> signals) { return signal_listener(signals).wait(); }

}  // namespace copse::io
