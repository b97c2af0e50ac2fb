// The selector: what never blocks, and what becomes of descriptors that are closed. FD02, FD03, FD05 to FD07.

#include "exceptions.hpp"
#include "io_foreign_pipe.hpp"
#include "io_leak_check.hpp"
#include "io_selector_text.hpp"

#include <copse/virtual_time.hpp>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <any>
#include <optional>
#include <string>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::readiness;

namespace {

using IoSelectorClosing = io_leak_check;

/// The number that `make` opens.
template <class F>
int number_opened_by(F make) {
    const int next = ::dup(0);
    ::close(next);
    make();
    return next;
}

TEST_F(IoSelectorClosing, Fault_FD06_WhatNeverBlocksIsAlwaysReady) {
    const foreign_pipe p;
    const io::descriptor file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    const io::descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    io::selector s;
    s.register_fd(p.reader(), readiness::read);
    s.register_fd(file, readiness::read);
    s.register_fd(null, readiness::both);
    const std::string both = event_of(file.get(), "r ") + event_of(null.get(), "rw");
    EXPECT_EQ(text_of_events(s.select()), both);
    EXPECT_EQ(text_of_events(s.select_for(0s)), both);
    s.modify(file, readiness::write);
    EXPECT_EQ(text_of_events(s.select()), event_of(file.get(), "w ") + event_of(null.get(), "rw"));
    s.unregister(file);
    s.unregister(null);
    EXPECT_TRUE(s.select_for(0s).empty());
}

TEST_F(IoSelectorClosing, AClosedSocketIsReportedUntilItIsUnregistered) {
    auto [left, right] = io::socketpair();
    const int number = right.native_handle();
    io::selector s;
    s.register_fd(right, readiness::both, 1);
    s.modify(right, readiness::read);
    auto selecting = copse::spawn([&] { return text_of_events(s.select()); });
    settle();
    right.close();
    const int reuse = ::eventfd(0, EFD_CLOEXEC);
    EXPECT_EQ(reuse, number);
    EXPECT_EQ(selecting.get(), event_of(number, "r"));
    EXPECT_EQ(text_of_events(s.select()), event_of(number, "r"));
    EXPECT_EQ(error_of([&] { s.modify(number, readiness::write); }), std::errc::bad_file_descriptor);
    s.register_fd(reuse, readiness::read, 2);  // the new holder of the number takes its place
    EXPECT_EQ(std::any_cast<int>(s.get_key(number)->data), 2);
    EXPECT_TRUE(s.select_for(0s).empty());
    EXPECT_EQ(::eventfd_write(reuse, 1), 0);
    EXPECT_EQ(s.select().size(), 1U);
    close_with_notice(reuse);
    EXPECT_EQ(std::any_cast<int>(s.unregister(number)->data), 2);
    EXPECT_TRUE(s.select_for(0s).empty());
}

TEST_F(IoSelectorClosing, Fault_FD03_OneOfTwoDuplicatesIsClosed) {
    foreign_pipe p;
    const int duplicate = ::dup(p.reader());
    io::selector s;
    s.register_fd(p.reader(), readiness::read);
    s.register_fd(duplicate, readiness::read);
    const int number = p.reader();
    p.close_reader();
    s.unregister(number);
    p.put();
    EXPECT_EQ(text_of_events(s.select()), event_of(duplicate, "r"));
    s.unregister(duplicate);
    EXPECT_TRUE(s.select_for(0s).empty());
    close_with_notice(duplicate);
}

// Its registration cannot be taken back, and would wake the fiber for ever.
TEST_F(IoSelectorClosing, Fault_FD03_ClosedWithoutAWordWhileADuplicateLives) {
    copse::virtual_time time;
    foreign_pipe p;
    const foreign_pipe other;
    const int duplicate = ::dup(p.reader());
    io::selector s;
    const int number = p.release_reader();
    s.register_fd(number, readiness::read);
    s.register_fd(other.reader(), readiness::read);
    ::close(number);
    s.unregister(number);
    p.put();
    EXPECT_TRUE(s.select_for(1h).empty());
    EXPECT_EQ(time.elapsed(), 1h);
    other.put();
    EXPECT_EQ(text_of_events(s.select()), event_of(other.reader(), "r"));
    ::close(duplicate);
}

// Epoll knows a registration by file and number, and finds the old one.
TEST_F(IoSelectorClosing, Fault_FD03_TheSameFileUnderTheSameNumberAgain) {
    foreign_pipe p;
    const int duplicate = ::dup(p.reader());
    io::selector s;
    const int number = p.release_reader();
    s.register_fd(number, readiness::read);
    ::close(number);
    s.unregister(number);
    ::dup2(duplicate, number);
    s.register_fd(number, readiness::read);
    p.put();
    EXPECT_EQ(text_of_events(s.select()), event_of(number, "r"));
    s.unregister(number);
    EXPECT_TRUE(s.select_for(0s).empty());
    close_with_notice(number);
    close_with_notice(duplicate);
}

TEST_F(IoSelectorClosing, Fault_FD02_ClosedWithoutAWordAndUsedAgain) {
    foreign_pipe old;
    const foreign_pipe fresh;
    io::selector s;
    const int number = old.release_reader();
    s.register_fd(number, readiness::read);
    ::dup2(fresh.reader(), number);
    fresh.put();
    s.modify(number, readiness::read);  // says that it is to be looked at
    EXPECT_EQ(text_of_events(s.select()), event_of(number, "r"));
    close_with_notice(number);
}

TEST_F(IoSelectorClosing, Fault_FD05_ItsOwnDescriptorIsClosedByOthers) {
    const foreign_pipe p;
    std::optional<io::selector> s;
    const int own = number_opened_by([&] { s.emplace(); });
    s->register_fd(p.reader(), readiness::read);
    ::close(own);
    p.put();
    EXPECT_EQ(text_of_events(s->select()), event_of(p.reader(), "r"));
    EXPECT_TRUE(p.take());
    ::dup2(0, own);  // and its number given to somebody else
    p.put();
    EXPECT_EQ(text_of_events(s->select()), event_of(p.reader(), "r"));
    EXPECT_NE(::fcntl(own, F_GETFD), -1) << "that one is not closed";
    ::close(own);
}

// What is always ready, or closed, needs no epoll to be told.
TEST_F(IoSelectorClosing, Fault_FD05_FD06_ItsLossHidesNothingThatIsReady) {
    const foreign_pipe p;
    const io::descriptor file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    auto [left, right] = io::socketpair();
    const int closed = right.native_handle();
    std::optional<io::selector> s;
    const int own = number_opened_by([&] { s.emplace(); });
    s->register_fd(p.reader(), readiness::read);
    s->register_fd(file, readiness::read);
    s->register_fd(closed, readiness::read);
    right.close();
    const std::string loose = text_of_events(s->select_for(0s));
    ::close(own);
    EXPECT_EQ(text_of_events(s->select_for(0s)), loose) << "at once, although epoll could not be asked";
    s->unregister(closed);
    s->unregister(file);
    p.put();
    EXPECT_EQ(text_of_events(s->select()), event_of(p.reader(), "r"));
}

TEST_F(IoSelectorClosing, Fault_FD05_WhoRegistersNoticesToo) {
    const foreign_pipe p, q;
    std::optional<io::selector> s;
    const int own = number_opened_by([&] { s.emplace(); });
    s->register_fd(p.reader(), readiness::read);
    ::close(own);
    s->register_fd(q.reader(), readiness::read);
    p.put();
    q.put();
    EXPECT_EQ(s->select().size(), 2U);
    const int again = number_opened_by([] {});
    EXPECT_NE(again, own) << "it has the number once more";
    ::close(own);
    s->modify(q.reader(), readiness::both);
    EXPECT_EQ(s->get_key(q.reader())->events, readiness::both);
    EXPECT_EQ(s->select().size(), 2U);
}

TEST_F(IoSelectorClosing, Fault_FD07_CirclesAreRefused) {
    std::optional<io::selector> s;
    const int own = number_opened_by([&] { s.emplace(); });
    EXPECT_EQ(error_of([&] { s->register_fd(own, readiness::read); }), std::errc::invalid_argument);
    const io::descriptor outer(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{EPOLLIN, {}};
    ASSERT_EQ(::epoll_ctl(outer.get(), EPOLL_CTL_ADD, own, &event), 0);
    EXPECT_EQ(error_of([&] { s->register_fd(outer, readiness::read); }), std::errc::too_many_symbolic_link_levels);
    EXPECT_TRUE(s->empty());
    const foreign_pipe p;
    p.put();
    s->register_fd(p.reader(), readiness::read);
    EXPECT_EQ(s->select().size(), 1U) << "it goes on";
}

}  // namespace
