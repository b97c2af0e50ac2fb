// select, poll and the selector. Rules 15, 125, 127 and 134 of gevent's list, and what its test__select and test__selectors
// look at.

#include "io_foreign_pipe.hpp"
#include "io_leak_check.hpp"

#include <copse/virtual_time.hpp>

#include <poll.h>
#include <unistd.h>

#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using GeventSelect = io_leak_check;
using numbers = std::vector<int>;

// rules 15 and 134
TEST_F(GeventSelect, OthersHaveATurnAlsoIfSomethingIsReady) {
    const foreign_pipe p;
    p.put();
    const auto other = [&] { log("other"); };
    pollfd one[] = {{p.reader(), POLLIN, 0}};
    io::selector s;
    s.register_fd(p.reader(), io::readiness::read);

    copse::spawn(other);
    io::select({p.reader()});
    log("select");
    copse::spawn(other);
    io::poll(one);
    log("poll");
    copse::spawn(other);
    s.select();
    log("selector");
    EXPECT_EQ(log.text(), "other select other poll other selector");
}

// rule 134
TEST_F(GeventSelect, BadDescriptorsAreAnErrorAtOnce) {
    const foreign_pipe p;
    const int closed = ::dup(0);
    ::close(closed);
    EXPECT_EQ(error_of([&] { io::select({p.reader()}, {closed}); }), std::errc::bad_file_descriptor);
    pollfd two[] = {{p.reader(), POLLIN, 0}, {closed, POLLIN, 0}};
    EXPECT_EQ(io::poll(two), 1U);
    EXPECT_EQ(two[1].revents, POLLNVAL);
}

// rule 134
TEST_F(GeventSelect, OneThatIsListedTwiceIsReportedTwice) {
    const foreign_pipe p;
    auto waiting = copse::spawn([&] { return io::select({p.reader(), p.reader()}).readable; });
    copse::yield();
    copse::yield();
    p.put();
    EXPECT_EQ(waiting.get(), (numbers{p.reader(), p.reader()}));
}

// rules 127 and 134
TEST_F(GeventSelect, TwoFibersThatSelectTheSameBothWake) {
    const foreign_pipe p;
    const auto select = [&] { return io::select({p.reader()}).readable.size(); };
    auto first = copse::spawn(select);
    auto second = copse::spawn(select);
    copse::yield();
    copse::yield();
    p.put();
    EXPECT_EQ(first.get(), 1U);
    EXPECT_EQ(second.get(), 1U);
}

// rule 134 changed: a negative time counts as none (decision 7), there it is refused
TEST_F(GeventSelect, ANegativeTimeIsNone) {
    copse::virtual_time time;
    const foreign_pipe p;
    EXPECT_FALSE(io::select_for({p.reader()}, {}, {}, -1s));
    EXPECT_EQ(time.elapsed(), 0s);
}

// rule 134 changed: poll says what poll(2) says, there everything is POLLIN or POLLOUT
TEST_F(GeventSelect, PollTellsAHangUpByItsName) {
    foreign_pipe p;
    auto polling = copse::spawn([&] {
        pollfd one[] = {{p.reader(), POLLIN, 0}};
        io::poll(one);
        return one[0].revents;
    });
    copse::yield();
    copse::yield();
    p.close_writer();
    EXPECT_EQ(polling.get(), POLLHUP);
}

// test__select: a descriptor closed while it is selected
TEST_F(GeventSelect, ClosedWhileSelecting) {
    foreign_pipe p;
    auto selecting = copse::spawn([&] { return error_of([&] { io::select({p.reader()}); }); });
    copse::yield();
    copse::yield();
    p.close_reader();
    EXPECT_EQ(selecting.get(), std::errc::bad_file_descriptor);
}

// test__select: time-outs of empty and of quiet selections
TEST_F(GeventSelect, TimesOut) {
    copse::virtual_time time;
    const foreign_pipe p;
    EXPECT_FALSE(io::select_for({}, {}, {}, 10ms));
    EXPECT_FALSE(io::select_for({p.reader()}, {}, {}, 10ms));
    EXPECT_EQ(time.elapsed(), 20ms);
}

// test__selectors: many sockets, one selector, used by several fibers one after the other
TEST_F(GeventSelect, ASelectorServesManySockets) {
    std::vector<std::pair<io::socket, io::socket>> pairs;
    io::selector s;
    for (int i = 0; i < 50; ++i) {
        pairs.push_back(io::socketpair());
        s.register_fd(pairs.back().second, io::readiness::read, i);
    }
    auto serving = copse::spawn([&] {
        for (std::size_t served = 0; served < pairs.size();) {
            for (const auto& ready : s.select()) {
                io::socket& from = pairs[static_cast<std::size_t>(std::any_cast<int>(ready.key->data))].second;
                from.send_all("echo " + recv_text(from));
                ++served;
            }
        }
    });
    std::vector<copse::fiber<std::string>> clients;
    for (auto& pair : pairs) {
        clients.push_back(copse::spawn([&to = pair.first] {
            to.send_all("hello");
            return recv_text(to);
        }));
    }
    for (auto& c : clients) EXPECT_EQ(c.get(), "echo hello");
    serving.get();
}

// test__selectors: closed while it is registered
TEST_F(GeventSelect, ClosedWhileRegistered) {
    auto [left, right] = io::socketpair();
    io::selector s;
    s.register_fd(right, io::readiness::read);
    const int number = right.native_handle();
    right.close();
    EXPECT_EQ(s.select().size(), 1U);
    EXPECT_EQ(s.unregister(number)->fd, number);
    EXPECT_TRUE(s.select_for(0s).empty());
}

}  // namespace
