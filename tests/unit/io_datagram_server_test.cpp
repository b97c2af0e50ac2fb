// Servers of datagrams: what is answered, when it stops, what it does when it cannot go on. NT24.

#include "at_end.hpp"
#include "exceptions.hpp"
#include "io_leak_check.hpp"
#include "io_system_calls.hpp"
#include "system_calls.hpp"

#include <copse/virtual_time.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::detail::sys;

namespace {

class IoDatagramServer : public io_leak_check {
protected:
    ~IoDatagramServer() override { put_back_system_calls(); }

    static std::string ask(io::socket& client, std::string_view question) {
        client.send(question);
        std::string answer(65'536, '\0');
        answer.resize(client.recv_for(std::as_writable_bytes(std::span(answer)), 10s));
        return answer;
    }
};

void echo(io::incoming_datagram& d) { EXPECT_TRUE(d.reply(d.bytes())); }

TEST_F(IoDatagramServer, AnswersEverybody) {
    for (const char* where : {"127.0.0.1:0", "[::1]:0"}) {
        io::datagram_server server(where, echo);
        EXPECT_FALSE(server.is_serving());
        server.start();
        server.start();
        EXPECT_TRUE(server.is_serving());
        for (int i = 0; i < 20; ++i) {
            auto client = io::connect_datagram(server.local_endpoint());
            const std::string question = pattern(static_cast<std::size_t>(i) * 100, 7);
            EXPECT_TRUE(ask(client, question) == question);
        }
        EXPECT_EQ(server.stats().received, 20U);
        EXPECT_TRUE(server.stop_for(10s));
        EXPECT_EQ(server.handlers(), 0U);
        auto again = io::bind_datagram(server.local_endpoint());  // the port is free
    }
}

TEST_F(IoDatagramServer, UnixNamesToo) {
    io::datagram_server server(io::endpoint::unnamed(), echo);
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    EXPECT_EQ(ask(client, "abc"), "abc");
    EXPECT_TRUE(server.stop_for(1s));
}

TEST_F(IoDatagramServer, HandlersComeInSeveralShapes) {
    const auto visit = [](auto&& handler) {
        io::datagram_server server("127.0.0.1:0", std::forward<decltype(handler)>(handler));
        server.start();
        auto client = io::connect_datagram(server.local_endpoint());
        EXPECT_EQ(ask(client, "hello"), "bye");
        EXPECT_TRUE(server.stop_for(10s));
    };
    visit([](io::incoming_datagram& d) { d.reply("bye"); });
    visit([](const io::incoming_datagram& d) { d.reply(d.text() == "hello" ? "bye" : "?"); });
    visit([](io::incoming_datagram d) { d.reply("bye"); });
    visit([held = std::make_unique<int>(7)](io::incoming_datagram& d) { d.reply(*held == 7 ? "bye" : "?"); });
    EXPECT_THROW(io::datagram_server("127.0.0.1:0", std::function<void(io::incoming_datagram&)>()),
                 copse::null_callable);
}

TEST_F(IoDatagramServer, TellsWhatIsKnownOfADatagram) {
    std::vector<std::string> seen;
    io::datagram_server server("127.0.0.1:0",
                               [&](io::incoming_datagram& d) {
                                   seen.push_back(to_string(d.peer()) + " " + std::string(d.text()) + " " +
                                                  std::to_string(d.full_size()) + (d.truncated() ? " cut" : ""));
                                   d.reply("");
                               },
                               {.max_size = 4});
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    for (const char* each : {"four", "fives", ""}) EXPECT_EQ(ask(client, each), "");
    const std::string from = to_string(client.local_endpoint());
    EXPECT_EQ(seen, (std::vector<std::string>{from + " four 4", from + " five 5 cut", from + "  0"}));
    EXPECT_EQ(server.stats().truncated, 1U);
    EXPECT_TRUE(server.stop_for(1s));
}

TEST_F(IoDatagramServer, HandlersWaitAndOthersAreServedMeanwhile) {
    copse::virtual_time time;
    io::datagram_server server("127.0.0.1:0", [](io::incoming_datagram& d) {
        if (d.text() == "slow") copse::sleep(5s);
        d.reply(d.bytes());
    });
    server.start();
    auto slow = io::connect_datagram(server.local_endpoint());
    auto quick = io::connect_datagram(server.local_endpoint());
    slow.send("slow");
    while (server.handlers() == 0) copse::yield();
    EXPECT_EQ(ask(quick, "quick"), "quick");
    EXPECT_EQ(time.elapsed(), 0s);
    EXPECT_EQ(server.handlers(), 1U);
    EXPECT_EQ(recv_text(slow), "slow");
    EXPECT_TRUE(server.stop_for(1s));
}

TEST_F(IoDatagramServer, NoMoreHandlersThanAllowed) {
    copse::virtual_time time;
    std::size_t most = 0;
    io::datagram_server* running = nullptr;
    io::datagram_server server("127.0.0.1:0",
                               [&](io::incoming_datagram& d) {
                                   most = std::max(most, running->handlers());
                                   copse::sleep(1s);
                                   d.reply(d.bytes());
                               },
                               {.max_handlers = 3});
    running = &server;
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    for (int i = 0; i < 10; ++i) client.send("x");
    for (int i = 0; i < 10; ++i) EXPECT_EQ(recv_text(client), "x");
    EXPECT_EQ(most, 3U);
    EXPECT_EQ(time.elapsed(), 4s);
    EXPECT_TRUE(server.stop_for(1s));
}

TEST_F(IoDatagramServer, Fault_NT24_StopWaitsThenKills) {
    copse::virtual_time time;
    int cleaned = 0;
    io::datagram_server server("127.0.0.1:0", [&](io::incoming_datagram& d) {
        const at_end count([&] { ++cleaned; });
        copse::sleep(d.text() == "quick" ? 1s : 1h);
        d.reply("late");
    });
    server.start();
    auto quick = io::connect_datagram(server.local_endpoint());
    auto slow = io::connect_datagram(server.local_endpoint());
    quick.send("quick");
    slow.send("slow");
    while (server.handlers() != 2) copse::yield();
    EXPECT_FALSE(server.stop_for(3s));
    EXPECT_EQ(time.elapsed(), 3s);
    EXPECT_EQ(cleaned, 2);
    EXPECT_EQ(recv_text(quick), "late") << "what ran on could still answer";
    auto again = io::bind_datagram(server.local_endpoint());
    EXPECT_FALSE(slow.try_recv(std::span<std::byte>()).has_value());
}

TEST_F(IoDatagramServer, StopTakesNoMore) {
    int handled = 0;
    io::datagram_server server("127.0.0.1:0", [&](io::incoming_datagram& d) {
        ++handled;
        copse::sleep(10ms);
        d.reply("done");
    });
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("one");
    while (server.handlers() == 0) copse::yield();
    server.stop();
    server.stop();
    EXPECT_FALSE(server.is_serving());
    client.send("two");
    EXPECT_EQ(recv_text(client), "done");
    EXPECT_TRUE(server.stop_for(1s));
    EXPECT_EQ(handled, 1);
    EXPECT_EQ(error_of([&] { server.start(); }), std::errc::bad_file_descriptor);
}

TEST_F(IoDatagramServer, ServeForeverEndsWithStop) {
    std::optional<io::datagram_server> server;
    server.emplace("127.0.0.1:0", [&](io::incoming_datagram& d) {
        if (d.text() == "stop") server->stop();
        d.reply("ok");
    });
    auto serving = copse::spawn([&] { server->serve_forever(); });
    auto client = io::connect_datagram(server->local_endpoint());
    EXPECT_EQ(ask(client, "go"), "ok");
    EXPECT_EQ(ask(client, "stop"), "ok");
    serving.get();
}

TEST_F(IoDatagramServer, AHandlerMayStopAndWait) {
    std::optional<bool> all;
    std::optional<io::datagram_server> server;
    server.emplace("127.0.0.1:0", [&](io::incoming_datagram& d) {
        all = server->stop_for(1s);
        d.reply("stopped");
    });
    server->start();
    auto client = io::connect_datagram(server->local_endpoint());
    EXPECT_EQ(ask(client, "stop"), "stopped") << "its own socket is kept for it";
    EXPECT_EQ(all, true);
}

TEST_F(IoDatagramServer, DestructionEndsWhatRuns) {
    bool cleaned = false;
    {
        io::datagram_server server("127.0.0.1:0", [&](io::incoming_datagram&) {
            const at_end note([&] { cleaned = true; });
            copse::sleep(1h);
        });
        server.start();
        auto client = io::connect_datagram(server.local_endpoint());
        client.send("x");
        while (server.handlers() == 0) copse::yield();
        copse::yield();
    }
    EXPECT_TRUE(cleaned);
}

TEST_F(IoDatagramServer, WhatAHandlerThrowsIsReportedAndTheServerGoesOn) {
    const error_recorder errors;
    io::datagram_server server("127.0.0.1:0", [](io::incoming_datagram& d) {
        d.reply("ok");
        if (d.text() == "throw") throw std::runtime_error("the handler's");
    });
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    EXPECT_EQ(ask(client, "throw"), "ok");
    EXPECT_EQ(ask(client, "again"), "ok");
    ASSERT_EQ(errors.count(), 1U);
    EXPECT_EQ(errors[0].what, "the handler's");
    EXPECT_TRUE(server.stop_for(1s));
}

// 10 ms, doubling to 1 s, from the start after a success; told once a second.
TEST_F(IoDatagramServer, PausesLongerAndLonger) {
    copse::virtual_time time;
    const error_recorder errors;
    static std::vector<std::chrono::nanoseconds> attempts;
    static bool broken;
    static copse::virtual_time* clock;
    attempts.clear();
    broken = true;
    clock = &time;
    sys.recvmmsg = [](int fd, mmsghdr* m, unsigned n, int flags) -> int {
        if (!broken) return ::recvmmsg(fd, m, n, flags, nullptr);
        attempts.push_back(clock->elapsed());
        return errno = ENOMEM, -1;
    };
    io::datagram_server server("127.0.0.1:0", echo);
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("abc");
    copse::sleep(5s);
    std::vector<std::chrono::nanoseconds> gaps;
    for (std::size_t i = 1; i < attempts.size(); ++i) gaps.push_back(attempts[i] - attempts[i - 1]);
    EXPECT_EQ(gaps, (std::vector<std::chrono::nanoseconds>{10ms, 20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1s, 1s, 1s}));
    EXPECT_EQ(errors.count(), 5U);
    broken = false;
    EXPECT_EQ(recv_text(client), "abc");
    EXPECT_EQ(server.stats().pauses, 11U);
    EXPECT_TRUE(server.stop_for(1s));
}

TEST_F(IoDatagramServer, EndsWhenNoPauseCanHelp) {
    sys.recvmmsg = [](int, mmsghdr*, unsigned, int) -> int { return errno = EINVAL, -1; };
    io::datagram_server server("127.0.0.1:0", echo);
    auto serving = copse::spawn([&] { server.serve_forever(); });
    auto client = io::connect_datagram(server.local_endpoint());
    client.send("x");
    EXPECT_EQ(error_of([&] { serving.get(); }), std::errc::invalid_argument);
    EXPECT_FALSE(server.is_serving());
    EXPECT_EQ(error_of([&] { server.start(); }), std::errc::invalid_argument) << "it says why";
}

TEST_F(IoDatagramServer, OldNewsOfTheNetworkIsNoFailure) {
    const error_recorder errors;
    auto client = io::bind_datagram("127.0.0.1:0");
    const io::endpoint where = client.local_endpoint();
    io::socket bound = io::connect_datagram(where);
    io::datagram_server server(std::move(bound), echo);
    server.start();
    client.close();
    auto* const raw = &server;
    const io::endpoint here = raw->local_endpoint();
    static int lies;
    lies = 3;
    sys.recvmmsg = [](int fd, mmsghdr* m, unsigned n, int flags) -> int {
        return lies-- > 0 ? (errno = ECONNREFUSED, -1) : ::recvmmsg(fd, m, n, flags, nullptr);
    };
    auto next = io::bind_datagram(where);
    next.send_to("abc", here);
    EXPECT_EQ(recv_text(next), "abc");
    EXPECT_EQ(errors.count(), 0U);
    EXPECT_EQ(server.stats().pauses, 0U);
    EXPECT_TRUE(server.stop_for(1s));
}

// ---- several at once

TEST_F(IoDatagramServer, TakesManyWithOneCall) {
    static int calls;
    calls = 0;
    sys.recvmmsg = [](int fd, mmsghdr* m, unsigned n, int flags) -> int {
        ++calls;
        return ::recvmmsg(fd, m, n, flags, nullptr);
    };
    for (const unsigned batch : {0U, 1U, 10U, 1000U}) {
        std::set<std::string> seen;
        io::datagram_server server("127.0.0.1:0", [&](io::incoming_datagram& d) { seen.insert(std::string(d.text())); },
                                   {.max_size = 2000, .batch = batch});
        auto client = io::connect_datagram(server.local_endpoint());
        for (int i = 0; i < 60; ++i) client.send(pattern(1000, static_cast<unsigned>(i)));
        calls = 0;
        server.start();
        while (seen.size() < 60) copse::yield();
        const int needed = 60 / static_cast<int>(std::clamp(batch, 1U, 64U));
        EXPECT_GE(calls, needed);
        EXPECT_LE(calls, needed + 4) << "batch " << batch;
        EXPECT_TRUE(server.stop_for(10s));
        EXPECT_EQ(server.stats().received, 60U);
    }
}

TEST_F(IoDatagramServer, OthersHaveTheirTurnBetweenBatches) {
    int turns = 0;
    io::datagram_server server("127.0.0.1:0", [](io::incoming_datagram&) {}, {.max_receive = 8, .batch = 4});
    auto client = io::connect_datagram(server.local_endpoint());
    for (int i = 0; i < 64; ++i) client.send("x");
    auto other = copse::spawn([&] {
        while (server.stats().received < 64) {
            ++turns;
            copse::yield();
        }
    });
    server.start();
    other.get();
    EXPECT_GE(turns, 7);
}

TEST_F(IoDatagramServer, WhatThereAreNoHandlersForStaysInTheKernel) {
    copse::event go_on;
    io::datagram_server server("127.0.0.1:0",
                               [&](io::incoming_datagram& d) {
                                   go_on.wait();
                                   d.reply(d.bytes());
                               },
                               {.max_handlers = 3, .batch = 64});
    server.start();
    auto client = io::connect_datagram(server.local_endpoint());
    for (int i = 0; i < 10; ++i) client.send(std::to_string(i));
    while (server.handlers() < 3) copse::yield();
    for (int i = 0; i < 5; ++i) copse::yield();
    EXPECT_EQ(server.stats().received, 3U);
    server.restart();  // the handlers hold its socket open, and what waits in it waits on
    go_on.set();
    std::set<std::string> answers;
    for (int i = 0; i < 10; ++i) answers.insert(recv_text(client));
    EXPECT_EQ(answers.size(), 10U);
    EXPECT_TRUE(server.stop_for(10s));
}

TEST_F(IoDatagramServer, SizesThatNoMemoryCanHold) {
    EXPECT_THROW(io::datagram_server("127.0.0.1:0", echo, {.max_size = std::size_t{1} << 62}), std::invalid_argument);
}

// ---- serving again

TEST_F(IoDatagramServer, RestartsAtTheSamePlace) {
    const std::string path = "/tmp/copse-datagram-server-" + std::to_string(::getpid()) + ".sock";
    for (const std::string& where : {std::string("127.0.0.1:0"), "unix:" + path}) {
        io::datagram_server server(where, echo);
        const io::endpoint there = server.local_endpoint();
        const auto is_served = [&] {
            auto client = io::connect_datagram(there);
            return ask(client, "abc") == "abc";
        };
        auto serving = copse::spawn([&] { server.serve_forever(); });
        EXPECT_TRUE(is_served());
        EXPECT_TRUE(server.stop_for(10s));
        server.restart();
        EXPECT_TRUE(is_served());
        server.restart();
        EXPECT_TRUE(is_served());
        EXPECT_FALSE(serving.ready());
        EXPECT_TRUE(server.stop_for(10s));
        serving.get();
        EXPECT_EQ(error_of([&] { server.start(); }), std::errc::bad_file_descriptor);
    }
    EXPECT_EQ(::unlink(path.c_str()), 0);
}

}  // namespace
