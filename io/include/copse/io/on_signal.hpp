/// A function that runs in a fiber whenever a signal comes.
#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>

#include <copse/detail/callable.hpp>
#include <copse/error.hpp>

namespace copse::io {

namespace detail {
struct signal_watch;
}  // namespace detail

/// What on_signal returns: the signal is handled as long as it lives. Move-only.
class signal_handle {
public:
    /// Handles nothing.
    signal_handle() noexcept = default;
    signal_handle(signal_handle&& other) noexcept = default;
    signal_handle& operator=(signal_handle&& other) noexcept {
        cancel();
        watch_ = std::move(other.watch_);
        return *this;
    }
    /// As cancel().
    ~signal_handle() { cancel(); }

    /// From now on no call begins, also for a signal that has come already; calls that have begun go on. Other handles
    /// of the signal are not affected; after the last one, what handled the signal before is back. May be called on any
    /// thread, and by the function itself.
    /// Parks:   no.
    void cancel() noexcept;

    /// Not cancelled, nor moved from.
    bool active() const noexcept { return watch_ != nullptr; }

private:
    friend signal_handle handle_signals(std::span<const int>, std::function<void(int)>);
    std::shared_ptr<detail::signal_watch> watch_;
};

/// Of on_signal, without the types.
signal_handle handle_signals(std::span<const int> signals, std::function<void(int)> f);

namespace detail {
template <class F>
concept signal_function = std::invocable<F&, int> || std::invocable<F&>;

/// std::function wants what can be copied; these need not be.
template <class F>
std::function<void(int)> shared_signal_function(F f) {
    if (copse::detail::is_null(f)) throw null_callable("on_signal: the function is null");
    return [held = std::make_shared<F>(std::move(f))](int signal) {
        if constexpr (std::invocable<F&, int>) {
            std::invoke(*held, signal);
        } else {
            std::invoke(*held);
        }
    };
}
}  // namespace detail

/// Calls `f`, or `f(signal)`, for each signal that comes, each time in a new fiber of this thread's hub: it may wait as
/// long as it likes, and if it does, the next signal calls it again meanwhile. What it throws goes to the hub's error
/// handler, as from any fiber.
///
///     const auto on_stop = copse::io::on_signal(SIGTERM, [&] { server.stop_for(10s); });
///     server.serve_forever();
///
/// While the handle lives, the hub is waiting for something: nothing is a deadlock (against gevent's rule 111). Signals
/// of the same number that come before the hub has looked are one call (rule 121). What is said of signal_listener
/// about several of them, masks and fork holds here too.
/// Parks:   no.
/// Throws:  as signal_listener's constructor; null_callable.
template <detail::signal_function F>
[[nodiscard]] signal_handle on_signal(int signal, F f) {
    return handle_signals(std::span<const int>(&signal, 1), detail::shared_signal_function(std::move(f)));
}
template <detail::signal_function F>
[[nodiscard]] signal_handle on_signal(std::initializer_list<int> signals, F f) {
    return handle_signals(std::span<const int>(signals.begin(), signals.size()),
                          detail::shared_signal_function(std::move(f)));
}

}  // namespace copse::io
