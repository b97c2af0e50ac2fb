// What a hub says about its fibers: the tree, who stands behind whom, rings, backtraces. Faults P11, SC01, OB02, SY07.

#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"
#include "sanitizer.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <ostream>
#include <regex>
#include <shared_mutex>
#include <sstream>
#include <streambuf>
#include <string>
#include <vector>

using copse::dump_options;
using copse::hub;
using copse::sleep;
using copse::spawn;
using copse::yield;
using copse_test::to_parent;
using copse_test::what_is_thrown_by;
using namespace std::chrono_literals;

namespace {

std::string dumped(const dump_options& with = {.stacks = false}) {
    std::ostringstream text;
    hub::current().dump(text, with);
    return text.str();
}

/// Without what differs from run to run: numbers of greenlets, addresses, places in sources.
std::string plain(std::string text) {
    text = std::regex_replace(text, std::regex(", spawned at [^ ]* by #[0-9]+"), "");
    text = std::regex_replace(text, std::regex(" for [0-9]+ ms"), "");
    text = std::regex_replace(text, std::regex(" 0x[0-9a-f]+"), "");
    return std::regex_replace(text, std::regex("#[0-9]+"), "#");
}

std::size_t lines_with(const std::string& text, const std::string& part) {
    std::istringstream in(text);
    std::size_t n = 0;
    for (std::string line; std::getline(in, line);) n += line.find(part) != std::string::npos ? 1 : 0;
    return n;
}

using DumpTree = copse_test::hub_test;
using DumpBehind = copse_test::hub_test;
using DumpCycle = copse_test::hub_test;
using DumpBacktrace = copse_test::hub_test;
using DumpFibers = copse_test::hub_test;

TEST_F(DumpTree, HangsFibersBelowWhoSpawnedThemTheOldestFirst) {
    copse::event end;
    const auto a = spawn({.name = "a"}, [&] {
        const auto b = spawn({.name = "b"}, [&] { end.wait(); });
        const auto c = spawn({.name = "c"}, [&] {
            const auto d = spawn({.name = "d"}, [&] { end.wait(); });
            end.wait();
        });
        end.wait();
    });
    const auto e = spawn({.name = "e"}, [&] { end.wait(); });
    for (int i = 0; i < 3; ++i) yield();
    EXPECT_EQ(plain(dumped()), "  main # running\n"
                               "  |-- fiber # \"a\" parked in event\n"
                               "  |   |-- fiber # \"b\" parked in event\n"
                               "  |   `-- fiber # \"c\" parked in event\n"
                               "  |       `-- fiber # \"d\" parked in event\n"
                               "  `-- fiber # \"e\" parked in event\n");
    end.set();
    sleep(1ns);
}

TEST_F(DumpTree, HangsGreenletsMadeByHandBelowTheirParents) {
    copse::event end;
    const auto owner = spawn({.name = "owner"}, [&] {
        const copse::greenlet g(copse::greenlet::options{.name = "by hand"}, [&] { end.wait(); });
        g.switch_to();
    });
    copse::greenlet idle(copse::greenlet::options{.name = "idle"}, [] { to_parent(); });
    idle.switch_to();
    yield();
    EXPECT_EQ(plain(dumped()), "  main # running\n"
                               "  |-- fiber # \"owner\" suspended\n"
                               "  |   `-- greenlet # \"by hand\" parked in event\n"
                               "  `-- greenlet # \"idle\" suspended\n");
    idle.switch_to();
    end.set();
    owner.join();
}

TEST_F(DumpTree, ThoseWhoseSpawnerHasEndedStandAtTheRootAndNameIt) {
    copse::event end;
    copse::fiber<void> child;
    const auto spawner = spawn([&] { child = spawn({.name = "orphan"}, [&] { end.wait(); }); });
    spawner.join();
    yield();
    const std::string text = dumped();
    EXPECT_EQ(lines_with(text, "  fiber #" + std::to_string(child.id()) + " \"orphan\" parked"), 1u) << text;
    EXPECT_EQ(lines_with(text, ", child of #" + std::to_string(spawner.id()) + ", which has ended"), 1u) << text;
    end.set();
    child.join();
}

TEST_F(DumpTree, ShowsTheHubWhenItIsBusyOrHasChildren) {
    std::string inside;
    copse::event end;
    EXPECT_EQ(dumped().find("hub #"), std::string::npos);
    hub::current().post([&] {
        spawn({.name = "of the hub"}, [&] { end.wait(); });
        inside = dumped();
    });
    sleep(1ns);
    EXPECT_EQ(lines_with(inside, "  hub #"), 1u) << inside;
    EXPECT_EQ(lines_with(plain(inside), "hub # running"), 1u) << inside;
    EXPECT_EQ(plain(dumped()), "  main # running\n"
                               "  hub # at rest\n"
                               "  `-- fiber # \"of the hub\" parked in event\n");
    end.set();
    sleep(1ns);
}

TEST_F(DumpTree, AGreenletMadeTheChildOfItsOwnFiberIsNotLost) {
    copse::event end;
    copse::fiber<void> below;
    copse::greenlet top(copse::greenlet::options{.name = "top"}, [&] {
        below = spawn({.name = "below"}, [&] { end.wait(); });
        to_parent();
    });
    top.switch_to();
    top.set_parent(below.underlying());
    yield();
    const std::string text = dumped();
    EXPECT_EQ(lines_with(text, "\"top\""), 1u) << text;
    EXPECT_EQ(lines_with(text, "\"below\""), 1u) << text;
    top.set_parent(copse::greenlet::main());
    top.switch_to();
    end.set();
    below.join();
}

// A tree of ten thousand is drawn in a text that grows with their number, however deep it is.
TEST_F(DumpTree, IsLinearForMany) {
    const int many = copse_test::up_to(10'000);
    copse::event end;
    std::function<void(int)> chain = [&](int left) {
        if (left > 1) spawn([&, left] { chain(left - 1); });
        end.wait();
    };
    spawn([&] { chain(many); });
    for (int i = 0; i < many; ++i) spawn([&] { end.wait(); });
    for (int i = 0; i <= many; ++i) yield();
    const std::string text = dumped({});
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2 * many + 1);
    EXPECT_EQ(lines_with(text, "[depth " + std::to_string(many) + "] fiber #"), 1u);
    EXPECT_LT(text.size(), static_cast<std::size_t>(many) * 2 * 400);
    end.set();
    sleep(1ns);
}

// OB02: whatever writing does, the text is of one moment.
TEST_F(DumpTree, TextIsOfOneMomentEvenIfWritingItLetsFibersEnd) {
    class yielding final : public std::streambuf {
    public:
        std::string written;

    private:
        int overflow(int c) override {
            sleep(1ns);
            return std::char_traits<char>::not_eof(c);
        }
        std::streamsize xsputn(const char* text, std::streamsize size) override {
            sleep(1ns);
            written.append(text, static_cast<std::size_t>(size));
            return size;
        }
    } buffer;
    std::ostream out(&buffer);
    for (int i = 0; i < 10; ++i) spawn({.name = "short"}, [] {});
    hub::current().dump(out);
    EXPECT_EQ(hub::current().stats().fibers, 0u);
    EXPECT_EQ(lines_with(buffer.written, "\"short\" pending"), 10u) << buffer.written;
}

TEST_F(DumpTree, TellsHowMuchOfItsStackEachHasTouched) {
    copse::event end;
    const auto f = spawn({.name = "f", .stack_size = 64 * 1024}, [&] { end.wait(); });
    EXPECT_EQ(lines_with(dumped({}), "KiB"), 0u);  // pending: it has none yet
    yield();
    EXPECT_TRUE(std::regex_search(dumped({}), std::regex("\"f\" parked .*, stack [1-9][0-9]* of 64 KiB\n")))
        << dumped({});
    EXPECT_EQ(lines_with(dumped({.stacks = false}), "KiB"), 0u);
    end.set();
    f.join();
}

TEST_F(DumpFibers, KnowParentStackAndWhomTheyStandBehind) {
    copse::mutex m;
    const auto owner = spawn([&] {
        const std::lock_guard lock(m);
        sleep(1s);
    });
    const auto waiter = spawn([&] { const std::lock_guard lock(m); });
    const auto joiner = spawn([&] { waiter.join(); });
    yield();
    const auto all = hub::current().fibers();
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0].behind, std::vector<std::uint64_t>{waiter.id()});
    EXPECT_EQ(all[1].behind, std::vector<std::uint64_t>{owner.id()});
    EXPECT_TRUE(all[2].behind.empty());
    EXPECT_EQ(all[0].parent, copse::greenlet::current().id());
    EXPECT_EQ(all[0].stack_size, copse::default_stack_size);
    EXPECT_EQ(all[0].stack_used, joiner.underlying().stack_usage());
    EXPECT_GT(all[0].stack_used, 0u);
    join_all(owner, waiter, joiner);
}

TEST_F(DumpBehind, NamesTheOwnerOfEveryKindOfMutexAlsoAfterItChanged) {
    copse::mutex m;
    copse::recursive_mutex r;
    copse::shared_mutex s;
    const auto holder = spawn({.name = "holder"}, [&] {
        m.lock();
        r.lock();
        s.lock();
        sleep(1s);
        m.unlock();
        sleep(1s);
        r.unlock();
        s.unlock();
    });
    const auto next = spawn({.name = "next"}, [&] {
        const std::lock_guard lock(m);
        sleep(10s);
    });
    const auto last = spawn({.name = "last"}, [&] { const std::lock_guard lock(m); });
    const auto again = spawn({.name = "again"}, [&] { const std::lock_guard lock(r); });
    const auto reader = spawn({.name = "reader"}, [&] { const std::shared_lock lock(s); });
    yield();
    std::string text = plain(dumped());
    for (const char* line :
         {"\"next\" parked in mutex held by fiber # \"holder\"", "\"last\" parked in mutex held by fiber # \"holder\"",
          "\"again\" parked in recursive_mutex held by fiber # \"holder\"",
          "\"reader\" parked in shared_mutex, shared held by fiber # \"holder\""}) {
        EXPECT_EQ(lines_with(text, line), 1u) << line << " is not in\n" << text;
    }
    sleep(1500ms);
    text = plain(dumped());
    EXPECT_EQ(lines_with(text, "\"last\" parked in mutex held by fiber # \"next\""), 1u) << text;
    EXPECT_EQ(text.find("cycle"), std::string::npos);
    join_all(holder, next, last, again, reader);
}

TEST_F(DumpBehind, NamesThoseWhoseEndIsWaitedFor) {
    copse::event end;
    std::vector<copse::any_fiber> five;
    for (const char* name : {"f0", "f1", "f2", "f3", "f4"}) five.push_back(spawn({.name = name}, [&] { end.wait(); }));
    copse::group g;
    g.add(five[4]);
    const auto one = spawn({.name = "one"}, [&] { five[0].join(); });
    const auto all = spawn({.name = "all"}, [&] { copse::join_all(five); });
    const auto some = spawn({.name = "some"}, [&] { copse::join_all({.count = 2}, five); });
    const auto grouped = spawn({.name = "grouped"}, [&] { g.join(); });
    yield();
    const std::string text = plain(dumped());
    for (const char* line :
         {"\"one\" parked in join of fiber # \"f0\"\n",
          "\"all\" parked in join_all of fiber # \"f0\", fiber # \"f1\", fiber # \"f2\" and others\n",
          "\"some\" parked in join_all\n",  // any two would do: it stands behind nobody in particular
          "\"grouped\" parked in group of fiber # \"f4\"\n"}) {
        EXPECT_NE(text.find(line), std::string::npos) << line << " is not in\n" << text;
    }
    end.set();
    join_all(one, all, some, grouped);
}

TEST_F(DumpBehind, AnOwnerThatHasEndedIsSaidToHave) {
    copse::mutex m;
    const auto owner = spawn([&] { m.lock(); });
    owner.join();
    const auto waiter = spawn({.name = "waiter"}, [&] { const std::lock_guard lock(m); });
    yield();
    EXPECT_EQ(lines_with(dumped(), "held by #" + std::to_string(owner.id()) + ", which is not here or has ended,"), 1u)
        << dumped();
    waiter.kill();
}

/// What main is told when nothing can go on; the fibers are killed then.
std::string deadlock_of(const std::vector<copse::any_fiber>& fibers, const std::function<void()>& wait) {
    std::string text = what_is_thrown_by(wait);
    copse::kill_all(fibers);
    return text;
}

TEST_F(DumpCycle, OfTwoMutexesStandsBelowTheHeadingOfADeadlock) {
    copse::mutex m, n;
    const auto a = spawn({.name = "a"}, [&] {
        const std::lock_guard first(m);
        yield();
        const std::lock_guard second(n);
    });
    const auto b = spawn({.name = "b"}, [&] {
        const std::lock_guard first(n);
        yield();
        const std::lock_guard second(m);
    });
    const std::string text = deadlock_of({a, b}, [&] { a.join(); });
    const std::string heading = "this thread would block forever: nothing can make a fiber ready\n";
    EXPECT_EQ(plain(text).find(heading +
                               "cycle: fiber # \"a\" waits in mutex held by fiber # \"b\", which waits in mutex "
                               "held by fiber # \"a\"\n  main # parked in join of fiber # \"a\"\n"),
              0u)
        << text;
}

TEST_F(DumpCycle, Fault_SC03_RunsThroughMainAndJoins) {
    copse::mutex m;
    const auto a = spawn({.name = "a"}, [&] { const std::lock_guard lock(m); });
    const auto b = spawn({.name = "b"}, [] {});
    const std::lock_guard held(m);
    const std::string text = deadlock_of({a}, [&] { join_all(b, a); });
    EXPECT_EQ(lines_with(plain(text),
                         "cycle: main # waits in join_all of fiber # \"a\", which waits in mutex held by main #"),
              1u)
        << text;
}

TEST_F(DumpCycle, RunsThroughANursery) {
    copse::mutex m;
    std::string text;
    try {
        const std::lock_guard held(m);
        copse::with_nursery([&](copse::nursery& n) { n.spawn([&m] { const std::lock_guard lock(m); }); });
    } catch (const copse::would_block_forever& e) {
        text = e.what();
    }
    EXPECT_EQ(lines_with(plain(text), "cycle: main # waits in nursery of fiber #, which waits in mutex held by main #"),
              1u)
        << text;
}

TEST_F(DumpCycle, RunsThroughASwitchByHand) {
    copse::mutex m;
    const auto f = spawn({.name = "f"}, [&] {
        const std::lock_guard held(m);
        const copse::greenlet g(copse::greenlet::options{.name = "g"}, [&] { const std::lock_guard lock(m); });
        g.switch_to();
    });
    const std::string text = deadlock_of({f}, [&] { f.join(); });
    EXPECT_EQ(
        lines_with(plain(text),
                   "cycle: fiber # \"f\" is suspended in a switch by hand behind greenlet # \"g\", which waits in "
                   "mutex held by fiber # \"f\""),
        1u)
        << text;
}

TEST_F(DumpCycle, IsToldOnceHoweverManyWaitBehindIt) {
    copse::mutex m, n;
    const auto a = spawn([&] {
        const std::lock_guard first(m);
        yield();
        n.try_lock_for(1h);
    });
    const auto b = spawn([&] {
        const std::lock_guard first(n);
        yield();
        m.try_lock_for(2h);
    });
    std::vector<copse::any_fiber> all{a, b};
    for (int i = 0; i < 20; ++i) {
        all.push_back(spawn([&m] { m.try_lock_for(30min); }));
        all.push_back(spawn([&b] { b.join_for(30min); }));
    }
    for (int i = 0; i < 3; ++i) yield();
    EXPECT_EQ(lines_with(dumped(), "cycle:"), 1u) << dumped();
    join_all(all);
}

TEST_F(DumpCycle, ThereIsNoneInADeadlockWithoutARing) {
    copse::event never_set;
    const auto a = spawn([&] { never_set.wait(); });
    const auto b = spawn([&] { a.join(); });
    const std::string text = deadlock_of({a, b}, [&] { b.join(); });
    EXPECT_NE(text.find("would block forever"), std::string::npos);
    EXPECT_EQ(text.find("cycle:"), std::string::npos) << text;
}

[[gnu::noinline]] void wait_deep(copse::event& end, int depth) {
    if (depth > 0) {
        wait_deep(end, depth - 1);
        end.is_set();
        return;
    }
    end.wait();
}

TEST_F(DumpBacktrace, IsOfEachThatDoesNotRunAndOnlyIfAskedFor) {
    copse::event end;
    const auto f = spawn({.name = "f"}, [&] {
        wait_deep(end, 4);
        log("woken");
    });
    const copse::greenlet g([] { to_parent(); });
    g.switch_to();
    yield();
    EXPECT_EQ(lines_with(dumped(), " at 0x"), 0u);
    const auto frames = f.underlying().backtrace().size() + g.backtrace().size();
    EXPECT_EQ(lines_with(dumped({.backtraces = true}), "   at 0x"), frames) << dumped({.backtraces = true});
    EXPECT_GE(frames, 8u);
    end.set();
    f.join();
    g.switch_to();
    EXPECT_EQ(log.text(), "woken");
}

TEST_F(DumpBacktrace, OfAFiberThatIsReadyOrPendingDisturbsNothing) {
    copse::event end;
    const auto parked = spawn([&] {
        end.wait();
        log("ready");
    });
    yield();
    end.set();
    const auto pending = spawn([&] { log("pending"); });
    EXPECT_GT(lines_with(dumped({.backtraces = true}), " at 0x"), 0u);
    join_all(parked, pending);
    EXPECT_EQ(log.text(), "ready pending");
}

}  // namespace
