// The selector: its set, what it reports, and how it wakes. FD08, FD19.

#include "exceptions.hpp"
#include "fork_at_rest.hpp"
#include "io_foreign_pipe.hpp"
#include "io_leak_check.hpp"
#include "io_selector_text.hpp"

#include <copse/virtual_time.hpp>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <any>
#include <cerrno>
#include <functional>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;
using io::readiness;

namespace {

using IoSelector = io_leak_check;

TEST_F(IoSelector, KeepsASetOfKeys) {
    const foreign_pipe p;
    io::selector s;
    EXPECT_TRUE(s.empty());
    const auto key = s.register_fd(p.reader(), readiness::read, std::string("tree"));
    EXPECT_EQ(key->fd, p.reader());
    EXPECT_EQ(key->events, readiness::read);
    EXPECT_EQ(std::any_cast<std::string>(key->data), "tree");
    EXPECT_EQ(s.get_key(p.reader()), key);
    EXPECT_TRUE(s.contains(p.reader()));
    EXPECT_EQ(s.size(), 1U);

    const auto changed = s.modify(p.reader(), readiness::both);
    EXPECT_EQ(std::any_cast<std::string>(changed->data), "tree") << "without data it keeps them";
    EXPECT_EQ(std::any_cast<int>(s.modify(p.reader(), readiness::write, 7)->data), 7);
    EXPECT_EQ(key->events, readiness::read) << "keys do not change";
    EXPECT_EQ(s.keys().size(), 1U);
    EXPECT_EQ(s.unregister(p.reader())->events, readiness::write);
    EXPECT_TRUE(s.empty());
}

TEST_F(IoSelector, TakesWhateverHasANumber) {
    auto [left, right] = io::socketpair();
    const io::descriptor event(::eventfd(1, EFD_CLOEXEC));
    io::selector s;
    s.register_fd(left, readiness::both);
    s.register_fd(event, readiness::read);
    EXPECT_EQ(text_of_events(s.select()), event_of(left.native_handle(), "w ") + event_of(event.get(), "r"));
    s.unregister(left);
    s.unregister(event);
}

TEST_F(IoSelector, BadInputIsRefusedAndChangesNothing) {
    const foreign_pipe p;
    io::selector s;
    const int closed = ::dup(0);
    ::close(closed);
    EXPECT_THROW(s.get_key(p.reader()), std::out_of_range);
    EXPECT_THROW(s.modify(p.reader(), readiness::read), std::out_of_range);
    EXPECT_THROW(s.modify(p.reader(), readiness::read, 1), std::out_of_range);
    EXPECT_THROW(s.unregister(p.reader()), std::out_of_range);
    EXPECT_THROW(s.register_fd(p.reader(), readiness::none), std::invalid_argument);
    EXPECT_THROW(s.register_fd(p.reader(), static_cast<readiness>(4)), std::invalid_argument);
    EXPECT_THROW(s.register_fd(-1, readiness::read), std::invalid_argument);
    EXPECT_THROW(s.register_fd(io::socket(), readiness::read), std::invalid_argument);
    EXPECT_EQ(error_of([&] { s.register_fd(closed, readiness::read); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(error_of([&] { s.register_fd(1'000'000'000, readiness::read); }), std::errc::bad_file_descriptor);
    EXPECT_TRUE(s.empty());
    const auto key = s.register_fd(p.reader(), readiness::read);
    EXPECT_THROW(s.register_fd(p.reader(), readiness::write), std::invalid_argument);
    EXPECT_THROW(s.modify(p.reader(), readiness::none), std::invalid_argument);
    EXPECT_EQ(s.get_key(p.reader()), key);
    EXPECT_NE(text_of([&] { s.register_fd(p.reader(), readiness::write); }).find("fd " + std::to_string(p.reader())),
              std::string::npos);
}

TEST_F(IoSelector, ReportsUntilItIsDealtWith) {
    const foreign_pipe p, quiet;
    io::selector s;
    s.register_fd(p.reader(), readiness::read);
    s.register_fd(quiet.reader(), readiness::read);
    p.put();
    p.put();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(text_of_events(s.select()), event_of(p.reader(), "r"));
    EXPECT_TRUE(p.take());
    EXPECT_EQ(text_of_events(s.select()), event_of(p.reader(), "r"));
    EXPECT_TRUE(p.take());
    EXPECT_TRUE(s.select_for(0s).empty());
}

TEST_F(IoSelector, ReportsWhatWasAskedForOnly) {
    auto [left, right] = io::socketpair();
    const int fd = right.native_handle();
    io::selector s;
    s.register_fd(fd, readiness::write);
    left.send_all("x");
    EXPECT_EQ(text_of_events(s.select()), event_of(fd, "w"));
    s.modify(fd, readiness::both);
    EXPECT_EQ(text_of_events(s.select()), event_of(fd, "rw"));
    s.modify(fd, readiness::read);
    EXPECT_EQ(text_of_events(s.select()), event_of(fd, "r"));
    EXPECT_EQ(recv_text(right), "x");
    left.close();
    EXPECT_EQ(text_of_events(s.select()), event_of(fd, "r")) << "the end";
    s.modify(fd, readiness::write);
    EXPECT_EQ(text_of_events(s.select()), event_of(fd, "w")) << "a hang-up is for both";
    s.unregister(fd);
}

TEST_F(IoSelector, ParksOnceForAll) {
    std::vector<foreign_pipe> pipes(1000);
    io::selector s;
    for (const auto& p : pipes) s.register_fd(p.reader(), readiness::read);
    auto selecting = copse::spawn([&] { return text_of_events(s.select()); });
    settle();
    EXPECT_EQ(copse::hub::current().stats().watching, 1U);
    pipes[321].put();
    EXPECT_EQ(selecting.get(), event_of(pipes[321].reader(), "r"));
}

TEST_F(IoSelector, Fault_FD19_AllReadyAtOnceComeInPortions) {
    std::vector<foreign_pipe> pipes(1500);
    io::selector s;
    for (const auto& p : pipes) {
        s.register_fd(p.reader(), readiness::read);
        p.put();
    }
    std::set<int> seen;
    for (int portion = 0; portion < 2; ++portion) {
        const auto ready = s.select();
        EXPECT_LE(ready.size(), 1024U);
        for (const auto& one : ready) seen.insert(one.key->fd);
    }
    EXPECT_EQ(seen.size(), 1500U) << "those that were left out come first the next time";
}

TEST_F(IoSelector, TimeIsUp) {
    copse::virtual_time time;
    const foreign_pipe p;
    io::selector s;
    EXPECT_TRUE(s.select_for(1h).empty()) << "also with nothing registered";
    s.register_fd(p.reader(), readiness::read);
    EXPECT_TRUE(s.select_for(1h).empty());
    EXPECT_TRUE(s.select_until(copse::clock::now() + 1h).empty());
    EXPECT_EQ(time.elapsed(), 3h);
    EXPECT_TRUE(s.select_for(-1h).empty());
    EXPECT_TRUE(s.select_until(copse::clock::now() - 1h).empty());
    EXPECT_EQ(time.elapsed(), 3h);
    copse::timeout limit(1s);
    EXPECT_THROW(s.select(), copse::timeout_expired);
    p.put();
    EXPECT_EQ(s.select_for(1h).size(), 1U);
    EXPECT_EQ(time.elapsed(), 3h + 1s);
}

TEST_F(IoSelector, NoTimeMeansOneTurnForTheOthers) {
    const foreign_pipe p;
    io::selector s;
    s.register_fd(p.reader(), readiness::read);
    copse::spawn([&] { p.put(); });
    EXPECT_EQ(s.select_for(0s).size(), 1U);
}

TEST_F(IoSelector, WithNothingRegisteredNobodyCouldEverWakeIt) {
    io::selector s;
    EXPECT_THROW(s.select(), copse::would_block_forever);
}

// ---- changes while a fiber waits

TEST_F(IoSelector, WhatIsRegisteredMeanwhileCounts) {
    const foreign_pipe a, b;
    io::selector s;
    auto selecting = copse::spawn([&] { return text_of_events(s.select()); });
    settle();
    s.register_fd(a.reader(), readiness::read);  // the first one: until now it waited for nothing
    settle();
    s.register_fd(b.reader(), readiness::read);
    settle();
    EXPECT_FALSE(selecting.ready());
    b.put();
    EXPECT_EQ(selecting.get(), event_of(b.reader(), "r"));
}

TEST_F(IoSelector, WhatIsReadyWhenRegisteredWakesItToo) {
    const foreign_pipe a, b;
    io::selector s;
    s.register_fd(a.reader(), readiness::read);
    auto selecting = copse::spawn([&] { return text_of_events(s.select()); });
    settle();
    s.register_fd(b.writer(), readiness::write);
    EXPECT_EQ(selecting.get(), event_of(b.writer(), "w"));
    const io::descriptor file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    s.unregister(b.writer());
    selecting = copse::spawn([&] { return text_of_events(s.select()); });
    settle();
    s.register_fd(file, readiness::read);
    EXPECT_EQ(selecting.get(), event_of(file.get(), "r"));
    s.unregister(file);
}

TEST_F(IoSelector, ModifiedWhileItWaits) {
    auto [left, right] = io::socketpair();
    io::selector s;
    s.register_fd(left, readiness::read);
    auto selecting = copse::spawn([&] { return text_of_events(s.select()); });
    settle();
    EXPECT_FALSE(selecting.ready());
    s.modify(left, readiness::both);
    EXPECT_EQ(selecting.get(), event_of(left.native_handle(), "w"));
    s.unregister(left);
}

TEST_F(IoSelector, WhatIsUnregisteredMeanwhileIsNotReported) {
    const foreign_pipe a, b;
    io::selector s;
    s.register_fd(a.reader(), readiness::read);
    s.register_fd(b.reader(), readiness::read);
    auto selecting = copse::spawn([&] { return text_of_events(s.select()); });
    settle();
    copse::spawn([&] {
        io::wait_readable(a.reader());
        s.unregister(a.reader());  // the other fiber is ready by the same event, but has not looked
    });
    settle();
    a.put();
    settle();
    EXPECT_FALSE(selecting.ready());
    b.put();
    EXPECT_EQ(selecting.get(), event_of(b.reader(), "r"));
}

TEST_F(IoSelector, ClosedWhileItWaits) {
    const foreign_pipe p;
    for (const bool empty : {true, false}) {
        io::selector s;
        if (!empty) s.register_fd(p.reader(), readiness::read);
        auto selecting = copse::spawn([&] { return error_of([&] { s.select(); }); });
        settle();
        s.close();
        s.close();
        EXPECT_EQ(selecting.get(), std::errc::bad_file_descriptor);
        EXPECT_FALSE(s.is_open());
        EXPECT_EQ(error_of([&] { s.register_fd(p.reader(), readiness::read); }), std::errc::bad_file_descriptor);
        EXPECT_EQ(error_of([&] { s.get_key(p.reader()); }), std::errc::bad_file_descriptor);
        EXPECT_EQ(error_of([&] { s.select(); }), std::errc::bad_file_descriptor);
        EXPECT_EQ(s.size(), 0U);
    }
}

TEST_F(IoSelector, MayEndWhileItIsWaitedIn) {
    const foreign_pipe p;
    std::optional<io::selector> s(std::in_place);
    s->register_fd(p.reader(), readiness::read);
    auto selecting = copse::spawn([&] { return error_of([&] { s->select(); }); });
    settle();
    s.reset();
    EXPECT_EQ(selecting.get(), std::errc::bad_file_descriptor);
}

TEST_F(IoSelector, IsMoved) {
    const foreign_pipe p;
    io::selector a;
    a.register_fd(p.reader(), readiness::read);
    io::selector b = std::move(a);
    EXPECT_FALSE(a.is_open());
    EXPECT_EQ(a.size(), 0U);
    p.put();
    EXPECT_EQ(b.select().size(), 1U);
    b = io::selector();
    EXPECT_TRUE(b.empty());
}

TEST_F(IoSelector, OneFiberWaitsAtATime) {
    const foreign_pipe p;
    io::selector s;
    s.register_fd(p.reader(), readiness::read);
    auto first = copse::spawn([&] { s.select(); });
    settle();
    EXPECT_THROW(s.select(), copse::concurrent_use);
    first.kill();
    EXPECT_EQ(copse::hub::current().stats().watching, 0U);
    p.put();
    EXPECT_EQ(s.select().size(), 1U) << "a killed one leaves it usable";
}

TEST_F(IoSelector, Fault_FD08_SeveralSelectorsAndOtherWaitsForOneDescriptor) {
    const foreign_pipe p;
    io::selector a, b;
    a.register_fd(p.reader(), readiness::read);
    b.register_fd(p.reader(), readiness::read);
    auto in_a = copse::spawn([&] { return a.select().size(); });
    auto in_b = copse::spawn([&] { return b.select().size(); });
    auto waiting = copse::spawn([&] { io::wait_readable(p.reader()); });
    settle();
    p.put();
    EXPECT_EQ(in_a.get(), 1U);
    EXPECT_EQ(in_b.get(), 1U);
    waiting.get();
}

TEST_F(IoSelector, SocketsGoOnBesideIt) {
    auto [left, right] = tcp_pair();
    io::selector s;
    s.register_fd(right, readiness::read);
    for (int round = 0; round < 3; ++round) {
        auto receiving = copse::spawn([&right = right] { return recv_text(right); });
        settle();
        left.send_all("x");
        EXPECT_EQ(receiving.get(), "x");
        EXPECT_TRUE(s.select_for(0s).empty()) << "somebody else has dealt with it";
    }
    s.unregister(right);
}

// ---- threads and processes

TEST_F(IoSelector, BelongsToItsThread) {
    const foreign_pipe p;
    io::selector s;
    s.register_fd(p.reader(), readiness::read);
    std::thread([&] {
        EXPECT_THROW(s.select(), copse::wrong_thread);
        EXPECT_THROW(s.register_fd(p.writer(), readiness::write), copse::wrong_thread);
    }).join();
}

TEST_F(IoSelector, MayOutliveTheReactorOfItsThread) {
    const foreign_pipe p;
    std::thread([&] {
        static thread_local std::optional<io::selector> late;
        late.emplace();
        late->register_fd(p.reader(), readiness::read);
    }).join();
}

TEST_F(IoSelector, AChildHasItsOwn) {
    const foreign_pipe p, answer;
    io::selector s;
    s.register_fd(p.reader(), readiness::read);
    const pid_t child = fork_at_rest();
    if (child == 0) {
        // It neither hears from nor speaks to the parent's.
        s.unregister(p.reader());
        s.register_fd(p.reader(), readiness::read);
        const bool empty = s.select_for(0s).empty();
        s.unregister(p.reader());
        ::_exit(empty ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    p.put();
    EXPECT_EQ(s.select().size(), 1U) << "the parent's knows it still";
}

// The classic: a loop that dispatches by what the key holds.
TEST_F(IoSelector, DataMayBeCallbacks) {
    using callback = std::function<void(const io::selector_key&, readiness)>;
    auto listener = io::listen("127.0.0.1:0");
    std::map<int, io::socket> clients;
    io::selector s;
    const callback echo = [&](const io::selector_key& key, readiness) {
        io::socket& client = clients.at(key.fd);
        const std::string text = recv_text(client);
        if (!text.empty()) return client.send_all(text);
        s.unregister(key.fd);
        clients.erase(key.fd);
    };
    const callback accept = [&](const io::selector_key&, readiness) {
        io::socket client = listener.accept();
        const int fd = client.native_handle();
        clients.emplace(fd, std::move(client));
        s.register_fd(fd, readiness::read, echo);
    };
    s.register_fd(listener, readiness::read, accept);
    auto talking = copse::spawn([&] {
        for (int i = 0; i < 20; ++i) {
            auto connection = io::connect(listener.local_endpoint());
            connection.send_all("tree");
            EXPECT_EQ(recv_text(connection), "tree");
        }
    });
    while (!talking.ready() || !clients.empty()) {
        for (const auto& one : s.select_for(10ms)) std::any_cast<const callback&>(one.key->data)(*one.key, one.events);
    }
    talking.get();
    s.unregister(listener);
}

}  // namespace
