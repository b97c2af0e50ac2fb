// Results between threads. TP07; rules 76, 77, 114.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "fragile.hpp"
#include "hub_test.hpp"
#include "worker.hpp"

#include <chrono>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using copse::spawn;
using copse::yield;
using copse::shared::async_result;
using copse_test::fragile;
using copse_test::in_thread;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

class SharedAsyncResult : public copse_test::hub_test {};

TEST_F(SharedAsyncResult, SetOnAnotherThreadIsGotByAll) {
    async_result<std::string> r;
    std::vector<copse::fiber<void>> all;
    for (int i = 0; i < 3; ++i) all.push_back(spawn([&, i] { log(i, r.get()); }));
    yield();
    EXPECT_FALSE(r.ready());
    in_thread([&] { r.set("x"); });
    copse::join_all(all);
    EXPECT_EQ(log.text(), "0x 1x 2x");
    EXPECT_TRUE(r.successful());
    EXPECT_EQ(r.get(), "x");
    EXPECT_EQ(r.try_get(), "x");
}

// rule 76
TEST_F(SharedAsyncResult, AnExceptionIsThrownByGetAndNotByWait) {
    async_result<int> r;
    in_thread([&] { r.set_exception(std::make_exception_ptr(std::runtime_error("there"))); });
    r.wait();
    EXPECT_TRUE(r.wait_for(1s));
    EXPECT_TRUE(r.ready());
    EXPECT_FALSE(r.successful());
    EXPECT_EQ(copse_test::what_of(r.exception()), "there");
    EXPECT_EQ(what_is_thrown_by([&] { r.get(); }), "there");
    EXPECT_EQ(what_is_thrown_by([&] { r.try_get(); }), "there");
    EXPECT_EQ(what_is_thrown_by([&] { r.get_for(1s); }), "there");
}

// rule 77
TEST_F(SharedAsyncResult, Fault_TP07_SetTwiceOrToNothing) {
    async_result<int> r;
    EXPECT_THROW(r.set_exception(nullptr), std::invalid_argument);
    EXPECT_EQ(r.exception(), nullptr);
    r.set(1);
    EXPECT_THROW(r.set(2), copse::already_set);
    EXPECT_THROW(r.set_exception(std::make_exception_ptr(1)), copse::already_set);
    EXPECT_EQ(r.get(), 1);
}

TEST_F(SharedAsyncResult, VoidReferencesAndWhatCanOnlyBeMoved) {
    async_result<void> nothing;
    EXPECT_FALSE(nothing.try_get());
    int number = 1;
    async_result<int&> reference;
    EXPECT_EQ(reference.try_get(), nullptr);
    async_result<std::unique_ptr<int>> once;
    std::thread other([&] {
        nothing.set();
        reference.set(number);
        once.set(std::make_unique<int>(3));
    });
    nothing.get();
    EXPECT_EQ(&reference.get(), &number);
    EXPECT_EQ(*once.get(), 3);
    EXPECT_THROW(once.get(), copse::value_taken);
    EXPECT_TRUE(nothing.get_for(0s));
    other.join();
}

TEST_F(SharedAsyncResult, TimesOutAndIsKilled) {
    async_result<int> r;
    EXPECT_EQ(r.get_for(1s), std::nullopt);
    EXPECT_EQ(r.get_for(-1s), std::nullopt);
    EXPECT_FALSE(r.wait_until(copse::clock::now() + 1s));
    EXPECT_EQ(time.elapsed(), 2s);
    EXPECT_THROW(r.wait_for(std::chrono::duration<double>(std::nan(""))), copse::invalid_duration);
    const auto early = spawn([&] { r.get(); });
    const auto late = spawn([&] { r.get(); });
    yield();
    early.kill();
    in_thread([&] { r.set(1); });
    late.request_kill();  // acquires nothing: thrown
    late.join();
    EXPECT_TRUE(late.killed());
    EXPECT_EQ(r.get(), 1);
}

TEST_F(SharedAsyncResult, AMoveThatThrowsChangesNothing) {
    async_result<fragile> r;
    fragile::armed = 1;
    EXPECT_THROW(r.set(fragile(1)), std::runtime_error);
    EXPECT_FALSE(r.ready());
    fragile::armed = 0;
    r.set(fragile(1));
    fragile::armed = 1;
    EXPECT_THROW(r.get(), std::runtime_error);  // a copy
    EXPECT_EQ(r.get().number, 1);
}

TEST_F(SharedAsyncResult, MayEndWhenGetHasReturned) {
    for (int i = 0; i < 200; ++i) {
        auto r = std::make_unique<async_result<int>>();
        std::thread setter([it = r.get(), i] { it->set(i); });
        EXPECT_EQ(r->get(), i);
        r.reset();
        setter.join();
    }
}

}  // namespace
