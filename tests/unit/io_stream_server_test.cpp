// Servers: who is served, when it stops, what it does when it cannot go on. Rules 135 to 140, of which
// 136 and 137 are in io_stream_server_limit_test.cpp.

#include "at_end.hpp"
#include "exceptions.hpp"
#include "io_echo.hpp"

#include <copse/virtual_time.hpp>

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoStreamServer = io_leak_check;

TEST_F(IoStreamServer, ServesManyAtOnce) {
    io::stream_server server("127.0.0.1:0", echo);
    EXPECT_FALSE(server.is_serving());
    server.start();
    server.start();
    EXPECT_TRUE(server.is_serving());
    std::vector<copse::fiber<bool>> clients;
    for (unsigned i = 0; i < 50; ++i) {
        clients.push_back(copse::spawn([&, i] {
            auto s = io::connect(server.local_endpoint());
            const std::string sent = pattern(1000 + i, i);
            s.send_all(sent);
            s.shutdown(io::shut::write);
            return recv_to_end(s) == sent;
        }));
    }
    for (auto& c : clients) EXPECT_TRUE(c.get());
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.connections(), 0U);
    EXPECT_EQ(server.stats().accepted, 50U);
    EXPECT_EQ(server.stats().pauses, 0U);
}

TEST_F(IoStreamServer, HandlersComeInSeveralShapes) {
    int calls = 0;
    const auto visit = [&](auto&& handler) {
        io::stream_server server("[::1]:0", std::forward<decltype(handler)>(handler));
        server.start();
        auto client = io::connect(server.local_endpoint());
        EXPECT_EQ(recv_to_end(client), "bye");
        EXPECT_TRUE(server.stop_for(10s));
        ++calls;
    };
    visit([](io::socket s) { s.send_all("bye"); });
    visit([](io::socket s, const io::endpoint& peer) {
        EXPECT_EQ(s.peer_endpoint(), peer);
        s.send_all("bye");
    });
    visit([](io::socket& s) { s.send_all("bye"); });
    visit([](io::socket& s, io::endpoint peer) {
        EXPECT_EQ(s.peer_endpoint(), peer);
        s.send_all("bye");
    });
    visit([held = std::make_unique<int>(7)](io::socket s) { s.send_all(*held == 7 ? "bye" : "?"); });
    EXPECT_EQ(calls, 5);
}

TEST_F(IoStreamServer, ANullHandlerIsRefused) {
    EXPECT_THROW(copse::io::stream_server("127.0.0.1:0", std::function<void(copse::io::socket&)>()),
                 copse::null_callable);
    EXPECT_THROW(copse::io::stream_server("127.0.0.1:0", static_cast<void (*)(copse::io::socket&)>(nullptr)),
                 copse::null_callable);
}

TEST_F(IoStreamServer, TakesOverAListener) {
    auto listener = io::listen("127.0.0.1:0");
    const io::endpoint where = listener.local_endpoint();
    io::stream_server server(std::move(listener), echo);
    EXPECT_EQ(server.local_endpoint(), where);
    server.start();
    auto client = io::connect(where);
    client.send_all("abc");
    EXPECT_EQ(recv_text(client), "abc");
    client.close();
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.local_endpoint(), where);
}

// Rule 138.
TEST_F(IoStreamServer, ServeForeverEndsWithStop) {
    io::stream_server server("127.0.0.1:0", echo);
    auto serving = copse::spawn([&] { server.serve_forever(); });
    auto client = io::connect(server.local_endpoint());
    client.send_all("abc");
    EXPECT_EQ(recv_text(client), "abc");
    server.stop();
    server.stop();
    serving.get();
    EXPECT_FALSE(server.is_serving());
    client.send_all("def");
    EXPECT_EQ(recv_text(client), "def") << "what runs, runs on";
    EXPECT_EQ(error_of([&] { io::connect(server.local_endpoint()); }), std::errc::connection_refused);
    EXPECT_EQ(error_of([&] { server.start(); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(server.connections(), 1U);
    client.close();
    EXPECT_TRUE(server.stop_for(10s));
}

// NT24.
TEST_F(IoStreamServer, Fault_NT24_StopWaitsThenKills) {
    copse::virtual_time time;
    int cleaned = 0;
    io::stream_server server("127.0.0.1:0", [&](io::socket client) {
        const at_end count([&] { ++cleaned; });
        echo(std::move(client));
    });
    server.start();
    auto quick = io::connect(server.local_endpoint());
    auto slow = io::connect(server.local_endpoint());
    for (io::socket* s : {&quick, &slow}) {
        s->send_all("abc");
        EXPECT_EQ(recv_text(*s), "abc");
    }
    auto leaver = copse::spawn([&] {
        copse::sleep(1s);
        quick.close();
    });
    EXPECT_FALSE(server.stop_for(3s));
    EXPECT_EQ(time.elapsed(), 3s);
    EXPECT_EQ(cleaned, 2);
    EXPECT_EQ(recv_to_end(slow), "") << "it was closed";
    auto again = io::listen(server.local_endpoint());  // the port is free
    leaver.join();
}

TEST_F(IoStreamServer, StopForEndsAsSoonAsTheLastHandlerDoes) {
    copse::virtual_time time;
    io::stream_server server("127.0.0.1:0", [](io::socket) { copse::sleep(2s); });
    server.start();
    auto client = io::connect(server.local_endpoint());
    while (server.connections() == 0) copse::yield();
    EXPECT_TRUE(server.stop_for(1h));
    EXPECT_EQ(time.elapsed(), 2s);
}

// Whoever waits in serve_forever owns the server, as a rule, and ends it next.
TEST_F(IoStreamServer, ServeForeverWaitsForWhoStopsIt) {
    copse::virtual_time time;
    io::stream_server server("127.0.0.1:0", [](io::socket) { copse::sleep(2s); });
    auto serving = copse::spawn([&] {
        server.serve_forever();
        log("served at", time.elapsed() / 1s);
    });
    auto client = io::connect(server.local_endpoint());
    while (server.connections() == 0) copse::yield();
    auto stopping = copse::spawn([&] {
        EXPECT_TRUE(server.stop_for(1h));
        log("stopped at", time.elapsed() / 1s);
    });
    copse::join_all(serving, stopping);
    EXPECT_EQ(log.text(), "stopped at2 served at2");
}

TEST_F(IoStreamServer, WhomAnotherKilledDidNotEndByItself) {
    copse::virtual_time time;
    io::stream_server server("127.0.0.1:0", [](io::socket) { copse::sleep(1h); });
    server.start();
    auto client = io::connect(server.local_endpoint());
    while (server.connections() == 0) copse::yield();
    auto patient = copse::spawn([&] { return server.stop_for(2h); });
    copse::yield();
    EXPECT_FALSE(server.stop_for(0s));
    EXPECT_FALSE(patient.get());
    EXPECT_EQ(time.elapsed(), 0s);
}

TEST_F(IoStreamServer, AHandlerMayStopItsServer) {
    std::optional<bool> stopped;
    io::stream_server server("127.0.0.1:0", [&](io::socket) { stopped = server.stop_for(1s); });
    auto client = io::connect(server.local_endpoint());
    server.serve_forever();
    EXPECT_EQ(recv_to_end(client), "");
    EXPECT_TRUE(server.stop_for(1s));
    EXPECT_EQ(stopped, true);
}

TEST_F(IoStreamServer, DestructorKillsWhatRuns) {
    int cleaned = 0;
    auto client = io::socket();
    {
        io::stream_server server("127.0.0.1:0", [&](io::socket s) {
            const at_end count([&] { ++cleaned; });
            echo(std::move(s));
        });
        server.start();
        client = io::connect(server.local_endpoint());
        client.send_all("abc");
        EXPECT_EQ(recv_text(client), "abc");
    }
    EXPECT_EQ(cleaned, 1);
    EXPECT_EQ(recv_to_end(client), "");
}

TEST_F(IoStreamServer, DestructorOfOneThatNeverServed) {
    const io::stream_server server("127.0.0.1:0", echo);
    EXPECT_EQ(server.connections(), 0U);
}

TEST_F(IoStreamServer, DestructorInAFiberThatIsKilled) {
    auto owner = copse::spawn([] {
        io::stream_server server("127.0.0.1:0", echo);
        server.serve_forever();
    });
    copse::yield();
    owner.kill();
    EXPECT_TRUE(owner.killed());
}

TEST_F(IoStreamServer, HandlersThatWereNeverEnteredCountAndAreClosed) {
    io::stream_server server("127.0.0.1:0", echo);
    server.start();
    std::vector<io::socket> clients;
    for (int i = 0; i < 3; ++i) clients.push_back(io::connect(server.local_endpoint()));
    while (server.connections() != 3) copse::yield();
    EXPECT_FALSE(server.stop_for(0s));
    for (auto& c : clients) EXPECT_EQ(recv_to_end(c), "");
    EXPECT_EQ(server.connections(), 0U);
}

// Rule 140.
TEST_F(IoStreamServer, FailuresOfHandlersAreToldExceptThatThePeerIsGone) {
    const error_recorder errors;
    io::stream_server server("127.0.0.1:0", [&](io::socket s) {
        const std::string wish = recv_text(s);
        if (wish == "reset") throw std::system_error(ECONNRESET, std::generic_category(), "recv");
        if (wish == "pipe") throw std::system_error(EPIPE, std::system_category(), "send");
        throw std::runtime_error("handler of " + wish);
    });
    server.start();
    for (const char* wish : {"reset", "pipe", "nonsense"}) {
        auto client = io::connect(server.local_endpoint());
        client.send_all(wish);
        EXPECT_EQ(recv_to_end(client), "");
    }
    EXPECT_TRUE(server.stop_for(10s));
    ASSERT_EQ(errors.count(), 1U);
    EXPECT_EQ(errors[0].what, "handler of nonsense");
}

TEST_F(IoStreamServer, ABrokenListenerEndsIt) {
    io::socket no_listener(AF_INET);
    no_listener.bind("127.0.0.1:0");
    io::stream_server server(std::move(no_listener), echo);
    EXPECT_EQ(error_of([&] { server.serve_forever(); }), std::errc::invalid_argument);
    EXPECT_FALSE(server.is_serving());
}

TEST_F(IoStreamServer, OthersRunBetweenManyConnections) {
    io::stream_server server("127.0.0.1:0", [](io::socket) {}, {.max_accept = 4});
    std::vector<io::socket> clients;
    for (int i = 0; i < 40; ++i) clients.push_back(io::connect(server.local_endpoint()));
    int turns = 0;
    auto other = copse::spawn([&] {
        while (server.stats().accepted < 40) {
            ++turns;
            copse::yield();
        }
    });
    server.start();
    other.get();
    EXPECT_GE(turns, 9);
    EXPECT_TRUE(server.stop_for(10s));
}

// ---- what no pause can help

TEST_F(IoStreamServer, AListenerThatListensNoMoreEndsIt) {
    mortal_server m;
    io::stream_server& server = m.server;
    auto served = copse::spawn([&] { return text_of([&] { server.serve_forever(); }); });
    while (!server.is_serving()) copse::yield();
    m.end();
    EXPECT_NE(served.get().find("accept"), std::string::npos);
    EXPECT_FALSE(server.is_serving());
    EXPECT_NE(text_of([&] { server.start(); }).find("accept"), std::string::npos) << "it says why";
}

TEST_F(IoStreamServer, EndOfItsOwnIsToldIfNobodyServesForEver) {
    const error_recorder errors;
    mortal_server m;
    io::stream_server& server = m.server;
    server.start();
    copse::yield();
    m.end();
    while (server.is_serving()) copse::yield();
    copse::hub::current().run_until_idle();
    ASSERT_EQ(errors.count(), 1U);
    EXPECT_NE(errors[0].what.find("accept"), std::string::npos) << errors[0].what;
    EXPECT_EQ(error_of([&] { server.serve_forever(); }), std::errc::invalid_argument) << "and afterwards still known";
}

TEST_F(IoStreamServer, StandingTimeOutOfItsListenerIsNoFailure) {
    copse::virtual_time time;
    auto listener = io::listen("127.0.0.1:0");
    listener.set_timeout(50ms);
    io::stream_server server(std::move(listener), echo);
    server.start();
    copse::sleep(10s);
    EXPECT_EQ(server.stats().pauses, 0U);
}

TEST_F(IoStreamServer, DestroyedInTheHubItStillEndsItsHandlers) {
    std::optional<io::stream_server> server(std::in_place, "127.0.0.1:0", echo);
    server->start();
    auto client = io::connect(server->local_endpoint());
    client.send_all("a");
    EXPECT_EQ(recv_text(client), "a");
    copse::hub::current().post([&] { server.reset(); });
    EXPECT_EQ(recv_to_end(client), "");
}

// ---- clients that leave

TEST_F(IoStreamServer, ResetsOfItsClientsAreCountedOthersAreTold) {
    const error_recorder errors;
    auto backend = io::listen("127.0.0.1:0");
    const io::endpoint where = backend.local_endpoint();
    io::stream_server server("127.0.0.1:0", [&](io::socket client) {
        const std::string wish = recv_text(client);
        if (wish == "send much") {
            const std::string block(1 << 20, 'x');
            for (;;) client.send_all(block);  // of which a part has been sent: a transfer_error
        }
        if (wish == "ask another") {
            io::socket other = io::connect(where);
            other.send_all("x");
            recv_text(other);
        }
        recv_to_end(client);
    });
    server.start();
    const auto leave = [](io::socket& s) {
        s.set_option(io::linger(0s));
        s.close();
    };
    for (const char* wish : {"receive", "send much"}) {
        auto client = io::connect(server.local_endpoint());
        client.send_all(wish);
        while (server.connections() == 0) copse::yield();
        copse::sleep(1ms);
        leave(client);
        while (server.connections() != 0) copse::yield();
    }
    EXPECT_EQ(server.stats().resets, 2U);
    EXPECT_EQ(errors.count(), 0U);
    auto client = io::connect(server.local_endpoint());
    client.send_all("ask another");
    io::socket asked = backend.accept();
    EXPECT_EQ(recv_text(asked), "x");
    leave(asked);
    EXPECT_EQ(recv_to_end(client), "");
    EXPECT_TRUE(server.stop_for(10s));
    EXPECT_EQ(server.stats().resets, 2U);
    ASSERT_EQ(errors.count(), 1U);
    EXPECT_NE(errors[0].what.find("from " + to_string(where)), std::string::npos) << errors[0].what;
}

// ---- several hubs

TEST_F(IoStreamServer, AServerOnEveryHubSharesOnePort) {
    const auto reserved = [] {
        io::socket s(AF_INET);
        s.set_option(io::reuse_port{true});
        s.bind("127.0.0.1:0");  // does not listen: it only keeps the number
        return s;
    }();
    const io::endpoint where = reserved.local_endpoint();
    std::array<std::uint64_t, 2> served{};
    copse::shared::semaphore ready(0);
    {
        copse::workers hubs(2, [&](std::size_t i, std::stop_token stop) {
            io::stream_server server(where, echo, {.listening = {.reuse_port = true}});
            server.start();
            ready.release();
            copse::shared::event stopped;
            const std::stop_callback on_stop(stop, [&] { stopped.set(); });
            stopped.wait();
            EXPECT_TRUE(server.stop_for(10s));
            served[i] = server.stats().accepted;
        });
        ready.acquire();
        ready.acquire();
        for (int i = 0; i < 100; ++i) {
            auto client = io::connect(where);
            EXPECT_TRUE(is_served(client));
        }
    }
    EXPECT_EQ(served[0] + served[1], 100U);
    EXPECT_GT(served[0], 0U) << "the kernel spreads them";
    EXPECT_GT(served[1], 0U);
}

}  // namespace
