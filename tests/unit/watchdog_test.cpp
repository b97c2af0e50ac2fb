// The watchdog with its thread and its signal. Real time: a fiber holds the hub until the report has come, however long that
// takes. What is reported when is proved in hub_watch_test.cpp. Faults P12, KL03, SC09.

#include <copse/fibers.hpp>

#include "hub_test.hpp"
#include "sanitizer.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using copse::spawn;
using copse::stall_report;
using copse::watchdog;
using copse::yield;
using namespace std::chrono_literals;

namespace {

/// Keeps reports; on the watchdog's thread it is written, on the test's it is read.
class kept_reports {
public:
    auto keep() {
        return [this](const stall_report& stall) {
            if (stall.name == "main" || !stall.answered) return;  // on a machine that is busy elsewhere
            const std::lock_guard lock(mutex_);
            reports_.push_back(stall);
            ++count_;
        };
    }
    int count() const { return count_; }
    stall_report at(std::size_t i) const {
        const std::lock_guard lock(mutex_);
        return reports_.at(i);
    }

private:
    mutable std::mutex mutex_;
    std::vector<stall_report> reports_;
    std::atomic<int> count_{0};
};

class Watchdog : copse_test::hub_with_stack, public copse_test::leak_check {
protected:
    [[gnu::noinline]] void hold_the_hub_until(int reports) const {
        while (kept.count() < reports) {}
    }
    kept_reports kept;
};

TEST_F(Watchdog, Fault_SC04_ReportsAFiberThatComputesOnceEachTime) {
    const watchdog guard({.limit = 5ms, .report = kept.keep()});
    copse::fiber<void> f;
    f = spawn({.name = "crunch"}, [&] {
        hold_the_hub_until(1);
        yield();
        hold_the_hub_until(2);
    });
    f.join();
    EXPECT_GE(kept.count(), 2);
    const stall_report first = kept.at(0);
    EXPECT_EQ(first.id, f.id());
    EXPECT_EQ(first.name, "crunch");
    EXPECT_GE(first.held, 5ms);
    EXPECT_GE(first.backtrace.size(), 3u);
    const std::string text = to_string(first);
    EXPECT_EQ(text.find("fiber #" + std::to_string(f.id()) + " \"crunch\" has held the hub for "), 0u) << text;
    EXPECT_NE(text.find(", spawned at "), std::string::npos) << text;
    EXPECT_NE(text.find("\n  at 0x"), std::string::npos) << text;
}

TEST_F(Watchdog, Fault_SC09_ReportsAFiberThatBlocksTheThread) {
    if (copse_test::thread_sanitized) GTEST_SKIP() << "ThreadSanitizer keeps signals back until read() has returned";
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    std::string name;
    const watchdog guard({.limit = 5ms, .report = [&](const stall_report& stall) {
                              if (stall.name == "main" || !stall.answered) return;
                              name = stall.name;
                              EXPECT_EQ(::write(ends[1], "x", 1), 1);
                          }});
    const auto f = spawn({.name = "reader"}, [&] {
        char c = 0;
        EXPECT_EQ(::read(ends[0], &c, 1), 1);  // restarted after the signal
    });
    f.join();
    EXPECT_EQ(name, "reader");
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_F(Watchdog, EachHubHasItsOwn) {
    const watchdog guard({.limit = 1h, .report = [](const stall_report&) { ADD_FAILURE() << "nobody is that slow"; }});
    std::thread([this] {
        const watchdog other({.limit = 5ms, .report = kept.keep(), .signal = SIGUSR2});
        const auto f = spawn({.name = "elsewhere"}, [&] { hold_the_hub_until(1); });
        f.join();
    }).join();
    EXPECT_EQ(kept.at(0).name, "elsewhere");
}

TEST_F(Watchdog, AReportThatThrowsEndsNothing) {
    std::atomic<int> calls{0};
    const watchdog guard({.limit = 5ms, .report = [&](const stall_report&) {
                              ++calls;
                              throw std::runtime_error("no paper");
                          }});
    testing::internal::CaptureStderr();
    spawn([&] {
        while (calls < 1) {}
        yield();
        while (calls < 2) {}
    }).join();
    EXPECT_NE(testing::internal::GetCapturedStderr().find("the report has thrown: no paper"), std::string::npos);
}

// What the report refers to may end right after the watchdog.
TEST_F(Watchdog, ItsEndWaitsForAReportThatIsBeingMade) {
    std::latch began(1);
    std::atomic<bool> over{false};
    {
        const watchdog guard({.limit = 5ms, .report = [&](const stall_report&) {
                                  began.count_down();
                                  std::this_thread::sleep_for(5ms);
                                  over = true;
                              }});
        began.wait();  // main holds the hub
    }
    EXPECT_TRUE(over);
}

TEST_F(Watchdog, AHubMayEndBeforeIt) {
    std::optional<watchdog> guard;
    std::thread([&] { guard.emplace(copse::watchdog_options{.limit = 1h}); }).join();
    guard.reset();
}

std::atomic<int> foreign{0};

TEST_F(Watchdog, SignalsOfOthersGoOnAndTheHandlerBeforeComesBack) {
    struct sigaction theirs {
    }, before{}, after{};
    theirs.sa_handler = [](int) { ++foreign; };
    ASSERT_EQ(::sigaction(SIGURG, &theirs, &before), 0);
    {
        const watchdog guard({.limit = 1h});
        ::raise(SIGURG);
        EXPECT_EQ(foreign, 1);
        std::thread([] { ::raise(SIGURG); }).join();  // a thread without a hub
        EXPECT_EQ(foreign, 2);
    }
    ASSERT_EQ(::sigaction(SIGURG, &before, &after), 0);
    EXPECT_EQ(after.sa_handler, theirs.sa_handler);
}

TEST_F(Watchdog, RefusesBadInputAndChangesNothing) {
    EXPECT_THROW(watchdog({.limit = 0ms}), std::invalid_argument);
    EXPECT_THROW(watchdog({.limit = -1ms}), std::invalid_argument);
    EXPECT_THROW(watchdog({.signal = SIGKILL}), std::invalid_argument);
    EXPECT_THROW(watchdog({.signal = 0}), std::invalid_argument);
    EXPECT_THROW(watchdog({.signal = 10'000}), std::invalid_argument);
    const watchdog guard({.limit = 1h});
    EXPECT_THROW(watchdog({.limit = 1h}), copse::concurrent_use);
}

}  // namespace
