// select in both shapes. HK06.

#include "exceptions.hpp"
#include "io_foreign_pipe.hpp"
#include "io_leak_check.hpp"

#include <copse/virtual_time.hpp>

#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

using IoSelect = io_leak_check;
using numbers = std::vector<int>;

TEST_F(IoSelect, TellsWhatIsReadyInTheOrderAsked) {
    const foreign_pipe a, b, c;
    c.put();
    a.put();
    const auto ready =
        io::select({a.reader(), b.reader(), c.reader()}, {c.writer(), b.writer()}, {a.reader(), b.reader()});
    EXPECT_TRUE(ready);
    EXPECT_EQ(ready.readable, (numbers{a.reader(), c.reader()}));
    EXPECT_EQ(ready.writable, (numbers{c.writer(), b.writer()}));
    EXPECT_EQ(ready.exceptional, numbers());
}

TEST_F(IoSelect, TakesWhateverHasANumber) {
    auto [left, right] = io::socketpair();
    const io::descriptor event(::eventfd(1, EFD_CLOEXEC));
    const auto ready = io::select({right, event}, {left});
    EXPECT_EQ(ready.readable, numbers{event.get()});
    EXPECT_EQ(ready.writable, numbers{left.native_handle()});
    std::vector<io::socket> several;
    several.push_back(std::move(left));
    several.push_back(std::move(right));
    EXPECT_EQ(io::select_for(several, several, {}, 0s).writable.size(), 2U);
    EXPECT_EQ(io::select_for(numbers{event.get()}, {}, {}, 0s).readable.size(), 1U);
}

TEST_F(IoSelect, ParksUntilOneIsReady) {
    const foreign_pipe a, b;
    auto selecting = copse::spawn([&] { return io::select({a.reader(), b.reader()}).readable; });
    copse::yield();
    copse::yield();
    EXPECT_EQ(copse::hub::current().stats().watching, 1U);
    b.put();
    EXPECT_EQ(selecting.get(), numbers{b.reader()});
}

TEST_F(IoSelect, EndAndErrorCountAsReady) {
    foreign_pipe hung_up, broken;
    hung_up.close_writer();
    broken.close_reader();
    const auto ready = io::select({hung_up.reader(), broken.writer()}, {broken.writer()});
    EXPECT_EQ(ready.readable, (numbers{hung_up.reader(), broken.writer()}));
    EXPECT_EQ(ready.writable, numbers{broken.writer()});
}

TEST_F(IoSelect, UrgentDataIsExceptional) {
    auto [left, right] = tcp_pair();
    auto selecting = copse::spawn([&right = right] { return io::select({}, {}, {right}).exceptional; });
    copse::yield();
    copse::yield();
    left.send(as_bytes("!"), MSG_OOB);
    EXPECT_EQ(selecting.get(), numbers{right.native_handle()});
}

// Poll would tell of it at once, again and again.
TEST_F(IoSelect, AHangUpIsNothingExceptional) {
    copse::virtual_time time;
    foreign_pipe p;
    p.close_writer();
    const foreign_pipe other;
    EXPECT_FALSE(io::select_for({other.reader()}, {}, {p.reader()}, 1s));
    EXPECT_EQ(time.elapsed(), 1s);
    EXPECT_EQ(io::select_for({p.reader()}, {}, {p.reader()}, 1s).readable, numbers{p.reader()});
}

TEST_F(IoSelect, TimeIsUp) {
    copse::virtual_time time;
    const foreign_pipe p;
    EXPECT_FALSE(io::select_for({p.reader()}, {}, {}, 1h));
    EXPECT_FALSE(io::select_until({p.reader()}, {}, {}, copse::clock::now() + 1h));
    EXPECT_EQ(time.elapsed(), 2h);
    EXPECT_FALSE(io::select_for({p.reader()}, {}, {}, 0s));
    EXPECT_FALSE(io::select_for({}, {}, {}, 1h)) << "only sleeps";
    EXPECT_EQ(time.elapsed(), 3h);
    EXPECT_THROW(io::select({}), copse::would_block_forever);
}

TEST_F(IoSelect, KilledOneLeavesNothing) {
    const foreign_pipe p;
    auto selecting = copse::spawn([&] { io::select({p.reader()}, {}, {p.reader()}); });
    copse::yield();
    copse::yield();
    selecting.kill();
    EXPECT_EQ(copse::hub::current().stats().watching, 0U);
    p.put();
    EXPECT_TRUE(io::select({p.reader()}));
}

TEST_F(IoSelect, BadDescriptorsAreNamed) {
    const foreign_pipe p;
    const int closed = ::dup(0);
    ::close(closed);
    EXPECT_EQ(error_of([&] { io::select({p.reader(), closed}); }), std::errc::bad_file_descriptor);
    EXPECT_NE(text_of([&] {
                  io::select({p.reader(), closed});
              }).find("fd " + std::to_string(closed)),
              std::string::npos);
    EXPECT_THROW(io::select({-1}), std::invalid_argument);
    EXPECT_THROW(io::select({p.reader()}, {io::socket()}), std::invalid_argument);
}

TEST_F(IoSelect, ClosedMeanwhile) {
    const foreign_pipe p;
    auto [left, right] = io::socketpair();
    auto selecting = copse::spawn([&, fd = right.native_handle()] {
        return error_of([&] { io::select({p.reader(), fd}); });
    });
    copse::yield();
    copse::yield();
    right.close();
    EXPECT_EQ(selecting.get(), std::errc::bad_file_descriptor);
}

// ---- sets

fd_set set_of(std::initializer_list<int> fds) {
    fd_set set;
    FD_ZERO(&set);
    for (const int fd : fds) FD_SET(fd, &set);
    return set;
}

bool same(const fd_set& a, const fd_set& b) {
    for (int fd = 0; fd < FD_SETSIZE; ++fd) {
        if (FD_ISSET(fd, &a) != FD_ISSET(fd, &b)) return false;
    }
    return true;
}

TEST_F(IoSelect, Fault_HK06_SetsBecomeWhatIsReady) {
    const foreign_pipe a, b;
    a.put();
    fd_set read = set_of({a.reader(), b.reader()});
    fd_set write = set_of({a.writer(), b.writer()});
    fd_set urgent = set_of({a.reader()});
    const int nfds = b.writer() + 1;
    EXPECT_EQ(io::select(nfds, &read, &write, &urgent), 3U);
    EXPECT_TRUE(same(read, set_of({a.reader()})));
    EXPECT_TRUE(same(write, set_of({a.writer(), b.writer()})));
    EXPECT_TRUE(same(urgent, set_of({})));
    read = set_of({a.reader(), b.reader()});
    EXPECT_EQ(io::select_for(a.reader(), &read, nullptr, nullptr, 0s), 0U) << "it is not below nfds";
}

TEST_F(IoSelect, Fault_HK06_TimeAndErrors) {
    copse::virtual_time time;
    foreign_pipe a, b;
    fd_set read = set_of({a.reader()});
    EXPECT_EQ(io::select_for(FD_SETSIZE, &read, nullptr, nullptr, 1h), 0U);
    EXPECT_TRUE(same(read, set_of({})));
    EXPECT_EQ(io::select_until(0, nullptr, nullptr, nullptr, copse::clock::now() + 1h), 0U);
    EXPECT_EQ(time.elapsed(), 2h);
    const int closed = b.writer();
    b.close_writer();
    read = set_of({a.reader(), closed});
    EXPECT_EQ(error_of([&] { io::select(FD_SETSIZE, &read, nullptr, nullptr); }), std::errc::bad_file_descriptor);
    EXPECT_TRUE(same(read, set_of({a.reader(), closed}))) << "unchanged";
    EXPECT_THROW(io::select(-1, &read, nullptr, nullptr), std::invalid_argument);
    EXPECT_THROW(io::select(FD_SETSIZE + 1, &read, nullptr, nullptr), std::invalid_argument);
}

}  // namespace
