// Channels between threads. Decision 3; rules 98, 99; QU01, QU02.

#include <copse/fibers.hpp>

#include "fragile.hpp"
#include "hub_test.hpp"
#include "worker.hpp"

#include <chrono>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

using copse::sleep;
using copse::spawn;
using copse::yield;
using copse::shared::channel;
using copse_test::fragile;
using copse_test::in_thread;
using namespace std::chrono_literals;

namespace {

class SharedChannel : public copse_test::hub_test {};

TEST_F(SharedChannel, APutReturnsWhenItWasTaken) {
    channel<int> c;
    const auto putter = spawn([&] {
        c.put(1);
        log("put");
    });
    yield();
    EXPECT_EQ(c.balance(), 1);
    EXPECT_FALSE(putter.ready());
    in_thread([&] { EXPECT_EQ(c.try_get(), 1); });
    putter.join();
    EXPECT_EQ(log.text(), "put");
    EXPECT_EQ(c.balance(), 0);
}

// rule 99
TEST_F(SharedChannel, TryingNeedsAPartner) {
    channel<int> c;
    EXPECT_FALSE(c.try_put(1));
    EXPECT_EQ(c.try_get(), std::nullopt);
    const auto getter = spawn([&] { return c.get(); });
    yield();
    EXPECT_EQ(c.balance(), -1);
    in_thread([&] {
        EXPECT_TRUE(c.try_put(2));
        EXPECT_FALSE(c.try_put(3));
    });
    EXPECT_EQ(getter.get(), 2);
}

TEST_F(SharedChannel, PartnersAreMatchedInTheirOrder) {
    channel<int> c;
    for (int i = 0; i < 3; ++i) {
        spawn([&, i] {
            c.put(i);
            log("put", i);
        });
    }
    yield();
    EXPECT_EQ(c.get(), 0);
    EXPECT_EQ(c.get(), 1);
    EXPECT_EQ(c.get(), 2);
    yield();
    EXPECT_EQ(log.text(), "put0 put1 put2");
}

TEST_F(SharedChannel, BetweenTwoThreads) {
    channel<int> there;
    channel<int> back;
    std::thread other([&] {
        for (const int n : there) back.put(n + 1);
        back.close();
    });
    for (int i = 0; i < 200; ++i) {
        there.put(i);
        EXPECT_EQ(back.get(), i + 1);
    }
    there.close();
    EXPECT_THROW(back.get(), copse::queue_closed);
    other.join();
}

TEST_F(SharedChannel, KilledOrTimedOutBeforeAPartnerComesAndAfter) {
    channel<int> c;
    const auto lost = spawn([&] { c.put(1); });
    yield();
    lost.kill();
    EXPECT_EQ(c.try_get(), std::nullopt);
    EXPECT_EQ(c.get_for(1s), std::nullopt);
    EXPECT_FALSE(c.put_for(1, 1s));
    EXPECT_FALSE(c.put_for(1, 0s));
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_EQ(c.balance(), 0);

    const auto getter = spawn([&] {
        log("got", c.get());
        sleep(1h);
    });
    yield();
    in_thread([&] { EXPECT_TRUE(c.try_put(2)); });
    getter.request_kill();
    getter.join();
    EXPECT_TRUE(getter.killed());
    EXPECT_EQ(log.text(), "got2");
}

TEST_F(SharedChannel, Fault_QU01_CloseTellsAllWhoWait) {
    channel<int> c;
    const auto putter = spawn([&] { EXPECT_THROW(c.put(1), copse::queue_closed); });
    yield();
    in_thread([&] { c.close(); });
    putter.join();
    EXPECT_THROW(c.get(), copse::queue_closed);
    EXPECT_THROW(c.try_put(1), copse::queue_closed);
    for (const int n : c) ADD_FAILURE() << n;
}

TEST_F(SharedChannel, Fault_QU02_AMoveThatThrowsLeavesThePartnerWaiting) {
    channel<fragile> c;
    const auto putter = spawn([&] { c.put(fragile(1)); });
    yield();
    fragile::armed = 1;
    EXPECT_THROW(c.try_get(), std::runtime_error);
    EXPECT_EQ(c.balance(), 1);
    EXPECT_EQ(c.get().number, 1);
    putter.join();
    const auto getter = spawn([&] { EXPECT_EQ(c.get().number, 3); });
    yield();
    fragile::armed = 1;
    EXPECT_THROW(c.put(fragile(2)), std::runtime_error);
    c.put(fragile(3));
    getter.join();
    EXPECT_THROW(c.get_for(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
}

}  // namespace
