/// An io_context of Boost.Asio that this thread's hub runs: Asio and fibers in one thread, and no other is needed.
///
///     copse::io::asio_context context;
///     boost::asio::ip::tcp::socket client(context);
///     client.async_connect(server, copse::io::use_fiber);                    // parks the fiber
///     boost::asio::async_write(client, boost::asio::buffer("hello"), copse::io::use_fiber);
///
/// Asio's reactor sleeps in an epoll descriptor of its own, and that one can be waited for like any other: the hub
/// watches it, and gives the context a turn when there is something to do. Nothing is polled, and nobody runs the
/// context.
///
/// Optional: needs the headers of Boost.Asio, 1.74 or newer, with epoll; the target is copse::asio.
#pragma once

#include <cstddef>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <copse/io/detail/guest_loop.hpp>

#if !defined(BOOST_ASIO_HAS_EPOLL) || defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)
#error \
    "copse::io::asio_context needs Asio's epoll reactor: define neither BOOST_ASIO_DISABLE_EPOLL nor its io_uring default"
#endif

#include <boost/asio/detail/epoll_reactor.hpp>
#include <boost/asio/detail/scheduler.hpp>

namespace copse::io {

namespace detail {

// Asio tells nobody that something was posted while nobody runs the context, so what it knows of that has to be looked
// at. A member may be named in an explicit instantiation wherever it is private ([temp.spec]); the friend hands it on.
namespace asio_private {

template <class Name, auto Member>
struct found {
    friend constexpr auto member(Name) noexcept { return Member; }
};

// clang-format off
struct epoll_fd { friend constexpr auto member(epoll_fd) noexcept; };
struct mutex { friend constexpr auto member(mutex) noexcept; };
struct task_interrupted { friend constexpr auto member(task_interrupted) noexcept; };
struct task_operation { friend constexpr auto member(task_operation) noexcept; };
struct op_queue { friend constexpr auto member(op_queue) noexcept; };
struct outstanding_work { friend constexpr auto member(outstanding_work) noexcept; };
// clang-format on

template struct found<epoll_fd, &boost::asio::detail::epoll_reactor::epoll_fd_>;
template struct found<mutex, &boost::asio::detail::scheduler::mutex_>;
template struct found<task_interrupted, &boost::asio::detail::scheduler::task_interrupted_>;
template struct found<task_operation, &boost::asio::detail::scheduler::task_operation_>;
template struct found<op_queue, &boost::asio::detail::scheduler::op_queue_>;
template struct found<outstanding_work, &boost::asio::detail::scheduler::outstanding_work_>;

}  // namespace asio_private

/// What has to be known of an io_context that nobody runs.
class asio_insides {
public:
    /// Makes its reactor, if need be: without one a post would be told to nobody.
    explicit asio_insides(boost::asio::io_context& context)
        : scheduler_(boost::asio::use_service<boost::asio::detail::scheduler>(context)),
          reactor_(boost::asio::use_service<boost::asio::detail::epoll_reactor>(context)) {
        reactor_.init_task();
    }

    int descriptor() const noexcept { return reactor_.*member(asio_private::epoll_fd()); }

    bool has_work() const noexcept { return scheduler_.*member(asio_private::outstanding_work()) != 0; }

    /// If nothing but the reactor is in the queue: says that a thread sleeps in it, as run() does before it goes there.
    /// So the next post on any thread interrupts the reactor, which makes its descriptor readable.
    /// Returns: false if there is something to be run.
    bool fall_asleep() noexcept {
        const boost::asio::detail::conditionally_enabled_mutex::scoped_lock held(scheduler_.*
                                                                                 member(asio_private::mutex()));
        boost::asio::detail::scheduler_operation* const first = (scheduler_.*member(asio_private::op_queue())).front();
        if (first != &(scheduler_.*member(asio_private::task_operation()))) return false;
        if (boost::asio::detail::op_queue_access::next(first) != nullptr) return false;
        scheduler_.*member(asio_private::task_interrupted()) = false;
        return true;
    }

private:
    boost::asio::detail::scheduler& scheduler_;
    boost::asio::detail::epoll_reactor& reactor_;
};

}  // namespace detail

/// An io_context for sockets, timers, signal sets, resolvers and posted functions of Asio. Handlers run in the hub, in
/// turns of at most 128: like posted functions and raw links they must not block (`use_fiber` in one throws
/// blocking_in_hub), and what they throw goes to the hub's error handler. Fibers of this thread start operations with
/// `use_fiber`, or with any other token.
///
/// Made and ended on one thread, whose hub runs it from then on. Its executor may be posted to on every thread, as
/// always. While something is outstanding, or somebody holds a work guard, a hub whose fibers all wait is not
/// dead-locked; otherwise it is, so another thread that is going to post needs a guard. A fiber that waits in `use_fiber`
/// when the context ends gets operation_dropped. In the child of a fork it does nothing any more: make another one there.
///
/// Asio's timers keep real time, also in virtual time.
/// Cost:    a turn has two or three epoll_wait of Asio's; a post that finds the hub asleep changes a registration.
class asio_context : public boost::asio::io_context {
public:
    /// Throws:  boost::system::system_error, std::system_error: no descriptor; std::bad_alloc; thread_exited.
    asio_context()
        : io_context(1),
          insides_(*this),
          loop_(insides_.descriptor(), this, {.turn = &turn, .rest = &rest, .busy = &is_busy}) {}

    // The hub runs it, and it rests by itself.
    std::size_t run() = delete;
    std::size_t run_one() = delete;
    std::size_t run_for() = delete;
    std::size_t run_until() = delete;
    std::size_t run_one_for() = delete;
    std::size_t run_one_until() = delete;
    std::size_t poll() = delete;
    std::size_t poll_one() = delete;
    void stop() = delete;
    void restart() = delete;
    void reset() = delete;
    bool stopped() const = delete;

private:
    static bool turn(void* of) {
        io_context& context = *static_cast<asio_context*>(of);
        constexpr unsigned most = 128;
        unsigned handlers = 0;
        {
            // Without work it would not even look at its reactor, whose descriptor may be readable all the same.
            const auto working = boost::asio::make_work_guard(context);
            while (handlers < most && context.poll_one() != 0) ++handlers;
        }
        context.restart();  // it stops by itself when nothing is left
        return handlers == most;
    }

    static bool rest(void* of) noexcept { return static_cast<asio_context*>(of)->insides_.fall_asleep(); }
    static bool is_busy(const void* of) noexcept { return static_cast<const asio_context*>(of)->insides_.has_work(); }

    detail::asio_insides insides_;
    detail::guest_loop loop_;
};

}  // namespace copse::io
