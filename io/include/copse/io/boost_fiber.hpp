/// Programs of Boost.Fiber on this thread's hub: their fibers, mutexes, condition variables, channels and futures stay as
/// they are, and may use sockets and everything else of copse.
///
///     boost::fibers::use_scheduling_algorithm<copse::io::boost_fiber>();  // first, in each thread
///     boost::fibers::fiber reader([&] {
///         const std::size_t n = copse::io::boost_fiber::call([&] { return socket.recv(buffer); });
///         const std::lock_guard lock(mutex);                               // a boost::fibers::mutex
///         ready.notify_one();                                              // a boost::fibers::condition_variable
///     });
///
/// Optional: needs Boost.Fiber, 1.74 or newer, which is included here and has to be linked; the target is
/// copse::boost_fiber.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>

#include <boost/fiber/algo/algorithm.hpp>
#include <boost/fiber/context.hpp>
#include <boost/fiber/scheduler.hpp>

#include <copse/detail/result.hpp>
#include <copse/error.hpp>
#include <copse/fiber.hpp>
#include <copse/shared/event.hpp>
#include <copse/shield.hpp>
#include <copse/sleep.hpp>

namespace copse::io {

/// The scheduling algorithm: first in, first out, as Boost's round_robin. When no Boost fiber is ready the thread sleeps
/// in its hub, until one of them is woken (by this thread or another), a deadline of Boost.Fiber comes, or fibers of
/// copse have to run; when some are always ready, the fibers of copse have their turn once a round.
///
/// Who may call what:
///
/// - Boost fibers, and the thread's main function, use all of Boost.Fiber, and of copse what cannot wait. What may wait
///   goes through `call`. Without it, it throws blocking_in_hub in a Boost fiber; in the main function it works, and
///   stops all Boost fibers meanwhile.
/// - Fibers of copse use all of copse, and of Boost.Fiber what cannot wait: notify_one, set_value, try_push, starting and
///   detaching a fiber. Waiting there (lock, wait, join, get, pop) is not possible, and not found out: another Boost
///   fiber would be suspended in their place.
/// - Limits of copse (timeout, stop_scope, kill) reach what is inside of a `call`, and nothing else of a Boost fiber.
///
/// Boost fibers belong to the thread that started them. The hub never reports a deadlock there: any thread may wake a
/// Boost fiber. All of them have to have ended when their thread's main function returns. Launch policy: with
/// launch::dispatch a new fiber is not watched for calls without `call` until it first waits.
///
/// Cost:    a round of the ready queue has one yield of copse; a `call` starts a fiber of copse, and waits for it.
class boost_fiber final : public boost::fibers::algo::algorithm {
public:
    /// Throws:  error outside of the thread's main greenlet; thread_exited.
    boost_fiber() : main_(copse::detail::this_thread.current) {
        hub::current();
        if (!greenlet::current().is_main())
            throw error("boost_fiber: fibers of Boost run on a thread's main greenlet, not in " +
                        to_string(greenlet::current()));
        main_ = copse::detail::this_thread.current;
        here_ = this;
    }
    ~boost_fiber() override {
        watch_for_waits(false);
        if (here_ == this) here_ = nullptr;
    }

    /// Runs `f` in a fiber of copse, where everything may wait, and suspends the Boost fiber until it has ended; other
    /// Boost fibers and those of copse go on. In a fiber of copse it is just called.
    /// Parks:   the Boost fiber, always.
    /// Returns: what `f` returns.
    /// Throws:  what `f` throws; fiber_killed if its fiber is killed, as at the end of the thread; error in a thread
    ///          without this algorithm; std::bad_alloc.
    /// Cost:    the start of a fiber; one allocation.
    template <class F>
    static std::invoke_result_t<F&> call(F&& f) {
        using result = std::invoke_result_t<F&>;
        if (!greenlet::current().is_main()) return std::invoke(f);
        if (here_ == nullptr) throw error("boost_fiber::call: the thread's scheduling algorithm is another one");
        if constexpr (std::is_void_v<result>) {
            call_for<std::monostate>([&] { return std::invoke(f), std::monostate(); });
        } else if constexpr (std::is_reference_v<result>) {
            return static_cast<result>(*call_for<std::remove_reference_t<result>*>([&] {
                result r = std::invoke(f);
                return std::addressof(r);
            }));
        } else {
            return call_for<result>(f);
        }
    }

    // What Boost.Fiber asks.
    void awakened(boost::fibers::context* woken) noexcept override {
        woken->ready_link(ready_);
        if (asleep_) bell_.set();
    }
    boost::fibers::context* pick_next() noexcept override;
    bool has_ready_fibers() const noexcept override { return !ready_.empty(); }
    void suspend_until(const std::chrono::steady_clock::time_point& when) noexcept override;
    void notify() noexcept override { bell_.set(); }

private:
    using context = boost::fibers::context;

    /// Schedules a Boost fiber when the function that holds it is gone: it has returned, or will never be called.
    class waker {
    public:
        waker(context& suspended, const bool& is_suspended) noexcept : of_(&suspended), is_suspended_(&is_suspended) {}
        waker(waker&& other) noexcept : of_(std::exchange(other.of_, nullptr)), is_suspended_(other.is_suspended_) {}
        waker& operator=(waker&&) = delete;
        ~waker() {
            if (of_ != nullptr && *is_suspended_) context::active()->schedule(of_);
        }

    private:
        context* of_;
        const bool* is_suspended_;
    };

    template <class R, class F>
    static R call_for(F&& f) {
        std::optional<R> value;
        std::exception_ptr failure;
        bool suspended = false;
        context& self = *context::active();
        spawn(spawn_options{.name = "call of a Boost fiber"}, [&, wakes = waker(self, suspended)] {
            try {
                value.emplace(f());
            } catch (const greenlet_exit&) {
                throw;
            } catch (...) {
                failure = std::current_exception();
            }
        });
        suspended = true;
        self.suspend();
        if (failure != nullptr) std::rethrow_exception(std::move(failure));
        if (!value) throw fiber_killed("boost_fiber::call: its fiber was killed");
        return std::move(*value);
    }

    void let_the_hub_run() noexcept;

    /// In a Boost fiber copse cannot tell who waits: waiting is refused, as in the hub.
    void watch_for_waits(bool refuse) noexcept {
        using namespace copse::detail;
        if (this_thread.current != main_) return;  // in the thread's last destructors
        const auto kept = static_cast<std::uint8_t>(main_->attention & ~attend_hub);
        main_->attention = refuse ? static_cast<std::uint8_t>(kept | attend_hub) : kept;
    }

    static inline constinit thread_local boost_fiber* here_ = nullptr;

    copse::detail::core* main_;
    boost::fibers::scheduler::ready_queue_type ready_;
    bool asleep_ = false;
    shared::event bell_;
};

// On the stack of whoever is going to be left. Only the dispatcher may let fibers of copse run here: those may wake whom
// they find suspended, and everybody else is not yet.
inline boost::fibers::context* boost_fiber::pick_next() noexcept {
    using boost::fibers::type;
    if (context::active()->is_context(type::dispatcher_context) && !ready_.empty()) let_the_hub_run();
    if (ready_.empty()) return nullptr;
    context& next = ready_.front();
    ready_.pop_front();
    watch_for_waits(next.is_context(type::worker_context));
    return &next;
}

inline void boost_fiber::let_the_hub_run() noexcept {
    try {
        const shield whose_limit_would_it_be;
        copse::yield();
    } catch (...) {
        // The hub has ended with the thread: nobody waits there.
    }
}

// On the dispatcher's stack: nobody is ready.
inline void boost_fiber::suspend_until(const std::chrono::steady_clock::time_point& when) noexcept {
    try {
        const shield whose_limit_would_it_be;
        asleep_ = true;
        if (when == std::chrono::steady_clock::time_point::max()) {
            bell_.wait();
        } else {
            bell_.wait_until(when);
        }
    } catch (...) {
        // As above. What is left of Boost.Fiber comes from other threads.
        std::this_thread::sleep_until(std::min(when, std::chrono::steady_clock::now() + std::chrono::milliseconds(1)));
    }
    asleep_ = false;
    bell_.clear();
}

}  // namespace copse::io
