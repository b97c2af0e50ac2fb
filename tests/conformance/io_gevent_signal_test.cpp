// Signals. Rules 111, 121 and 122 of gevent's list, and what its test__signal looks at.

#include "exceptions.hpp"
#include "io_leak_check.hpp"

#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <stdexcept>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using GeventSignal = io_leak_check;

// rule 121
TEST_F(GeventSignal, RunsInAFiberOfItsOwnThatMayWait) {
    copse::event go;
    copse::event done;
    const auto handle = io::on_signal(SIGUSR1, [&] {
        log("begun");
        go.wait();
        log("ended");
        done.set();
    });
    auto other = copse::spawn([&] {
        while (log.text().empty()) copse::yield();
        log("other");
        go.set();
    });
    ::raise(SIGUSR1);
    done.wait();
    other.join();
    EXPECT_EQ(log.text(), "begun other ended");
}

// rule 121
TEST_F(GeventSignal, FiveBeforeTheHubLooksAreOneCall) {
    copse::event done;
    const auto handle = io::on_signal(SIGUSR1, [&] { log("called"); });
    const auto last = io::on_signal(SIGUSR2, [&] { done.set(); });
    for (int i = 0; i < 5; ++i) ::raise(SIGUSR1);
    EXPECT_EQ(log.text(), "") << "nothing runs in the handler of the kernel";
    ::raise(SIGUSR2);
    done.wait();
    copse::hub::current().run_until_idle_for(0s);
    EXPECT_EQ(log.text(), "called");
}

// rule 121
TEST_F(GeventSignal, EveryHandleIsCalledAndCancelAffectsOne) {
    copse::semaphore calls(0);
    auto first = io::on_signal(SIGUSR1, [&] {
        log("first");
        calls.release();
    });
    const auto second = io::on_signal(SIGUSR1, [&] {
        log("second");
        calls.release();
    });
    ::raise(SIGUSR1);
    calls.acquire();
    calls.acquire();
    log.take();
    first.cancel();
    ::raise(SIGUSR1);
    calls.acquire();
    EXPECT_EQ(log.text(), "second");
}

// rule 111, changed: a handle is a reason to wait. Without one the same wait is a deadlock.
TEST_F(GeventSignal, WaitingForASignalIsNoDeadlock) {
    copse::event stop;
    {
        const auto handle = io::on_signal(SIGUSR1, [&] { stop.set(); });
        auto raises = copse::spawn([] {
            copse::yield();
            ::raise(SIGUSR1);
        });
        stop.wait();
        raises.join();
    }
    stop.clear();
    EXPECT_THROW(stop.wait(), copse::would_block_forever);
}

// rule 122: an interrupt is the program's own until it is asked for.
TEST_F(GeventSignal, AnInterruptIsLeftAloneUnlessItIsAskedFor) {
    const auto handler = [] {
        struct sigaction now {};
        ::sigaction(SIGINT, nullptr, &now);
        return now.sa_handler;
    };
    const auto before = handler();
    copse::yield();
    EXPECT_EQ(handler(), before);
    {
        const auto handle = io::on_signal(SIGINT, [] {});
    }
    EXPECT_EQ(handler(), before);
}

// test__signal, changed: what a handler throws goes to the error handler, not into the wait of main; the handle stays.
TEST_F(GeventSignal, AHandlerThatThrowsIsToldAndStays) {
    const error_recorder errors;
    copse::semaphore calls(0);
    const auto handle = io::on_signal(SIGUSR1, [&] {
        calls.release();
        throw std::runtime_error("of a handler");
    });
    for (std::size_t i = 1; i <= 2; ++i) {
        ::raise(SIGUSR1);
        calls.acquire();
        while (errors.count() < i) copse::yield();
        EXPECT_EQ(errors[i - 1].what, "of a handler");
    }
}

// test__signal
TEST_F(GeventSignal, WhatCannotBeCalledIsRefused) {
    EXPECT_THROW(static_cast<void>(io::on_signal(SIGUSR1, std::function<void()>())), copse::null_callable);
}

}  // namespace
