// Names to addresses: who waits, who asks, what is kept. The system's resolver is a stand-in, but in one test.

#include "fork_at_rest.hpp"
#include "io_leak_check.hpp"
#include "io_system_calls.hpp"
#include "sanitizer.hpp"
#include "system_calls.hpp"

#include <copse/fibers.hpp>
#include <copse/io/resolver.hpp>
#include <copse/io/socket.hpp>

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <semaphore>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace io = copse::io;
using io::endpoint;
using io::resolver;
using io::detail::sys;
using namespace std::chrono_literals;

namespace {

// What the stand-in knows, and whether it answers now.
struct system_of_names {
    std::mutex mutex;
    std::condition_variable changed;
    bool answers = true;
    int asked = 0;

    void hold() {
        const std::lock_guard held(mutex);
        answers = false;
    }
    void release() {
        const std::lock_guard held(mutex);
        answers = true;
        changed.notify_all();
    }
    int count() {
        const std::lock_guard held(mutex);
        return asked;
    }
};
system_of_names* names;

// 192.0.2.n for "n.test" (RFC 5737), ::1 besides for "both.test"; nothing else is known.
int look_up(const char* host, const char* /*service*/, const addrinfo* wanted, addrinfo** found) {
    if ((wanted->ai_flags & AI_NUMERICHOST) != 0) return ::getaddrinfo(host, nullptr, wanted, found);
    {
        std::unique_lock held(names->mutex);
        ++names->asked;
        names->changed.notify_all();
        names->changed.wait(held, [] { return names->answers; });
    }
    const std::string_view name(host);
    if (name == "broken.test") {
        errno = ENFILE;
        return EAI_SYSTEM;
    }
    if (!name.ends_with(".test")) return EAI_NONAME;
    const std::string number = "192.0.2." + std::string(name == "both.test" ? "9" : name.substr(0, name.find('.')));
    addrinfo numeric{};
    numeric.ai_flags = AI_NUMERICHOST;
    numeric.ai_socktype = SOCK_STREAM;
    if (const int error = ::getaddrinfo(number.c_str(), nullptr, &numeric, found); error != 0) return error;
    if (name == "both.test") return ::getaddrinfo("::1", nullptr, &numeric, &(*found)->ai_next);
    return 0;
}

void let_go(addrinfo* found) {
    while (found != nullptr) ::freeaddrinfo(std::exchange(found, std::exchange(found->ai_next, nullptr)));
}

class IoResolver : public copse_test::io_leak_check {
protected:
    IoResolver() {
        names = &known;
        sys.getaddrinfo = look_up;
        sys.freeaddrinfo = let_go;
    }
    ~IoResolver() override { copse_test::put_back_system_calls(); }

    // Until the stand-in has been asked so often.
    void await_asked(int times) {
        while (known.count() < times) copse::yield();
    }

    system_of_names known;
};

std::string text_of(const std::vector<endpoint>& all) {
    std::string text;
    for (const endpoint& each : all) text += (text.empty() ? "" : " ") + to_string(each);
    return text;
}

TEST_F(IoResolver, NamesOfAddressesWithinTheirTime) {
    static std::counting_semaphore<8> answered(0);
    sys.getnameinfo = [](const sockaddr*, socklen_t, char* host, socklen_t, char*, socklen_t, int) {
        answered.acquire();
        std::strcpy(host, "seven.test");
        return 0;
    };
    const endpoint seven = endpoint::parse("192.0.2.7:80");
    resolver asks({.threads = 1});
    EXPECT_THROW(asks.name_of_for(seven, 1ms), io::timed_out);
    EXPECT_THROW(asks.name_of_until(seven, copse::clock::now()), io::timed_out);
    answered.release();
    answered.release();
    answered.release();
    EXPECT_EQ(asks.name_of_for(seven, 1h), "seven.test");
}

TEST_F(IoResolver, ANameThatIsNotWaitedForHoldsNobodyUp) {
    static std::counting_semaphore<1> answered(0);
    sys.getnameinfo = [](const sockaddr*, socklen_t, char*, socklen_t, char*, socklen_t, int) {
        answered.acquire();
        return EAI_AGAIN;
    };
    {
        resolver asks({.threads = 1});
        EXPECT_THROW(asks.name_of_for(endpoint::parse("192.0.2.7:80"), 1ms), io::timed_out);
    }
    answered.release();  // it has ended before
}

}  // namespace

TEST_F(IoResolver, Fault_DN07_NumericAndLocalhostAreAnsweredOnTheSpot) {
    resolver asks;
    EXPECT_EQ(text_of(asks.resolve("127.0.0.1", 80)), "127.0.0.1:80");
    EXPECT_EQ(text_of(asks.resolve("::1", 80)), "[::1]:80");
    EXPECT_EQ(text_of(asks.resolve("localhost", 1)), "127.0.0.1:1 [::1]:1");
    EXPECT_EQ(text_of(asks.resolve("localhost", 1, AF_INET6)), "[::1]:1");
    EXPECT_EQ(text_of(asks.resolve("0x7f.1", 1)), "127.0.0.1:1");
    EXPECT_EQ(known.asked, 0);
}

TEST_F(IoResolver, AsksTheSystemAndKeepsItsOrder) {
    resolver asks;
    EXPECT_EQ(text_of(asks.resolve("both.test", 443)), "192.0.2.9:443 [::1]:443");
}

TEST_F(IoResolver, Fault_DN01_FailuresNameWhatWasAsked) {
    resolver asks;
    try {
        asks.resolve("nobody.example", 80);
        FAIL() << "nobody answers to that name";
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().category(), io::name_category());
        EXPECT_EQ(e.code().value(), EAI_NONAME);
        EXPECT_NE(std::string(e.what()).find("looking up nobody.example"), std::string::npos) << e.what();
    }
    try {
        asks.resolve("broken.test", 80);
        FAIL() << "it has no descriptors";
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code(), std::errc::too_many_files_open_in_system);
    }
}

TEST_F(IoResolver, Fault_DN07_WhatIsNoNameIsRefused) {
    resolver asks;
    using namespace std::string_view_literals;
    EXPECT_THROW(asks.resolve("", 80), std::invalid_argument);
    EXPECT_THROW(asks.resolve("a\0b.test"sv, 80), std::invalid_argument);
    EXPECT_THROW(asks.resolve(std::string(2000, 'a'), 80), std::invalid_argument);
    EXPECT_THROW(asks.resolve("1.test", 80, AF_UNIX), std::invalid_argument);
    EXPECT_THROW(resolver({.threads = 0}), std::invalid_argument);
    EXPECT_EQ(known.asked, 0);
}

TEST_F(IoResolver, TheOthersRunMeanwhile) {
    resolver asks;
    known.hold();
    auto asking = copse::spawn([&] { return text_of(asks.resolve("7.test", 80)); });
    await_asked(1);
    EXPECT_FALSE(asking.ready());
    EXPECT_EQ(asks.running(), 1U);
    known.release();
    EXPECT_EQ(asking.get(), "192.0.2.7:80");
    EXPECT_EQ(asks.running(), 0U);
}

TEST_F(IoResolver, Fault_DN05_OneNameIsLookedUpOnceHoweverManyAsk) {
    resolver asks({.threads = 2});
    known.hold();
    std::vector<copse::fiber<std::string>> all;
    for (int i = 0; i < copse_test::up_to(10'000); ++i)
        all.push_back(copse::spawn([&] { return text_of(asks.resolve("7.test", 80)); }));
    await_asked(1);
    auto another = copse::spawn([&] { return text_of(asks.resolve("8.test", 80)); });
    await_asked(2);
    known.release();
    for (const auto& each : all) EXPECT_EQ(each.get(), "192.0.2.7:80");
    EXPECT_EQ(another.get(), "192.0.2.8:80");
    EXPECT_EQ(known.asked, 2);
}

TEST_F(IoResolver, AnswersAreKeptAsLongAsAskedFor) {
    resolver keeps({.keep = 1h, .names = 2});
    keeps.resolve("1.test", 80);
    EXPECT_EQ(text_of(keeps.resolve("1.test", 81)), "192.0.2.1:81") << "the port is not part of the answer";
    EXPECT_EQ(known.asked, 1);
    keeps.resolve("1.test", 80, AF_INET);
    EXPECT_EQ(known.asked, 2) << "another question";
    keeps.resolve("2.test", 80);
    keeps.resolve("1.test", 80);
    EXPECT_EQ(known.asked, 4) << "the oldest has made room";
    keeps.forget();
    keeps.resolve("1.test", 80);
    EXPECT_EQ(known.asked, 5);

    resolver forgets({.keep = 0s});
    forgets.resolve("1.test", 80);
    forgets.resolve("1.test", 80);
    EXPECT_EQ(known.asked, 7);
    EXPECT_THROW(keeps.resolve("nobody.example", 80), std::system_error);
    EXPECT_THROW(keeps.resolve("nobody.example", 80), std::system_error);
    EXPECT_EQ(known.asked, 9) << "failures are not kept";
}

TEST_F(IoResolver, Fault_DN06_WhoIsKilledOrOutOfTimeLeavesTheLookupBehind) {
    resolver asks;
    known.hold();
    auto killed = copse::spawn([&] { asks.resolve("7.test", 80); });
    auto waits = copse::spawn([&] { return text_of(asks.resolve("7.test", 80)); });
    await_asked(1);
    killed.kill();
    EXPECT_TRUE(killed.killed());
    EXPECT_THROW(asks.resolve_for("7.test", 80, 0s), io::timed_out);
    EXPECT_THROW(asks.resolve_until("7.test", 80, copse::clock::now() + 1ms), io::timed_out);
    EXPECT_THROW(copse::with_timeout(1ms, [&] { asks.resolve("7.test", 80); }), copse::timeout_expired);
    known.release();
    EXPECT_EQ(waits.get(), "192.0.2.7:80");
    EXPECT_EQ(known.asked, 1);
}

TEST_F(IoResolver, AThreadThatEndsLeavesItsLookupToThoseWhoWait) {
    resolver asks;
    known.hold();
    std::atomic<bool> begun{false};
    std::thread first([&] {
        copse::spawn([&] { asks.resolve("7.test", 80); });
        while (known.count() == 0) copse::yield();
        begun = true;
    });
    while (!begun) std::this_thread::yield();
    auto waits = copse::spawn([&] { return text_of(asks.resolve("7.test", 80)); });
    copse::yield();
    first.join();  // its fibers are killed
    known.release();
    EXPECT_EQ(waits.get(), "192.0.2.7:80");
}

TEST_F(IoResolver, AnswersFibersOfSeveralThreads) {
    resolver asks;
    known.hold();
    std::string there;
    std::thread other([&] { there = text_of(asks.resolve("7.test", 80)); });
    auto here = copse::spawn([&] { return text_of(asks.resolve("7.test", 80)); });
    await_asked(1);
    known.release();
    other.join();
    EXPECT_EQ(here.get(), "192.0.2.7:80");
    EXPECT_EQ(there, "192.0.2.7:80");
}

TEST_F(IoResolver, InTheHubNothingBlocks) {
    resolver asks;
    bool refused = false;
    copse::hub::current().post([&] {
        try {
            asks.resolve("7.test", 80);
        } catch (const copse::blocking_in_hub&) {
            refused = true;
        }
    });
    copse::hub::current().run_until_idle();
    EXPECT_TRUE(refused);
}

TEST_F(IoResolver, Fault_DN10_ResolvesInTheChildOfAFork) {
    if (copse_test::thread_sanitized) GTEST_SKIP() << "ThreadSanitizer cannot follow";
    resolver asks;
    asks.resolve("1.test", 80);
    const pid_t child = copse_test::fork_at_rest();
    if (child == 0) ::_exit(text_of(asks.resolve("7.test", 80)) == "192.0.2.7:80" ? 0 : 1);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

TEST_F(IoResolver, ConnectAsksTheCommonOne) {
    resolver::common().forget();
    EXPECT_THROW(io::connect("nobody.example:80"), std::system_error);
    EXPECT_EQ(known.asked, 1);
    known.hold();
    EXPECT_THROW(io::connect_for("7.test:80", 1ms), io::timed_out);
    known.release();
    while (resolver::common().running() != 0) copse::yield();
}

// What /etc/hosts says of this machine's own name, or a failure: the same either way.
TEST_F(IoResolver, Fault_DN04_SaysWhatTheSystemSays) {
    copse_test::put_back_system_calls();
    char name[256];
    ASSERT_EQ(::gethostname(name, sizeof name), 0);
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(name, nullptr, &wanted, &found);
    std::vector<endpoint> expected;
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
        expected.push_back(endpoint::from_native(each->ai_addr, each->ai_addrlen));
        expected.back().set_port(80);
    }
    if (found != nullptr) ::freeaddrinfo(found);
    resolver asks;
    if (error != 0) {
        EXPECT_THROW(asks.resolve(name, 80), std::system_error);
    } else {
        EXPECT_EQ(text_of(asks.resolve(name, 80)), text_of(expected));
    }
}

TEST_F(IoResolver, AddressesHaveNames) {
    sys.getnameinfo = [](const sockaddr*, socklen_t, char* host, socklen_t, char*, socklen_t, int flags) {
        if ((flags & NI_NAMEREQD) == 0) return EAI_BADFLAGS;
        std::strcpy(host, "seven.test");
        return 0;
    };
    resolver asks;
    EXPECT_EQ(asks.name_of(endpoint::parse("192.0.2.7:80")), "seven.test");
    sys.getnameinfo = [](const sockaddr*, socklen_t, char*, socklen_t, char*, socklen_t, int) { return EAI_NONAME; };
    EXPECT_THROW(asks.name_of(endpoint::parse("192.0.2.7:80")), std::system_error);
}
