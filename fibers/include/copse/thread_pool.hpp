/// Threads for what blocks: the fiber waits, its thread does not.
///
/// A thread_pool may be used by the fibers of every thread. Its own threads take no signals, and have a hub of their own if
/// what they run uses one.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <copse/fiber.hpp>
#include <copse/hub.hpp>

namespace copse {

namespace detail {

class pool_threads;

/// A call that a fiber has a thread make. Shared by both: whoever is last lets go of it.
class thread_task {
public:
    thread_task() = default;
    thread_task(const thread_task&) = delete;
    thread_task& operator=(const thread_task&) = delete;
    virtual ~thread_task() = default;

    /// On the other thread.
    virtual void run() noexcept = 0;
};

template <class R, class Call>
class thread_call final : public thread_task {
public:
    explicit thread_call(Call call) : call_(std::move(call)) {}

    void run() noexcept override {
        try {
            const auto invoke = [](auto& f, auto&... args) -> R {
                return std::invoke(std::move(f), std::move(args)...);
            };
            if constexpr (std::is_void_v<R>) {
                std::apply(invoke, *call_);
            } else if constexpr (std::is_reference_v<R>) {
                result_ = &std::apply(invoke, *call_);
            } else {
                result_.emplace(std::apply(invoke, *call_));
            }
        } catch (...) {
            error_ = std::current_exception();
        }
        call_.reset();
    }

    R result() {
        if (error_ != nullptr) std::rethrow_exception(error_);
        if constexpr (std::is_reference_v<R>) {
            return static_cast<R>(*result_);
        } else if constexpr (!std::is_void_v<R>) {
            return std::move(*result_);
        }
    }

private:
    struct nothing {};
    using room = std::conditional_t<
        std::is_reference_v<R>, std::remove_reference_t<R>*,
        std::conditional_t<std::is_void_v<R>, nothing, std::optional<std::conditional_t<std::is_void_v<R>, int, R>>>>;

    std::optional<Call> call_;  // until it has run
    room result_{};
    std::exception_ptr error_;
};

}  // namespace detail

/// How a thread_pool behaves: `thread_pool({.threads = 4})`.
struct thread_pool_options {
    static constexpr std::size_t unlimited = static_cast<std::size_t>(-1);

    std::size_t threads = 10;                                 ///< at most so many at a time; they are made when needed
    std::chrono::nanoseconds idle = std::chrono::seconds(5);  ///< after so long without work a thread ends
    std::size_t queue_limit = 1024;  ///< so many calls may wait for a thread; 0: none. Who comes then waits for room
};

/// Runs functions on threads of its own, and parks the fibers that ask.
///
///     copse::thread_pool disk({.threads = 4});
///     std::string text = disk.apply(read_whole_file, "/etc/hosts");
///
/// Calls are begun in the order in which they came. When `queue_limit` of them wait for a thread, whoever makes one more waits
/// for room, in that order too.
///
/// A function that runs cannot be stopped: a fiber that is killed or times out leaves it behind, so it must not refer to what
/// ends with the fiber. Its function and arguments are copied for that reason; the copies end on the thread that ran them. A
/// call that nobody waits for any more and that has not begun never will: its place is free at once, and the copies end with
/// the fiber's call.
class thread_pool {
public:
    /// Throws:  std::invalid_argument for no threads.
    explicit thread_pool(const thread_pool_options& with = {});
    thread_pool(const thread_pool&) = delete;
    thread_pool& operator=(const thread_pool&) = delete;
    /// Calls that were left behind and still run are waited for, which **blocks the thread**. Ending it while fibers wait aborts
    /// with a message.
    ~thread_pool();

    /// Calls `f` with copies of the arguments on another thread.
    /// Parks:   until it has returned; before that while the queue is full. Called from one of its own threads, it calls right
    ///          here.
    /// Returns: what it returns.
    /// Throws:  what it throws; null_callable; std::system_error if there is no thread and none can be made; what is raised
    ///          into the caller: a call that has begun goes on without it.
    /// Cost:    some 10 µs: two wake-ups between threads.
    template <class F, class... Args>
        requires(detail::fiber_callable<F, Args...>)
    auto apply(F&& f, Args&&... args) -> detail::fiber_result<F, Args...> {
        using result = detail::fiber_result<F, Args...>;
        using call = std::tuple<std::decay_t<F>, std::decay_t<Args>...>;
        if (detail::is_null(f)) detail::throw_null_callable("thread_pool");
        auto task =
            std::make_shared<detail::thread_call<result, call>>(call(std::forward<F>(f), std::forward<Args>(args)...));
        run(task);
        return task->result();
    }

    /// A fiber that does it: to be joined, killed, linked like any other.
    template <class F, class... Args>
        requires(detail::fiber_callable<F, Args...>)
    auto spawn(F&& f, Args&&... args) {
        if (detail::is_null(f)) detail::throw_null_callable("thread_pool");
        return copse::spawn(
            spawn_options{.name = "thread_pool"},
            [this](std::decay_t<F> g, std::decay_t<Args>... rest) -> decltype(auto) {
                return apply(std::move(g), std::move(rest)...);
            },
            std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Threads that it has now.
    std::size_t size() const;
    /// Calls that wait for a thread.
    std::size_t queued() const;

    /// The one that `blocking` uses: ten threads, never ended.
    static thread_pool& common();

private:
    class inside;

    void run(const std::shared_ptr<detail::thread_task>& task);

    std::unique_ptr<inside> inside_;
};

/// Calls `f` on a thread of `thread_pool::common()`: for what would block all fibers of this one.
///
///     const hostent* found = copse::blocking(gethostbyname, "example.org");
template <class F, class... Args>
    requires(detail::fiber_callable<F, Args...>)
auto blocking(F&& f, Args&&... args) -> detail::fiber_result<F, Args...> {
    return thread_pool::common().apply(std::forward<F>(f), std::forward<Args>(args)...);
}

}  // namespace copse
