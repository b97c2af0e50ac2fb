// Greenlets and threads: who may do what. Rules 1, 52, 83; 39 and 53 where greenlet_parent_test.cpp leaves off.

#include <copse/debug.hpp>
#include <copse/greenlet.hpp>

#include "exceptions.hpp"
#include "leak_check.hpp"
#include "worker.hpp"

#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using copse::greenlet;
using copse_test::in_thread;
using copse_test::to_parent;
using copse_test::worker;

namespace {

class GreenletThreads : public copse_test::leak_check {};

TEST_F(GreenletThreads, TenThreadsEachPlayPingPong) {
    std::vector<std::string> played(10);
    std::vector<std::thread> threads;
    for (std::string& text : played) {
        threads.emplace_back([&text] {
            greenlet g([&] {
                text += '1';
                to_parent();
                text += '3';
            });
            text += '0';
            g.switch_to();
            text += '2';
            g.switch_to();
            text += '4';
        });
    }
    for (std::thread& t : threads) t.join();
    for (const std::string& text : played) EXPECT_EQ(text, "01234");
}

// rule 52
TEST_F(GreenletThreads, AnothersGreenletIsRefusedInEveryState) {
    worker owner;
    greenlet unstarted;
    greenlet suspended;
    greenlet dead;
    greenlet main;
    owner.run([&] {
        unstarted = greenlet([](int n) { return n; });
        suspended = greenlet([] { return to_parent().as<int>(); });
        suspended.switch_to();
        dead = greenlet([] {});
        dead.switch_to();
        main = greenlet::current();
    });
    for (const greenlet* g : {&unstarted, &suspended, &dead, &main}) {
        EXPECT_THROW(g->switch_to(), copse::wrong_thread);
        EXPECT_THROW(g->switch_to(1), copse::wrong_thread);
        EXPECT_THROW(g->raise(), copse::wrong_thread);
        EXPECT_THROW(g->raise(std::runtime_error("x")), copse::wrong_thread);
        EXPECT_THROW(g->set_name("x"), copse::wrong_thread);
        EXPECT_THROW(g->backtrace(), copse::wrong_thread);
    }
    EXPECT_TRUE(dead.dead());
    EXPECT_FALSE(suspended.dead());
    owner.run([&] {
        EXPECT_EQ(unstarted.switch_to(1).as<int>(), 1);
        EXPECT_EQ(suspended.switch_to(2).as<int>(), 2);
        unstarted = suspended = dead = greenlet();
        EXPECT_EQ(copse::debug::live_greenlets(), 0U);
    });
}

// rule 52: the message says whose it is
TEST_F(GreenletThreads, RefusalNamesBothMains) {
    worker owner;
    greenlet foreign;
    owner.run([&] { foreign = greenlet([] {}); });
    const std::string text = copse_test::what_is_thrown_by([&] { foreign.switch_to(); });
    EXPECT_NE(text.find("#" + std::to_string(greenlet::current().id())), std::string::npos) << text;
    std::string its_main;
    owner.run([&] { its_main = "#" + std::to_string(greenlet::current().id()); });
    EXPECT_NE(text.find(its_main), std::string::npos) << text;
}

// rule 52: a payload on its way is not disturbed by a refused one
TEST_F(GreenletThreads, RefusedSwitchLeavesPendingPayloadsAlone) {
    worker owner;
    greenlet target;
    std::string got;
    owner.run([&] {
        target = greenlet([&](const std::string& first) {
            in_thread([&] { EXPECT_THROW(target.switch_to("foreign"), copse::wrong_thread); });
            got = first;
            got += to_parent("back").as<std::string>();
        });
        EXPECT_EQ(target.switch_to("a").as<std::string>(), "back");
        target.switch_to("b");
    });
    EXPECT_EQ(got, "ab");
}

// rules 52, 83: many threads try others' greenlets while their owners switch
TEST_F(GreenletThreads, HammeringOthersGreenletsOnlyGivesErrors) {
    constexpr int pairs = 16;
    constexpr int rounds = 200;
    std::vector<greenlet> shared(pairs);
    std::vector<int> refused(pairs, 0);
    std::latch made(pairs);
    std::latch tried(pairs);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < pairs; ++i) {
        threads.emplace_back([&, i] {
            greenlet mine([] {
                for (;;) to_parent();
            });
            mine.switch_to();
            shared[i] = mine;
            made.arrive_and_wait();
            for (int round = 0; round < rounds; ++round) mine.switch_to(round);
            tried.wait();
            shared[i] = greenlet();
        });
        threads.emplace_back([&, i] {
            made.wait();
            for (int round = 0; round < rounds; ++round) {
                try {
                    shared[i].switch_to(round);
                } catch (const copse::wrong_thread&) {
                    ++refused[i];
                }
                EXPECT_FALSE(greenlet(shared[i]).dead());
            }
            tried.count_down();
        });
    }
    for (std::thread& t : threads) t.join();
    for (const int n : refused) EXPECT_EQ(n, rounds);
}

// rule 1: two threads may block inside greenlets at the same time
TEST_F(GreenletThreads, BlockingInsideGreenletsOfTwoThreadsDisturbsNeither) {
    std::latch both_inside(2);
    const auto run = [&](std::string& text) {
        greenlet g([&] {
            text += 'a';
            both_inside.arrive_and_wait();
            to_parent();
            text += 'c';
        });
        g.switch_to();
        text += 'b';
        g.switch_to();
    };
    std::string mine;
    std::string its;
    std::thread other([&] { run(its); });
    run(mine);
    other.join();
    EXPECT_EQ(mine, "abc");
    EXPECT_EQ(its, "abc");
}

}  // namespace
