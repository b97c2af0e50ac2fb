// Signals in fibers: listeners, on_signal, and what stays of them.

#include "at_end.hpp"
#include "exceptions.hpp"
#include "fork_at_rest.hpp"
#include "io_leak_check.hpp"
#include "system_calls.hpp"

#include <copse/virtual_time.hpp>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <limits>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using handler = void (*)(int);

handler handler_of(int signal) {
    struct sigaction now {};
    ::sigaction(signal, nullptr, &now);
    return now.sa_handler;
}

std::atomic<int> taken_by_user{0};
void user_handler(int /*signal*/) { ++taken_by_user; }

/// Signals do what they did before.
class own_handler {
public:
    own_handler(int signal, handler h) : signal_(signal) {
        struct sigaction ours {};
        ours.sa_handler = h;
        ::sigaction(signal, &ours, &before_);
    }
    own_handler(const own_handler&) = delete;
    own_handler& operator=(const own_handler&) = delete;
    ~own_handler() { ::sigaction(signal_, &before_, nullptr); }

private:
    int signal_;
    struct sigaction before_ {};
};

/// The exit code of a child that runs `body`, or -signal.
template <class F>
int in_child(F body) {
    const pid_t child = fork_at_rest();
    if (child == 0) ::_exit(body());
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// ---- signal_listener

using IoSignalListener = io_leak_check;

TEST_F(IoSignalListener, ParksUntilASignalComes) {
    io::signal_listener listener({SIGUSR1, SIGUSR2});
    auto waiter = copse::spawn([&] { return listener.wait(); });
    copse::yield();
    EXPECT_FALSE(waiter.ready());
    EXPECT_EQ(copse::hub::current().stats().watching, 1U);
    ::raise(SIGUSR2);
    EXPECT_EQ(waiter.get(), SIGUSR2);
}

TEST_F(IoSignalListener, RemembersWhatCameBefore) {
    io::signal_listener listener({SIGUSR1, SIGUSR2});
    EXPECT_EQ(listener.try_wait(), std::nullopt);
    ::raise(SIGUSR2);
    ::raise(SIGUSR1);
    EXPECT_EQ(listener.wait(), SIGUSR1);
    EXPECT_EQ(listener.try_wait(), SIGUSR2);
    EXPECT_EQ(listener.try_wait(), std::nullopt);
}

// SG01: several are one.
TEST_F(IoSignalListener, Fault_SG01_Coalesces) {
    io::signal_listener listener({SIGUSR1});
    for (int i = 0; i < 5; ++i) ::raise(SIGUSR1);
    EXPECT_EQ(listener.wait(), SIGUSR1);
    EXPECT_EQ(listener.wait_for(0s), std::nullopt);
}

TEST_F(IoSignalListener, EveryListenerHears) {
    io::signal_listener first({SIGUSR1}), second({SIGUSR1, SIGUSR2});
    ::raise(SIGUSR1);
    EXPECT_EQ(first.wait(), SIGUSR1);
    EXPECT_EQ(second.wait(), SIGUSR1);
    ::raise(SIGUSR2);
    EXPECT_EQ(first.try_wait(), std::nullopt);
    EXPECT_EQ(second.wait(), SIGUSR2);
}

TEST_F(IoSignalListener, TimeIsUp) {
    copse::virtual_time time;
    io::signal_listener listener({SIGUSR1});
    EXPECT_EQ(listener.wait_for(1h), std::nullopt);
    EXPECT_EQ(time.elapsed(), 1h);
    EXPECT_EQ(listener.wait_until(copse::clock::now() + 1h), std::nullopt);
    EXPECT_EQ(time.elapsed(), 2h);
    EXPECT_EQ(listener.wait_for(-1h), std::nullopt);
    EXPECT_EQ(time.elapsed(), 2h);
    EXPECT_THROW(listener.wait_for(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())),
                 copse::invalid_duration);
    ::raise(SIGUSR1);
    EXPECT_EQ(listener.wait_for(0s), SIGUSR1);
}

TEST_F(IoSignalListener, KilledTakesNothing) {
    io::signal_listener listener({SIGUSR1});
    auto waiter = copse::spawn([&] { listener.wait(); });
    copse::yield();
    waiter.kill();
    EXPECT_TRUE(waiter.killed());
    ::raise(SIGUSR1);
    EXPECT_EQ(listener.wait(), SIGUSR1);
}

// A kill that comes with the signal: either the fiber returns it, or it is there for the next.
TEST_F(IoSignalListener, KillAndSignalAtOnceLoseNothing) {
    io::signal_listener listener({SIGUSR1});
    int got = 0;
    auto waiter = copse::spawn([&] { got = listener.wait(); });
    copse::yield();
    ::raise(SIGUSR1);
    waiter.kill();
    EXPECT_EQ(got == 0 ? listener.try_wait().value_or(0) : got, SIGUSR1);
}

TEST_F(IoSignalListener, PutsBackWhatWasThere) {
    const own_handler ours(SIGUSR1, user_handler);
    {
        io::signal_listener first({SIGUSR1});
        {
            const io::signal_listener second({SIGUSR1});
            EXPECT_NE(handler_of(SIGUSR1), user_handler);
        }
        EXPECT_NE(handler_of(SIGUSR1), user_handler);
        ::raise(SIGUSR1);
        EXPECT_EQ(first.wait(), SIGUSR1);
    }
    EXPECT_EQ(handler_of(SIGUSR1), user_handler);
    taken_by_user = 0;
    ::raise(SIGUSR1);
    EXPECT_EQ(taken_by_user, 1);
}

TEST_F(IoSignalListener, LeavesAloneWhoTookItOver) {
    auto listener = std::make_unique<io::signal_listener>(std::initializer_list<int>{SIGUSR1});
    const handler ours = ::signal(SIGUSR1, user_handler);
    listener.reset();
    EXPECT_EQ(handler_of(SIGUSR1), user_handler);
    ::signal(SIGUSR1, ours);  // he gives it back: nobody of us is there any more
    { const io::signal_listener next({SIGUSR1}); }
    EXPECT_EQ(handler_of(SIGUSR1), SIG_DFL);
}

TEST_F(IoSignalListener, RefusesWhatCannotBeHandled) {
    for (const int signal : {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, 0, -1, 65, 1000})
        EXPECT_THROW(io::signal_listener({SIGUSR1, signal}), std::invalid_argument) << signal;
    EXPECT_THROW(io::signal_listener({}), std::invalid_argument);
    EXPECT_EQ(text_of([] { io::signal_listener({SIGKILL}); }), "signal_listener: SIGKILL cannot be handled");
    EXPECT_EQ(handler_of(SIGUSR1), SIG_DFL);
}

TEST_F(IoSignalListener, MovesAndIsEmptyThen) {
    io::signal_listener first({SIGUSR1});
    io::signal_listener second = std::move(first);
    EXPECT_THROW(first.wait(), copse::empty_handle);  // NOLINT: that is the point
    ::raise(SIGUSR1);
    EXPECT_EQ(second.wait(), SIGUSR1);
}

TEST_F(IoSignalListener, OneFiberWaits) {
    io::signal_listener listener({SIGUSR1});
    auto waiter = copse::spawn([&] { return listener.wait(); });
    copse::yield();
    EXPECT_THROW(listener.wait(), copse::concurrent_use);
    ::raise(SIGUSR1);
    EXPECT_EQ(waiter.get(), SIGUSR1);
}

TEST_F(IoSignalListener, ItsEndWakesWhoWaits) {
    auto listener = std::make_unique<io::signal_listener>(std::initializer_list<int>{SIGUSR1});
    auto waiter = copse::spawn([&] { return error_of([&] { listener->wait(); }); });
    copse::yield();
    listener.reset();
    EXPECT_EQ(waiter.get(), std::errc::bad_file_descriptor);
}

TEST_F(IoSignalListener, WaitSignalTakesThemForAWhile) {
    const own_handler ours(SIGUSR1, user_handler);
    auto waiter = copse::spawn([] { return io::wait_signal({SIGUSR1, SIGUSR2}); });
    copse::yield();
    ::raise(SIGUSR1);
    EXPECT_EQ(waiter.get(), SIGUSR1);
    EXPECT_EQ(handler_of(SIGUSR1), user_handler);
}

TEST_F(IoSignalListener, Fault_SG01_ComesFromAnyThread) {
    io::signal_listener listener({SIGUSR1});
    std::thread other([] { ::pthread_kill(::pthread_self(), SIGUSR1); });
    EXPECT_EQ(listener.wait(), SIGUSR1);
    other.join();
}

// SG01: several hubs, a storm, listeners that come and go meanwhile.
TEST_F(IoSignalListener, Fault_SG01_StormWhileListenersComeAndGo) {
    const own_handler quiet(SIGUSR1, user_handler);
    std::atomic<bool> over{false};
    std::thread storm([&] {
        while (!over) {
            ::kill(::getpid(), SIGUSR1);
            std::this_thread::yield();
        }
    });
    std::vector<std::thread> hubs;
    for (int n = 0; n < 2; ++n) {
        hubs.emplace_back([] {
            for (int i = 0; i < 50; ++i) {
                io::signal_listener listener({SIGUSR1, SIGUSR2});
                EXPECT_EQ(listener.wait(), SIGUSR1);
            }
        });
    }
    for (std::thread& t : hubs) t.join();
    over = true;
    storm.join();
}

TEST_F(IoSignalListener, ChildOfAForkIsDeafAndDiesAsBefore) {
    io::signal_listener listener({SIGUSR1});
    EXPECT_EQ(in_child([&] {
                  try {
                      listener.try_wait();
                  } catch (const copse::left_in_parent&) {
                      return 7;
                  }
                  return 0;
              }),
              7);
    EXPECT_EQ(in_child([] { return ::raise(SIGUSR1); }), -SIGUSR1);
    EXPECT_EQ(in_child([] {
                  io::signal_listener own({SIGUSR1});
                  ::raise(SIGUSR1);
                  return own.wait();
              }),
              SIGUSR1);
    ::raise(SIGUSR1);
    EXPECT_EQ(listener.wait(), SIGUSR1);
}

// ---- on_signal

using IoOnSignal = io_leak_check;

TEST_F(IoOnSignal, CallsInAFiberOfItsOwn) {
    copse::event done;
    std::string name;
    const auto handle = io::on_signal(SIGUSR1, [&](int signal) {
        copse::sleep(1ms);  // it may wait
        name = copse::this_fiber::name() + ' ' + std::to_string(signal);
        done.set();
    });
    ::raise(SIGUSR1);
    done.wait();
    EXPECT_EQ(name, "on SIGUSR1 " + std::to_string(SIGUSR1));
}

// Nothing is a deadlock while a handle lives; afterwards it is.
TEST_F(IoOnSignal, KeepsTheHubAlive) {
    copse::event never;
    {
        const auto handle = io::on_signal(SIGUSR1, [&] { never.set(); });
        auto& sleeps = io::detail::sys.epoll_wait;
        const at_end put_back([&sleeps] { sleeps = io::detail::real_system_calls.epoll_wait; });
        sleeps = [](int epoll, epoll_event* events, int most, int timeout) {
            if (timeout == -1) ::raise(SIGUSR1);  // the hub has nothing to do, and waits
            return io::detail::real_system_calls.epoll_wait(epoll, events, most, timeout);
        };
        never.wait();
    }
    never.clear();
    EXPECT_THROW(never.wait(), copse::would_block_forever);
}

TEST_F(IoOnSignal, AllHandlesAreCalledAndCancelAffectsOne) {
    std::string called;
    auto a = io::on_signal(SIGUSR1, [&] { called += 'a'; });
    auto b = io::on_signal(SIGUSR1, [&] { called += 'b'; });
    ::raise(SIGUSR1);
    while (called.size() < 2) copse::yield();
    a.cancel();
    EXPECT_FALSE(a.active());
    EXPECT_TRUE(b.active());
    ::raise(SIGUSR1);
    while (called.size() < 3) copse::yield();
    b.cancel();
    copse::hub::current().run_until_idle();
    EXPECT_EQ(called.substr(2), "b");
}

TEST_F(IoOnSignal, IsNotCalledAfterCancel) {
    bool called = false;
    auto handle = io::on_signal(SIGUSR1, [&] { called = true; });
    ::raise(SIGUSR1);
    handle.cancel();
    copse::hub::current().run_until_idle();
    EXPECT_FALSE(called);
    EXPECT_EQ(handler_of(SIGUSR1), SIG_DFL);
}

TEST_F(IoOnSignal, NextSignalCallsAgainWhileACallWaits) {
    copse::event go;
    int calls = 0;
    const auto handle = io::on_signal(SIGUSR1, [&] {
        if (++calls == 1) {
            go.wait();
        } else {
            go.set();
        }
    });
    ::raise(SIGUSR1);
    while (calls == 0) copse::yield();
    ::raise(SIGUSR1);
    go.wait();
    EXPECT_EQ(calls, 2);
}

TEST_F(IoOnSignal, MayCancelItselfInTheCall) {
    int calls = 0;
    io::signal_handle handle;
    handle = io::on_signal({SIGUSR1, SIGUSR2}, [&] {
        ++calls;
        handle.cancel();
    });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    copse::hub::current().run_until_idle();
    EXPECT_EQ(calls, 1);
}

TEST_F(IoOnSignal, FailureGoesToTheErrorHandlerAndItStays) {
    std::string told;
    copse::set_error_handler(
        [&](std::exception_ptr e, const copse::greenlet&) { told += text_of([&] { std::rethrow_exception(e); }); });
    {
        const auto handle = io::on_signal(SIGUSR1, [] { throw std::runtime_error("!"); });
        for (std::size_t n = 0; n < 2; ++n) {
            ::raise(SIGUSR1);
            while (told.size() == n) copse::yield();
        }
    }
    EXPECT_EQ(told, "!!");
    copse::set_error_handler({});
}

TEST_F(IoOnSignal, TakesWhatCannotBeCopied) {
    auto held = std::make_unique<int>(7);
    int got = 0;
    const auto handle = io::on_signal(SIGUSR1, [&got, own = std::move(held)] { got = *own; });
    ::raise(SIGUSR1);
    while (got == 0) copse::yield();
    EXPECT_EQ(got, 7);
    EXPECT_THROW(static_cast<void>(io::on_signal(SIGUSR1, std::function<void()>())), copse::null_callable);
    EXPECT_THROW(static_cast<void>(io::on_signal(SIGKILL, [] {})), std::invalid_argument);
}

TEST_F(IoOnSignal, MayBeCancelledOnAnotherThread) {
    auto handle = io::on_signal(SIGUSR1, [] {});
    copse::yield();
    std::thread([&] { handle.cancel(); }).join();
    EXPECT_EQ(handler_of(SIGUSR1), SIG_DFL);
}

}  // namespace
