/// The bridge to std::stop_token, both ways: a stop that is requested anywhere ends what a fiber waits for, and a fiber
/// that is to end requests a stop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

#include <copse/detail/wait.hpp>
#include <copse/error.hpp>

namespace copse {

namespace detail {

/// Has something done on this thread once a stop is requested, on whatever thread: at once if it is on this one.
class stop_watch {
public:
    /// Throws:  std::bad_alloc; thread_exited.
    stop_watch(std::stop_token token, std::function<void()> told);
    stop_watch(const stop_watch&) = delete;
    stop_watch& operator=(const stop_watch&) = delete;
    ~stop_watch();

private:
    struct relay;
    struct caller {
        std::shared_ptr<relay> to;
        void operator()() const noexcept;
    };
    std::shared_ptr<relay> relay_;
    std::stop_callback<caller> asks_;
};

}  // namespace detail

/// Ends what its greenlet does until the end of the scope when a stop is requested: `stop_requested` is thrown at the
/// greenlet's current wait, or at its next one if it is running, unwinding, shielded, or has just been given what it waited
/// for (decision 3). Requested already: at its first wait. Leaving the scope takes it back.
///
///     std::jthread closer([&fiber](std::stop_token stop) { … });
///     copse::spawn([token = source.get_token()] {
///         const copse::stop_scope until(token);
///         serve();                                  // throws copse::stop_requested out of its wait
///     });
///
/// The stop may be requested on any thread. While a scope lives whose token can be stopped, a hub whose
/// fibers all wait is not dead-locked.
/// Cost:    two allocations.
class stop_scope : detail::time_limit {
public:
    /// For the current greenlet.
    /// Throws:  std::bad_alloc; blocking_in_hub in the hub.
    explicit stop_scope(std::stop_token token);
    stop_scope(const stop_scope&) = delete;
    stop_scope& operator=(const stop_scope&) = delete;
    ~stop_scope();

    /// The exception was, or is to be, thrown because of this scope.
    bool stopped() const noexcept { return stopped_; }

private:
    void stop() noexcept;

    bool stopped_ = false;
    std::optional<detail::stop_watch> watch_;
};

namespace this_fiber {

/// Of what the current fiber is to hand to others: a stop is requested as soon as somebody asks for its kill, even if the
/// fiber keeps that back by a `shield` or is computing. What std::stop_callback registers runs in whoever asks.
/// Returns: the same token for a fiber and the greenlets entered from it by hand; outside fibers one that is never requested.
/// Throws:  std::bad_alloc.
std::stop_token stop_token();

}  // namespace this_fiber

}  // namespace copse
