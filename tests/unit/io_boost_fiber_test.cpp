// Fibers of Boost on the hub.

#include <copse/io/boost_fiber.hpp>

#include "exceptions.hpp"
#include "io_leak_check.hpp"
#include "sanitizer.hpp"

#include <copse/spawn_observer.hpp>

#include <boost/fiber/all.hpp>

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
namespace fibers = boost::fibers;
using io::boost_fiber;

namespace {

/// Each test has a thread, as Boost's scheduler stays in its thread for good.
class boost_fibers : public io_leak_check {
protected:
    void SetUp() override {
        // Boost.Fiber's library tells sanitizers of its stacks only if it was built for that.
        if (sanitized) GTEST_SKIP() << "sanitizers cannot follow Boost.Fiber";
    }

    template <class F>
    void on_new_thread(F f) {
        const std::size_t descriptors = open_descriptors();
        std::thread([&] {
            fibers::use_scheduling_algorithm<boost_fiber>();
            EXPECT_EQ(what_is_thrown_by(f), "nothing");
            EXPECT_TRUE(copse::hub::current().run_until_idle_for(5s)) << "something still runs";
            const copse::hub_stats stats = copse::hub::current().stats();
            EXPECT_EQ(stats.fibers, 0U);
            EXPECT_EQ(stats.timers, 0U);
            EXPECT_EQ(stats.watching, 0U);
        }).join();
        EXPECT_EQ(open_descriptors(), descriptors);
    }
};

std::string received(io::socket& from) {
    return boost_fiber::call([&] { return recv_text(from); });
}

}  // namespace

TEST_F(boost_fibers, RunInOrderAndShareTheThread) {
    on_new_thread([&] {
        auto ours = copse::spawn([&] {
            for (int i = 0; i < 2; ++i, copse::yield()) log("copse", i);
        });
        fibers::fiber a([&] {
            for (int i = 0; i < 2; ++i, boost::this_fiber::yield()) log("a", i);
        });
        fibers::fiber b([&] {
            for (int i = 0; i < 2; ++i, boost::this_fiber::yield()) log("b", i);
        });
        a.join();
        b.join();
        boost_fiber::call([&] { ours.join(); });
        EXPECT_EQ(log.take().substr(0, 5), "copse");  // the dispatcher came first
    });
}

TEST_F(boost_fibers, CallReturnsAndThrows) {
    on_new_thread([&] {
        fibers::fiber([&] {
            int number = 5;
            EXPECT_EQ(boost_fiber::call([&] { return copse::sleep(1ms), 1; }), 1);
            int& same = boost_fiber::call([&]() -> int& { return number; });
            EXPECT_EQ(&same, &number);
            EXPECT_EQ(*boost_fiber::call([] { return std::make_unique<int>(3); }), 3);
            boost_fiber::call([&] { copse::yield(); });
            EXPECT_EQ(what_is_thrown_by([] { boost_fiber::call([] { throw std::runtime_error("inner"); }); }), "inner");
            EXPECT_THROW(boost_fiber::call([] {
                             const copse::timeout limit(1ms);
                             copse::sleep(1h);
                         }),
                         copse::timeout_expired);
            EXPECT_EQ(boost_fiber::call([] { return boost_fiber::call([] { return 7; }); }), 7);
        }).join();
        EXPECT_EQ(boost_fiber::call([] { return copse::sleep(1ms), 2; }), 2);  // in main
    });
}

TEST_F(boost_fibers, AKilledCallIsTold) {
    on_new_thread([&] {
        std::vector<copse::any_fiber> spawned;
        const copse::spawn_observer all([&](const copse::any_fiber& f) { spawned.push_back(f); });
        fibers::fiber caller([&] {
            EXPECT_THROW(boost_fiber::call([&] { copse::sleep(1h); }), copse::fiber_killed);
            log("told");
        });
        boost::this_fiber::yield();  // the call has been made
        ASSERT_EQ(spawned.size(), 1U);
        spawned.front().request_kill();  // before it started
        caller.join();
        EXPECT_EQ(log.take(), "told");

        bool begun = false;
        fibers::fiber another(
            [&] { EXPECT_THROW(boost_fiber::call([&] { begun = true, copse::sleep(1h); }), copse::fiber_killed); });
        while (!begun) boost::this_fiber::yield();
        ASSERT_EQ(spawned.size(), 2U);
        spawned.back().request_kill();  // while it waits
        another.join();
    });
}

TEST_F(boost_fibers, OthersGoOnDuringACall) {
    on_new_thread([&] {
        auto [left, right] = io::socketpair();
        fibers::fiber reader([&, &from = left] { log("got:", received(from)); });
        fibers::fiber writer([&, &to = right] {
            while (copse::hub::current().stats().watching == 0) boost::this_fiber::yield();  // the reader waits
            log("sends");
            boost_fiber::call([&] { to.send_all(as_bytes("x")); });
        });
        reader.join();
        writer.join();
        EXPECT_EQ(log.take(), "sends got:x");
    });
}

TEST_F(boost_fibers, ConditionVariablesOfBoostAndSocketsOfCopse) {
    on_new_thread([&] {
        auto pair = io::socketpair();
        fibers::mutex mutex;
        fibers::condition_variable changed;
        std::string text;
        bool ended = false;
        fibers::fiber reader([&] {
            for (;;) {
                const std::string some = received(pair.second);
                const std::lock_guard lock(mutex);
                text += some;
                ended = some.empty();
                changed.notify_all();
                if (ended) break;
            }
        });
        fibers::fiber watcher([&] {
            std::unique_lock lock(mutex);
            changed.wait(lock, [&] { return text.size() >= 3; });
            log("three");
            changed.wait(lock, [&] { return ended; });
            log("end");
        });
        for (int i = 0; i < 5; ++i) boost_fiber::call([&] { pair.first.send_all(as_bytes("z")), copse::yield(); });
        pair.first.close();
        reader.join();
        watcher.join();
        EXPECT_EQ(text, "zzzzz");
        EXPECT_EQ(log.take(), "three end");
    });
}

TEST_F(boost_fibers, FibersOfCopseWakeThoseOfBoost) {
    on_new_thread([&] {
        fibers::promise<int> promise;
        fibers::buffered_channel<int> channel(4);
        auto ours = copse::spawn([&] {
            copse::sleep(2ms);
            promise.set_value(4);
            copse::sleep(2ms);
            channel.try_push(5);
            channel.close();
        });
        EXPECT_EQ(promise.get_future().get(), 4);
        int sum = 0;
        for (const int value : channel) sum += value;
        EXPECT_EQ(sum, 5);
        boost_fiber::call([&] { ours.join(); });
    });
}

TEST_F(boost_fibers, AnotherThreadWakesTheHub) {
    on_new_thread([&] {
        for (int i = 0; i < 20; ++i) {
            fibers::promise<int> promise;
            auto future = promise.get_future();
            std::thread other([&] { promise.set_value(i); });
            EXPECT_EQ(future.get(), i);
            other.join();
        }
    });
}

TEST_F(boost_fibers, DeadlinesOfBoostAreKept) {
    on_new_thread([&] {
        const auto begin = std::chrono::steady_clock::now();
        boost::this_fiber::sleep_for(5ms);
        EXPECT_GE(std::chrono::steady_clock::now() - begin, 5ms);
        fibers::mutex mutex;
        fibers::condition_variable never;
        std::unique_lock lock(mutex);
        EXPECT_EQ(never.wait_for(lock, 1ms), fibers::cv_status::timeout);
        // A deadline far away does not keep the fibers of copse waiting.
        bool done = false;
        auto ours = copse::spawn([&] {
            copse::sleep(1ms);
            done = true;
            never.notify_one();
        });
        EXPECT_EQ(never.wait_for(lock, 1h), fibers::cv_status::no_timeout);
        EXPECT_TRUE(done);
        boost_fiber::call([&] { ours.join(); });
    });
}

TEST_F(boost_fibers, WaitingWithoutCallIsRefused) {
    on_new_thread([&] {
        auto pair = io::socketpair();
        fibers::fiber([&] {
            EXPECT_THROW(copse::sleep(1ms), copse::blocking_in_hub);
            std::array<std::byte, 1> one{};
            EXPECT_THROW(pair.first.recv(one), copse::blocking_in_hub);
            boost::this_fiber::yield();
            EXPECT_THROW(copse::yield(), copse::blocking_in_hub);
        }).join();
        copse::sleep(1ms);  // main may
    });
}

TEST_F(boost_fibers, NeitherKindStarvesTheOther) {
    on_new_thread([&] {
        bool stop = false;
        int rounds = 0;
        auto ours = copse::spawn([&] {
            copse::sleep(5ms);
            while (rounds < 100) copse::yield();
            stop = true;
        });
        fibers::fiber spinner([&] {
            while (!stop) {
                ++rounds;
                boost::this_fiber::yield();
            }
        });
        spinner.join();
        EXPECT_TRUE(stop);
        boost_fiber::call([&] { ours.join(); });
    });
}

TEST_F(boost_fibers, ManyServeAnEcho) {
    on_new_thread([&] {
        constexpr int clients = 50;
        auto listener = io::listen("127.0.0.1:0");
        std::vector<fibers::fiber> all;
        int served = 0;
        all.emplace_back([&] {
            std::vector<fibers::fiber> handlers;
            for (int i = 0; i < clients; ++i) {
                handlers.emplace_back(
                    [&, client = boost_fiber::call([&]() -> io::socket { return listener.accept(); })]() mutable {
                        for (std::string text; !(text = received(client)).empty();)
                            boost_fiber::call([&] { client.send_all(as_bytes(text)); });
                        ++served;
                    });
            }
            for (auto& handler : handlers) handler.join();
        });
        for (int i = 0; i < clients; ++i) {
            all.emplace_back([&, i] {
                auto connection = boost_fiber::call([&] { return io::connect(listener.local_endpoint()); });
                const std::string sent = "client " + std::to_string(i);
                boost_fiber::call([&] { connection.send_all(as_bytes(sent)); });
                EXPECT_EQ(received(connection), sent);
            });
        }
        for (auto& each : all) each.join();
        EXPECT_EQ(served, clients);
    });
}

TEST_F(boost_fibers, BelongToTheMainGreenlet) {
    on_new_thread([&] {
        boost_fiber::call([] {
            EXPECT_NE(what_is_thrown_by([] { const boost_fiber second; }).find("main greenlet"), std::string::npos);
        });
    });
    std::thread([] { EXPECT_THROW(boost_fiber::call([] {}), copse::error); }).join();
}
