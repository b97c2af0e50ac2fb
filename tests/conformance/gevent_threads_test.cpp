// Threads. Rules 111, 113, 114, 116 and 118 of gevent's list.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"
#include "worker.hpp"

#include <chrono>
#include <latch>
#include <stdexcept>
#include <thread>

using copse::spawn;
using copse::yield;
using copse_test::in_thread;
using namespace std::chrono_literals;

namespace {

class GeventThreads : copse_test::hub_with_stack, public copse_test::leak_check {
protected:
    void TearDown() override {
        copse::hub::current().run_until_idle();
        EXPECT_EQ(copse::hub::current().stats().fibers, 0u);
        leak_check::TearDown();
    }
};

// rules 111, 114, changed: who waits for another thread is a reason to live, whatever it waits in.
TEST_F(GeventThreads, AWaitForAnotherThreadIsNoDeadlockWhateverItWaitsIn) {
    copse::shared::event e;
    copse::shared::async_result<int> r;
    copse::shared::semaphore s(0);
    copse::shared::queue<int> q(1);
    copse::shared::channel<int> c;
    copse::shared::mutex m;
    std::latch locked(1);
    std::thread other([&] {
        m.lock();
        locked.count_down();
        for (int n = 0; n < 5; ++n) copse::sleep(100us);
        e.set();
        copse::sleep(100us);
        r.set(1);
        copse::sleep(100us);
        s.release();
        copse::sleep(100us);
        q.put(2);
        copse::sleep(100us);
        c.put(3);
        copse::sleep(100us);
        m.unlock();
    });
    locked.wait();
    e.wait();
    EXPECT_EQ(r.get(), 1);
    s.acquire();
    EXPECT_EQ(q.get(), 2);
    EXPECT_EQ(c.get(), 3);
    m.lock();
    m.unlock();
    other.join();
}

// rule 111
TEST_F(GeventThreads, WhatOneThreadUsesAloneIsStillADeadlock) {
    copse::event e;
    EXPECT_THROW(e.wait(), copse::would_block_forever);
}

// rule 113
TEST_F(GeventThreads, EachThreadHasOneHubMadeByItsFirstUse) {
    copse::hub& here = copse::hub::current();
    EXPECT_EQ(&here, &copse::hub::current());
    copse::shared::event go;
    in_thread([&] {
        EXPECT_EQ(copse::detail::this_thread.hub, nullptr);
        EXPECT_FALSE(go.wait_for(0s));
        EXPECT_NE(&copse::hub::current(), &here);
    });
}

// rule 116, changed: nothing that comes before anybody looks is lost.
TEST_F(GeventThreads, WhatIsSetBeforeAnybodyWaitsCounts) {
    copse::shared::event e;
    copse::shared::semaphore s(0);
    in_thread([&] {
        e.set();
        s.release(2);
    });
    e.wait();
    s.acquire();
    s.acquire();
    EXPECT_FALSE(s.try_acquire());
}

// rule 118, changed: the exception goes to who waits, and nowhere else; what comes beyond the limit waits.
TEST_F(GeventThreads, APoolsTaskThatThrowsIsToldOnceAndItsThreadLives) {
    copse_test::error_recorder errors;
    copse::thread_pool pool({.threads = 1, .queue_limit = 1});
    std::thread::id first;
    EXPECT_EQ(copse_test::what_is_thrown_by([&] {
                  pool.apply([&] {
                      first = std::this_thread::get_id();
                      throw std::runtime_error("task");
                  });
              }),
              "task");
    EXPECT_THROW(pool.apply([] { throw copse::greenlet_exit(); }), copse::greenlet_exit);
    EXPECT_EQ(pool.apply([] { return std::this_thread::get_id(); }), first);
    EXPECT_EQ(errors.count(), 0u);
}

}  // namespace
