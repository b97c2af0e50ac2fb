// Corners where several things meet: an object that ends before those it let go on have run, a destructor that waits in the middle of
// something, what is pending when a wait begins or ends without a gain.

#include <copse/explore.hpp>
#include <copse/fibers.hpp>

#include "exceptions.hpp"
#include "hub_test.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using copse::channel;
using copse::fiber;
using copse::queue;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class Corner : public copse_test::hub_test {};

// Calls what it is told at the end of the one that was not moved from.
class last_words {
public:
    explicit last_words(int number, std::function<void()> words = nullptr)
        : number_(number), words_(std::move(words)) {}
    last_words(last_words&& other) noexcept : number_(other.number_), words_(std::exchange(other.words_, nullptr)) {}
    last_words& operator=(last_words&&) = delete;
    ~last_words() {
        if (words_) std::exchange(words_, nullptr)();
    }
    int number() const { return number_; }
    bool operator<(const last_words& other) const { return number_ < other.number_; }

private:
    int number_;
    std::function<void()> words_;
};

// ---- ended before those who were let go on have run

TEST_F(Corner, AQueueMayEndOnceItIsClosed) {
    auto full = std::make_unique<queue<int>>(1);
    full->put(1);
    const auto putter = spawn([&full] { full->put(2); });
    auto meet = std::make_unique<channel<int>>();
    const auto getter = spawn([&meet] { return meet->get_for(1h); });
    yield();
    full->close();
    full.reset();
    meet->close();
    meet.reset();
    EXPECT_THROW(putter.get(), copse::queue_closed);
    EXPECT_THROW(getter.get(), copse::queue_closed);
}

TEST_F(Corner, AQueueMayEndAfterATimeout) {
    auto empty = std::make_unique<queue<int>>(1);
    const auto getter = spawn([&empty] { return empty->get_for(1h); });
    sleep(1h);
    empty.reset();
    EXPECT_EQ(getter.get(), std::nullopt);
}

// ---- destructors of items that come back to their queue

// Says something at the end of the next one of its kind, be it moved from.
struct item_with_words {
    explicit item_with_words(int n) noexcept : number(n) {}
    item_with_words(item_with_words&& other) noexcept : number(other.number) {}
    item_with_words& operator=(item_with_words&&) = delete;
    ~item_with_words() {
        if (words) std::exchange(words, nullptr)();
    }
    int number;
    static inline std::function<void()> words;
};

TEST_F(Corner, AnItemThatPutsAtItsEndDoesNotOvertakeAPutter) {
    queue<item_with_words> q(1);
    q.put(item_with_words(1));
    const auto putter = spawn([&q] { q.put(item_with_words(2)); });
    yield();
    bool barged = true;
    item_with_words::words = [&] { barged = q.try_put(item_with_words(9)); };
    EXPECT_EQ(q.get().number, 1);
    EXPECT_FALSE(barged);
    EXPECT_EQ(q.size(), 1u);
    EXPECT_EQ(q.get().number, 2);
    putter.join();
}

TEST_F(Corner, ItemsThatPutWhileTheyAreDroppedAreRefusedAndNoneIsLostOrEndedTwice) {
    copse::priority_queue<last_words> q(10);
    int refused = 0;
    for (int i = 0; i < 5; ++i) {
        q.put(last_words(i, [&] {
            try {
                q.put(last_words(100));
            } catch (const copse::queue_closed&) {
                ++refused;
            }
        }));
    }
    q.close_and_drop();
    EXPECT_EQ(refused, 5);
    EXPECT_TRUE(q.empty());
}

TEST_F(Corner, TaskDoneBeforeTheGetDoesNotMakeTheCountWrap) {
    copse::joinable_queue<int> q(4);
    q.put(1);
    q.put(2);
    q.task_done();
    q.close_and_drop();
    EXPECT_EQ(q.unfinished(), 0u);
    q.join();
}

// ---- select against itself

TEST_F(Corner, APutAndAGetOfOneSelectOnOneChannelBothWaitForOthers) {
    channel<int> meet;
    const auto getting_first = spawn(
        [&] { return copse::select(copse::on_get(meet, [this](int i) { log("got", i); }), copse::on_put(meet, 7)); });
    yield();
    EXPECT_EQ(meet.get_for(1h), 7);
    EXPECT_EQ(getting_first.get(), 1u);
    const auto putting_first = spawn(
        [&] { return copse::select(copse::on_put(meet, 7), copse::on_get(meet, [this](int i) { log("got", i); })); });
    yield();
    EXPECT_TRUE(meet.put_for(5, 1h));
    EXPECT_EQ(putting_first.get(), 1u);
    EXPECT_EQ(log.text(), "got5");
}

// ---- what is pending

// It acquired nothing, so it throws.
TEST_F(Corner, AKillBesideTheDeadlineOfAWaitThatWouldAcquire) {
    copse::semaphore permits(0);
    fiber<void> victim;
    const auto killer = spawn([&victim] {
        sleep(1h);
        victim.request_kill();
    });
    victim = spawn([&] {
        permits.try_acquire_for(1h);
        log("never");
    });
    copse::join_all(victim, killer);
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(log.text(), "");
}

TEST_F(Corner, AKillThatWasKeptBackIsThrownBeforeAGeneratorIsEntered) {
    copse::semaphore permits(0);
    const auto victim = spawn([&] {
        copse::generator<int> slow([](auto yield) {
            sleep(24h);
            yield(1);
        });
        permits.acquire();
        slow.next();
        log("never");
    });
    yield();
    permits.release();
    victim.kill();
    EXPECT_TRUE(victim.killed());
    EXPECT_EQ(time.elapsed(), 0h);
    EXPECT_EQ(log.text(), "");
}

TEST_F(Corner, AStepOfAsCompletedThatIsInterruptedLosesNobody) {
    std::vector<fiber<int>> all;
    for (int i = 1; i <= 3; ++i) {
        all.push_back(spawn([i] {
            sleep(std::chrono::hours(i));
            return i;
        }));
    }
    auto view = copse::as_completed(all);
    auto at = view.begin();
    log(at->get());
    EXPECT_THROW(copse::with_timeout(1min, [&] { ++at; }), copse::timeout_expired);
    for (++at; at != view.end(); ++at) log(at->get());
    EXPECT_EQ(log.text(), "1 2 3");
}

// ---- decision 7: a length of 0 gives those who are ready one turn, however many they are

TEST_F(Corner, AWaitWithoutLengthComesBehindAHundredThatAreReady) {
    for (int round = 0; round < 100; ++round) {
        copse::semaphore permits(0);
        std::vector<fiber<void>> all;
        for (int i = 0; i < round; ++i) all.push_back(spawn([] { yield(); }));
        all.push_back(spawn([&permits] { permits.release(); }));
        EXPECT_TRUE(permits.try_acquire_for(0s)) << round << " stood before it";
        copse::join_all(all);
    }
}

TEST_F(Corner, ThatHoldsInShuffledTimeToo) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        copse::hub::current().shuffle(seed);
        copse::event flag;
        const auto setter = spawn([&flag] { flag.set(); });
        EXPECT_TRUE(flag.wait_for(0s)) << "seed " << seed;
        setter.join();
    }
    copse::hub::current().shuffle(std::nullopt);
}

// ---- generators

TEST_F(Corner, AGeneratorAskedFromBelowItsOwnBodyRefusesAndGoesOn) {
    copse::greenlet below;
    copse::generator<int> numbers([&](auto yield) {
        below = copse::greenlet([&] { EXPECT_THROW(numbers.next(), copse::parent_cycle); });
        yield(1);
        yield(2);
    });
    EXPECT_EQ(numbers.next(), 1);
    const copse::greenlet body = below.parent();
    copse::greenlet asks({.parent = body}, [&, home = copse::greenlet::current()] {
        EXPECT_THROW(numbers.next(), copse::parent_cycle);
        home.switch_to();
    });
    asks.switch_to();
    EXPECT_EQ(numbers.next(), 2);
}

TEST_F(Corner, AGeneratorWhoseYielderWasEndedSaysSo) {
    copse::greenlet helper;
    copse::generator<int> numbers([&](auto yield) {
        helper = copse::greenlet([yield] { yield(1); });
        helper.switch_to();
    });
    EXPECT_EQ(numbers.next(), 1);
    helper = copse::greenlet();
    EXPECT_THROW(numbers.next(), copse::error);
    EXPECT_TRUE(numbers.exhausted());
}

// ---- sets

struct copies_slowly {
    copies_slowly() = default;
    copies_slowly(const copies_slowly& /*other*/) {
        yield();
        yield();
    }
    void operator()() const {}
};

TEST_F(Corner, ASlotThatIsFreedWhileACallableIsCopiedIsUsed) {
    copse::pool p(1);
    p.spawn([] {});
    const copies_slowly work;
    const auto f = p.apply_async(work);
    f.join();
    EXPECT_EQ(p.free_count(), 1u);
    p.join();
}

TEST_F(Corner, AnUnstartedMemberWhoseCallableWaitsAtItsEnd) {
    copse::group g;
    g.spawn([words = last_words(1, [this] {
                 const copse::shield finish;
                 for (int i = 0; i < 5; ++i) yield();
                 log("over");
             })] {});
    g.kill();
    EXPECT_EQ(log.text(), "over");
}

TEST_F(Corner, AnImapThatIsLeftBeforeItsTasksHaveStarted) {
    copse::pool p(8);
    const std::vector<int> in{1, 2, 3, 4};
    const auto consumer = spawn([&] {
        auto results = p.imap_unordered({.bound = 10}, in, [](int i) {
            sleep(1h);
            return i;
        });
        results.next();
    });
    spawn([&consumer] { consumer.request_kill(); });
    consumer.join();
    EXPECT_TRUE(consumer.killed());
    EXPECT_EQ(p.free_count(), 8u);
}

TEST_F(Corner, AChildThatComesAfterTheFirstMomentOfEmptinessIsWaitedFor) {
    copse::event go;
    fiber<void> outsider;
    copse::with_nursery([&](copse::nursery& n) {
        outsider = spawn([&] {
            go.wait();
            n.spawn([this] {
                sleep(1h);
                log("late child");
            });
        });
        n.spawn([&go] {
            yield();
            go.set();
        });
    });
    EXPECT_EQ(log.text(), "late child");
}

TEST_F(Corner, WhoIsEndedByANurseryAndSpawnsHearsOfThatFirst) {
    queue<int> q(9);
    EXPECT_EQ(copse_test::what_is_thrown_by([&] {
                  copse::with_nursery([&](copse::nursery& n) {
                      n.spawn([&q] {
                          q.put(1);
                          throw std::logic_error("first");
                      });
                      for (;;) n.spawn([i = q.get()] { return i; });
                  });
              }),
              "first");
}

// Found by exploring. It is the reader's end that ends the results, not what it says before.
TEST_F(Corner, AnImapWhoseReaderIsKilledBeforeItRunsEnds) {
    const auto all = copse::explore({.kills = true}, [](copse::exploration& run) {
        copse::pool workers(1);
        const std::vector<int> numbers = {1};
        std::size_t got = 0;
        const auto consumer = spawn([&] {
            auto results = workers.imap({.bound = 1}, numbers, [](int n) { return n; });
            try {
                while (results.next()) ++got;
            } catch (const copse::fiber_killed&) {  // the task was
            }
        });
        consumer.join();
        run.check(got == 1 || run.interfered(), "the result comes");
    });
    EXPECT_TRUE(all.complete);
}

}  // namespace
