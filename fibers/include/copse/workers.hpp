/// Several threads, each with a hub of its own.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <copse/detail/callable.hpp>
#include <copse/hub.hpp>

namespace copse {

namespace detail {

struct crew;

template <class F>
concept worker_body = std::copy_constructible<F> &&
    (std::invocable<F&, std::size_t, std::stop_token> || std::invocable<F&, std::size_t>);

}  // namespace detail

/// Runs one function on n threads, each time as the main greenlet of a hub of its own. Fibers do not change threads: who
/// wants all cores makes a worker for each, and lets them share what is in copse::shared.
///
///     copse::shared::queue<request> requests(64);
///     copse::workers servers(4, [&](std::size_t) {
///         copse::pool handlers(100);
///         for (request& r : requests) handlers.spawn(handle, std::move(r));
///         handlers.join();
///     });
///
/// A worker ends when its function returns, and like every thread kills the fibers that are left. What the function throws
/// asks all workers to stop; `join` throws what was thrown first, all else goes to the error handler of the worker's
/// thread. greenlet_exit ends it quietly.
///
/// Any thread may use it; who joins is a greenlet that may park. In the child of a fork the threads are not there: `join`
/// throws left_in_parent.
class workers {
public:
    /// Starts n threads and calls `f(i)`, or `f(i, stop)` with a std::stop_token, on each; i counts from 0, and each has a
    /// copy of `f`.
    /// Parks:   until all have their hub; no kill ends that.
    /// Throws:  std::invalid_argument for no threads; null_callable; std::system_error if a thread cannot be made. Those that
    ///          were made are asked to stop, and joined, before it is thrown.
    template <class F>
        requires(detail::worker_body<std::decay_t<F>>)
    workers(std::size_t n, F&& f) : workers(detail::is_null(f) ? body() : body_of(std::forward<F>(f)), n) {}

    workers(const workers&) = delete;
    workers& operator=(const workers&) = delete;

    /// Requests a stop and joins. A failure that no join has thrown goes to the error handler.
    /// Parks:   until all have ended; no kill ends that. In the hub, which may not park, it blocks the thread instead.
    ~workers();

    /// Waits until all threads have ended, with all that ends with them. May be called again.
    /// Parks:   the calling fiber; its thread goes on.
    /// Throws:  what a worker's function threw first, every time; self_deadlock when called by a worker.
    void join();

    /// Returns: false if `length` went by first. A length of 0 gives the others one turn.
    /// Throws:  as join.
    template <class Rep, class Period>
    bool join_for(std::chrono::duration<Rep, Period> length) {
        return join_within(std::chrono::nanoseconds(detail::length_of(length)));
    }

    /// Asks for an end. Only those stop who look: at their token, by std::stop_callback (to set a copse::shared::event,
    /// say), or because a queue was closed. Never parks.
    /// Returns: false if that had been asked for already.
    bool request_stop() noexcept;
    bool stop_requested() const noexcept;

    /// How many there are.
    std::size_t size() const noexcept;

    /// The way to post to a worker. As long as it is kept that hub is never dead-locked: see hub_handle.
    /// Throws:  std::out_of_range.
    hub_handle hub(std::size_t i) const;

private:
    using body = std::function<void(std::size_t, std::stop_token)>;

    workers(const body& f, std::size_t n);

    template <class F>
    static body body_of(F&& f) {
        if constexpr (std::invocable<std::decay_t<F>&, std::size_t, std::stop_token>) {
            return body(std::forward<F>(f));
        } else {
            return [g = std::decay_t<F>(std::forward<F>(f))](std::size_t i, const std::stop_token& /*stop*/) mutable {
                std::invoke(g, i);
            };
        }
    }

    class inside;

    bool join_within(std::chrono::nanoseconds length);
    detail::crew& crew() const noexcept;

    std::unique_ptr<inside> inside_;
};

}  // namespace copse
