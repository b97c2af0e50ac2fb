// Watching what is spawned (spawn callbacks).

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <copse/fibers.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>

using namespace std::chrono_literals;

namespace {

class SpawnObserver : public copse_test::hub_test {};

}  // namespace

TEST_F(SpawnObserver, IsToldBeforeTheFiberRuns) {
    const copse::spawn_observer watch([&](const copse::any_fiber& f) { log("spawned", f.name()); });
    auto f = copse::spawn({.name = "A"}, [&] { log("runs"); });
    log("goes-on");
    f.join();
    EXPECT_EQ(log.text(), "spawnedA goes-on runs");
}

TEST_F(SpawnObserver, OfEveryKindOfSpawn) {
    int told = 0;
    const copse::spawn_observer watch([&](const copse::any_fiber&) { ++told; });
    auto later = copse::spawn_after(1s, [] {});
    auto held = copse::spawn({.start = false}, [] {});
    copse::group all;
    all.spawn([] {});
    EXPECT_EQ(told, 3);
    held.start();
    copse::join_all(later, held);
    all.join();
}

TEST_F(SpawnObserver, SeveralInTheirOrderUntilTheyEnd) {
    const copse::spawn_observer first([&](const copse::any_fiber&) { log("first"); });
    auto second = std::make_unique<copse::spawn_observer>([&](const copse::any_fiber&) { log("second"); });
    copse::spawn([] {}).join();
    second.reset();
    copse::spawn([] {}).join();
    EXPECT_EQ(log.text(), "first second first");
}

TEST_F(SpawnObserver, MayKillWhatIsSpawned) {
    const copse::spawn_observer watch([&](const copse::any_fiber& f) { f.request_kill(); });
    auto f = copse::spawn([&] { log("runs"); });
    EXPECT_TRUE(f.ready());
    EXPECT_TRUE(f.killed());
    copse::yield();
    EXPECT_EQ(log.text(), "");
}

TEST_F(SpawnObserver, MayLinkAndSpawn) {
    bool inner = false;
    const copse::spawn_observer watch([&](const copse::any_fiber& f) {
        log(f.name());
        if (inner) return;
        inner = true;
        copse::spawn({.name = "inner"}, [] {});
        f.link([&] { log("ended"); });
    });
    copse::spawn({.name = "outer"}, [] {}).join();
    copse::sleep(1ms);
    EXPECT_EQ(log.text(), "outer inner link ended");
}

TEST_F(SpawnObserver, MustNotWait) {
    copse::semaphore none(0);
    const copse::spawn_observer watch([&](const copse::any_fiber&) {
        EXPECT_THROW(copse::yield(), copse::blocking_in_hub);
        EXPECT_THROW(none.acquire(), copse::blocking_in_hub);
    });
    auto f = copse::spawn([] {});
    f.join();  // afterwards waiting is allowed again
}

TEST_F(SpawnObserver, Fault_KL20_ItsExceptionsGoToTheErrorHandler) {
    std::exception_ptr reported;
    copse::set_error_handler([&](const std::exception_ptr& e, const copse::greenlet&) { reported = e; });
    {
        const copse::spawn_observer watch([](const copse::any_fiber&) { throw std::runtime_error("no"); });
        copse::spawn([&] { log("runs"); }).join();
    }
    EXPECT_EQ(log.text(), "runs");
    EXPECT_NE(reported, nullptr);
    copse::set_error_handler({});
}

TEST_F(SpawnObserver, WithoutAFunctionIsRefused) {
    EXPECT_THROW(copse::spawn_observer(std::function<void(const copse::any_fiber&)>()), copse::null_callable);
}
