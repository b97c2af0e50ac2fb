// The battery that gevent has for whatever waits, for what waits for descriptors here: its own time, a limit around it, one
// with an exception of its own, a kill. Rules 53, 55, 59 and 132 of its list.

#include "io_foreign_pipe.hpp"
#include "io_leak_check.hpp"

#include <copse/virtual_time.hpp>

#include <poll.h>

#include <array>
#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

/// What waits, for something that never comes; says whether its own time went by.
struct waiter {
    const char* name;
    std::function<bool(std::chrono::nanoseconds)> times_out;
};

/// For calls that tell of their time by an exception.
template <class F>
std::function<bool(std::chrono::nanoseconds)> throws_timed_out(F call) {
    return [call](std::chrono::nanoseconds length) { return error_of([&] { call(length); }) == std::errc::timed_out; };
}

class GeventWait : public io_leak_check {
protected:
    void TearDown() override {
        quiet_.reset();
        io_leak_check::TearDown();
    }

    std::vector<waiter> all() {
        quiet_things& q = *quiet_;
        const int number = q.foreign.reader();
        return {
            {"recv", throws_timed_out([&q](auto length) { q.connection.first.recv_for(q.buffer, length); })},
            {"send", throws_timed_out([&q](auto length) { q.connection.first.send_for("x", length); })},
            {"accept", throws_timed_out([&q](auto length) { q.listener.accept_for(length); })},
            {"recv_from", throws_timed_out([&q](auto length) { q.datagrams.recv_from_for(q.buffer, length); })},
            {"read", throws_timed_out([&q](auto length) { q.pipe.reader.read_for(q.buffer, length); })},
            {"wait_readable", throws_timed_out([=](auto length) { io::wait_readable_for(number, length); })},
            {"select", [=](auto length) { return !io::select_for({number}, {}, {}, length); }},
            {"poll", [&q](auto length) { return io::poll_for(q.one, length) == 0; }},
            {"selector", [&q](auto length) { return q.selector.select_for(length).empty(); }},
            {"signal", [&q](auto length) { return !q.signals.wait_for(length); }},
            {"process", [&q](auto length) { return !q.process.wait_for(length); }},
        };
    }

private:
    struct quiet_things {
        quiet_things() {
            while (connection.first.try_send(std::string(65536, 'x'))) {}
            selector.register_fd(foreign.reader(), io::readiness::read);
        }

        std::array<std::byte, 16> buffer{};
        std::pair<io::socket, io::socket> connection = io::socketpair();
        io::socket listener = io::listen("127.0.0.1:0");
        io::socket datagrams = io::bind_datagram("127.0.0.1:0");
        io::pipe_pair pipe = io::pipe();
        foreign_pipe foreign;
        std::array<pollfd, 1> one{{{foreign.reader(), POLLIN, 0}}};
        io::selector selector;
        io::signal_listener signals{SIGUSR1};
        io::process process{{"cat"}, {.input = io::redirect::pipe}};
    };

    std::unique_ptr<quiet_things> quiet_ = std::make_unique<quiet_things>();
};

TEST_F(GeventWait, ItsOwnTimeIsTold) {
    const copse::virtual_time time;
    auto before = 0ns;
    for (const waiter& w : all()) {
        EXPECT_TRUE(w.times_out(10ms)) << w.name;
        EXPECT_EQ(time.elapsed() - before, 10ms) << w.name;
        before = time.elapsed();
    }
}

// rules 53 and 59
TEST_F(GeventWait, AShorterLimitAroundItPassesThrough) {
    const copse::virtual_time time;
    for (const waiter& w : all()) {
        const copse::timeout outer(10ms);
        try {
            w.times_out(1h);
            ADD_FAILURE() << w.name;
        } catch (const copse::timeout_expired& e) {
            EXPECT_TRUE(outer.threw(e)) << w.name;
        }
        EXPECT_TRUE(w.times_out(10ms)) << w.name << " is as good as before";
    }
}

// rule 55
TEST_F(GeventWait, ALimitMayThrowSomethingElse) {
    const copse::virtual_time time;
    for (const waiter& w : all()) {
        const copse::timeout outer(10ms, std::make_exception_ptr(std::runtime_error(w.name)));
        EXPECT_EQ(text_of([&] { w.times_out(1h); }), w.name);
    }
}

// rule 132
TEST_F(GeventWait, AKilledOneLeavesNothing) {
    const copse::virtual_time time;
    for (const waiter& w : all()) {
        auto waiting = copse::spawn([&] { w.times_out(1h); });
        copse::yield();
        waiting.kill();
        EXPECT_TRUE(waiting.killed()) << w.name;
        EXPECT_TRUE(w.times_out(10ms)) << w.name << " is as good as before";
    }
}

}  // namespace
