// The looks of a watchdog, taken by hand: the clock is a number, and a signal that a thread sends itself is handled at once.
// Faults P12, KL03, SC09; gevent rule 143.

#include "hub_core.hpp"
#include "hub_watch.hpp"
#include "taken_signal.hpp"

#include <copse/fibers.hpp>

#include "hub_test.hpp"

#include <signal.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace copse::detail {
namespace {

using namespace std::chrono_literals;

hub_watch* watched = nullptr;
int signals = 0;

class HubWatch : public copse_test::hub_test {
protected:
    HubWatch() { watched = &watch; }
    ~HubWatch() override { watched = nullptr; }

    std::optional<stall_report> look() { return watch.look(clock += 25ms); }

    /// Looks until there is a report, but no more than `most` times. How many it took; 0: there was none.
    int looks_until_told(int most) {
        for (int i = 1; i <= most; ++i) {
            told = look();
            if (told) return i;
        }
        return 0;
    }

    static void on_signal(int /*signal*/, siginfo_t* /*info*/, void* /*context*/) {
        ++signals;
        watched->answer();
    }

    hub_watch watch{hub_core::here(), 100ms, SIGURG};
    taken_signal taken{SIGURG, &on_signal, "test"};
    std::chrono::nanoseconds clock = 1h;
    std::optional<stall_report> told;
};

TEST_F(HubWatch, ReportsOnceWhoHoldsTheHubLongerThanTheLimit) {
    copse::fiber<void> f;
    f = spawn({.name = "crunch"}, [&] {
        // One look sees that there was no turn, and whose dispatch it is; four more are the limit.
        EXPECT_EQ(looks_until_told(20), 6);
        EXPECT_EQ(told->id, f.id());
        EXPECT_EQ(told->name, "crunch");
        EXPECT_NE(told->spawned_at.find("hub_watch_test.cpp:"), std::string::npos) << told->spawned_at;
        EXPECT_EQ(told->held, 100ms);
        EXPECT_GE(told->backtrace.size(), 3u);
        EXPECT_TRUE(told->answered);
        EXPECT_EQ(looks_until_told(100), 0);
    });
    f.join();
}

TEST_F(HubWatch, ASecondTimeIsASecondReport) {
    const auto f = spawn([&] {
        EXPECT_NE(looks_until_told(20), 0);
        yield();
        EXPECT_NE(looks_until_told(20), 0);
        sleep(1ns);
        EXPECT_NE(looks_until_told(20), 0);
    });
    f.join();
}

// Sixty-four direct hand-overs are one turn: they are told apart all the same.
TEST_F(HubWatch, ManyShortStretchesAreNoLongOne) {
    for (int i = 0; i < 2; ++i) {
        spawn([&] {
            for (int n = 0; n < 30; ++n) {
                EXPECT_FALSE(look()) << n;
                EXPECT_FALSE(look()) << n;
                yield();
            }
        });
    }
    sleep(1ns);
    const auto turns = hub::current().stats().turns;
    for (int n = 0; n < 20; ++n) yield();
    EXPECT_EQ(hub::current().stats().turns, turns) << "the test wants one turn";
    sleep(1ns);
}

TEST_F(HubWatch, AHubThatTakesTurnsIsNotSentSignals) {
    signals = 0;
    const auto f = spawn([&] {
        for (int n = 0; n < 30; ++n) {
            EXPECT_FALSE(look()) << n;
            sleep(1ns);
        }
    });
    f.join();
    EXPECT_EQ(signals, 0);
}

// Looks again and again in its sleep.
class looked_at_driver final : public idle_driver {
public:
    explicit looked_at_driver(std::function<void()> look) : look_(std::move(look)) {}
    std::int64_t now() noexcept override { return now_; }
    void wait(std::int64_t deadline) noexcept override {
        for (int i = 0; i < 50; ++i) look_();
        now_ = deadline;
    }
    void poll() noexcept override {}
    void wake() noexcept override {}
    std::size_t watching() const noexcept override { return 0; }

private:
    std::function<void()> look_;
    std::int64_t now_ = 0;
};

TEST_F(HubWatch, AHubThatSleepsIsNotHeld) {
    int looks = 0;
    signals = 0;
    auto before = hub::current().set_driver(std::make_unique<looked_at_driver>([&] {
        EXPECT_FALSE(look());
        ++looks;
    }));
    sleep(1h);
    hub::current().set_driver(std::move(before));
    EXPECT_EQ(looks, 50);
    EXPECT_EQ(signals, 0);
}

TEST_F(HubWatch, MainAndPostedFunctionsHoldItToo) {
    yield();
    EXPECT_NE(looks_until_told(20), 0);
    EXPECT_EQ(told->name, "main");
    EXPECT_EQ(told->id, told->hub_id);
    hub::current().post([&] {
        EXPECT_NE(looks_until_told(20), 0);
        EXPECT_EQ(told->name, "hub");
    });
    sleep(1ns);
}

TEST_F(HubWatch, SwitchesByHandDoNotLetTheOthersRun) {
    const copse::greenlet g({.name = "by hand"}, [&] {
        for (;;) {
            told = look();
            greenlet::current().parent().switch_to();
        }
    });
    int looks = 0;
    while (!told && ++looks < 20) g.switch_to();
    ASSERT_TRUE(told);
    EXPECT_EQ(told->name, "by hand");
    EXPECT_EQ(told->spawned_at, "");
}

// The process was stopped, or the machine had no time for us: nobody has held anything meanwhile.
TEST_F(HubWatch, ALookThatComesLateCountsAsTwo) {
    EXPECT_FALSE(look());
    EXPECT_FALSE(look());
    clock += 1h;
    EXPECT_FALSE(look());
    EXPECT_FALSE(look());
    told = look();
    ASSERT_TRUE(told);
    EXPECT_EQ(told->held, 100ms);
}

TEST_F(HubWatch, AThreadThatBlocksTheSignalIsReportedWithoutAPlace) {
    sigset_t urgent, before;
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    pthread_sigmask(SIG_BLOCK, &urgent, &before);
    EXPECT_EQ(looks_until_told(100), 45);  // 1.1 s
    EXPECT_FALSE(told->answered);
    EXPECT_EQ(told->id, 0u);
    EXPECT_TRUE(told->backtrace.empty());
    EXPECT_NE(to_string(*told).find("does not answer the signal"), std::string::npos) << to_string(*told);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    // From here on it answers: the time counts afresh, once.
    EXPECT_NE(looks_until_told(20), 0);
    EXPECT_TRUE(told->answered);
}

TEST_F(HubWatch, ASignalThatNobodyAskedForIsNotAnswered) {
    EXPECT_FALSE(watch.answer());
    look();
    look();
    EXPECT_FALSE(watch.answer());
}

}  // namespace
}  // namespace copse::detail
