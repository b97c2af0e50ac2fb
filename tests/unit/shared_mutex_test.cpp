// Mutexes with readers. Decision 3; SY01, SY02, SY05.

#include <copse/shared_mutex.hpp>

#include "hub_test.hpp"

#include <chrono>
#include <cmath>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

using copse::shared_mutex;
using copse::sleep;
using copse::spawn;
using copse::yield;
using namespace std::chrono_literals;

namespace {

class SharedMutex : public copse_test::hub_test {
protected:
    // Holds it for `length`, and says when it got it.
    copse::fiber<void> reading(char name, std::chrono::seconds length = 1s) {
        return spawn([this, name, length] {
            const std::shared_lock lock(m);
            log(name);
            sleep(length);
        });
    }
    copse::fiber<void> writing(char name, std::chrono::seconds length = 1s) {
        return spawn([this, name, length] {
            const std::unique_lock lock(m);
            EXPECT_EQ(m.readers(), 0u);
            log(name);
            sleep(length);
        });
    }
    void expect_free() {
        EXPECT_FALSE(m.locked());
        EXPECT_EQ(m.readers(), 0u);
        EXPECT_TRUE(m.try_lock());
        m.unlock();
    }

    shared_mutex m;
};

class SharedMutexLine : public SharedMutex {};

TEST_F(SharedMutex, ReadersHoldItTogetherAWriterAlone) {
    m.lock_shared();
    EXPECT_TRUE(m.try_lock_shared());
    EXPECT_TRUE(m.try_lock_shared_for(1h));
    EXPECT_TRUE(m.try_lock_shared_until(copse::clock::now()));
    EXPECT_EQ(m.readers(), 4u);
    EXPECT_FALSE(m.locked());
    EXPECT_FALSE(m.try_lock());
    for (int i = 0; i < 4; ++i) m.unlock_shared();
    EXPECT_TRUE(m.try_lock());
    EXPECT_TRUE(m.locked());
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_shared());
    m.unlock();
    EXPECT_TRUE(m.try_lock_for(1h));
    m.unlock();
    EXPECT_TRUE(m.try_lock_until(copse::clock::now()));
    m.unlock();
    expect_free();
}

TEST_F(SharedMutex, WithoutAnybodyInTheWayNobodyIsSwitchedTo) {
    spawn([this] { log("other"); });
    m.lock();
    m.unlock();
    m.lock_shared();
    m.unlock_shared();
    EXPECT_EQ(log.text(), "");
    yield();
}

// SY05
TEST_F(SharedMutexLine, Fault_SY05_ReadersEnterInBatchesBetweenWriters) {
    const auto first = reading('a');
    for (const char* at = "bXcdYe"; *at != '\0'; ++at) {
        (*at < 'a') ? writing(*at) : reading(*at);
    }
    yield();
    EXPECT_EQ(log.take(), "a b");
    sleep(1s);
    yield();
    EXPECT_EQ(log.take(), "X");
    sleep(1s);
    yield();
    EXPECT_EQ(log.take(), "c d");
    sleep(1s);
    yield();
    EXPECT_EQ(log.take(), "Y");
    sleep(1s);
    yield();
    EXPECT_EQ(log.take(), "e");
    sleep(1s);
    yield();
    expect_free();
}

TEST_F(SharedMutexLine, Fault_SY05_AWaitingWriterKeepsLaterReadersOut) {
    m.lock_shared();
    const auto writer = writing('W');
    yield();
    EXPECT_FALSE(m.try_lock_shared());
    EXPECT_FALSE(m.try_lock_shared_for(0s));
    const auto reader = reading('r');
    yield();
    EXPECT_EQ(log.text(), "");
    m.unlock_shared();
    join_all(writer, reader);
    EXPECT_EQ(log.text(), "W r");
}

TEST_F(SharedMutexLine, Fault_SY05_NeitherSideStarves) {
    int reads = 0;
    int writes = 0;
    for (int i = 0; i < 3; ++i) {
        spawn([&] {
            while (time.elapsed() < 60s) {
                const std::shared_lock lock(m);
                ++reads;
                sleep(1s);
            }
        });
    }
    for (int i = 0; i < 2; ++i) {
        spawn([&] {
            while (time.elapsed() < 60s) {
                const std::unique_lock lock(m);
                ++writes;
                sleep(1s);
            }
        });
    }
    sleep(120s);
    EXPECT_GE(reads, 45);
    EXPECT_GE(writes, 30);
}

TEST_F(SharedMutexLine, AWriterThatUnlocksDoesNotBargeIn) {
    m.lock();
    const auto reader = reading('r');
    const auto writer = writing('W');
    yield();
    m.unlock();
    EXPECT_EQ(m.readers(), 1u);  // the reader's already
    EXPECT_FALSE(m.try_lock());
    m.lock();
    log("main");
    m.unlock();
    EXPECT_EQ(log.text(), "r W main");
    join_all(reader, writer);
}

TEST_F(SharedMutexLine, AKilledWriterLetsTheReadersBehindItIn) {
    m.lock_shared();
    const auto writer = writing('W');
    const auto b = reading('b');
    const auto c = reading('c');
    const auto second = writing('X');
    yield();
    writer.kill();
    EXPECT_EQ(log.text(), "b c");
    EXPECT_EQ(m.readers(), 3u);
    m.unlock_shared();
    join_all(b, c, second);
    EXPECT_EQ(log.text(), "b c X");
    expect_free();
}

TEST_F(SharedMutexLine, AWriterWhoseDeadlineComesLetsTheReadersBehindItIn) {
    m.lock_shared();
    const auto writer = spawn([&] {
        EXPECT_FALSE(m.try_lock_for(1s));
        log("late");
    });
    const auto reader = reading('b');
    yield();
    EXPECT_EQ(log.text(), "");
    sleep(1s);
    yield();
    EXPECT_EQ(m.readers(), 2u);
    EXPECT_EQ(time.elapsed(), 1s);
    join_all(writer, reader);
    EXPECT_EQ(log.text(), "b late");
    m.unlock_shared();
    expect_free();
}

// Whoever leaves the line while a writer holds it changes nothing for the others.
TEST_F(SharedMutexLine, WhoeverIsKilledWhileAWriterHoldsItNobodyEnters) {
    m.lock();
    const auto r = reading('r');
    const auto w = writing('W');
    const auto q = reading('q');
    yield();
    w.kill();
    r.kill();
    EXPECT_EQ(m.readers(), 0u);
    EXPECT_EQ(log.text(), "");
    m.unlock();
    q.join();
    EXPECT_EQ(log.text(), "q");
    expect_free();
}

// Every member of a line of six is killed before the hand-over, in its turn, after it, and later.
TEST_F(SharedMutexLine, Fault_KL09_TheOthersAllEnterWhoeverIsKilledWhenever) {
    const std::string names = "abXcYd";
    for (std::size_t victim = 0; victim < names.size(); ++victim) {
        for (int when = 0; when < 4; ++when) {
            m.lock();
            std::vector<copse::fiber<void>> all;
            for (const char name : names) all.push_back(name < 'a' ? writing(name) : reading(name));
            yield();
            if (when == 0) all[victim].request_kill();
            m.unlock();
            if (when == 1) all[victim].request_kill();
            yield();
            if (when == 2) all[victim].request_kill();
            sleep(1500ms);
            if (when == 3) all[victim].request_kill();
            EXPECT_EQ(join_all({.timeout = 1h}, all), names.size()) << victim << ' ' << when;
            const std::string entered = log.take();
            for (std::size_t i = 0; i < names.size(); ++i) {
                if (i == victim && when != 0) continue;
                EXPECT_EQ(entered.find(names[i]) != std::string::npos, i != victim) << victim << ' ' << when;
            }
            expect_free();
        }
    }
}

// decision 3: the lock is the fiber's, who unlocks it on its way out
TEST_F(SharedMutexLine, AKillInTheTurnOfTheHandOverCompletes) {
    m.lock();
    const auto reader = reading('r');
    yield();
    m.unlock();
    reader.kill();
    EXPECT_EQ(log.take(), "r");
    m.lock_shared();
    const auto writer = writing('W');
    yield();
    m.unlock_shared();
    writer.kill();
    EXPECT_EQ(log.text(), "W");
    expect_free();
}

TEST_F(SharedMutexLine, Fault_KL11_AtTheDeadlineIsOneOrTheOther) {
    for (const int offset : {-1, 0, 1}) {
        m.lock();
        const auto reader = spawn([&] {
            const bool in = m.try_lock_shared_for(1ms);
            if (in) m.unlock_shared();
            return in;
        });
        const auto writer = spawn([&] {
            const bool in = m.try_lock_for(1ms);
            if (in) m.unlock();
            return in;
        });
        yield();
        sleep(1ms + std::chrono::microseconds(offset));
        m.unlock();
        EXPECT_EQ(reader.get(), offset < 0) << offset;
        EXPECT_EQ(writer.get(), offset < 0) << offset;
        expect_free();
    }
}

TEST_F(SharedMutex, TimedFormsAnswerAndLeaveNoWaiter) {
    m.lock();
    const auto f = spawn([&] {
        const std::chrono::duration<double> nan(std::nan(""));
        EXPECT_FALSE(m.try_lock_for(1s));
        EXPECT_FALSE(m.try_lock_shared_for(1s));
        EXPECT_FALSE(m.try_lock_until(copse::clock::now() + 1s));
        EXPECT_FALSE(m.try_lock_shared_until(copse::clock::now() + 1s));
        EXPECT_EQ(time.elapsed(), 4s);
        EXPECT_FALSE(m.try_lock_for(0s));
        EXPECT_FALSE(m.try_lock_shared_for(-1h));
        EXPECT_EQ(time.elapsed(), 4s);
        EXPECT_THROW(m.try_lock_for(nan), copse::invalid_duration);
        EXPECT_THROW(m.try_lock_shared_for(nan), copse::invalid_duration);
    });
    f.get();
    m.unlock();
    expect_free();
}

TEST_F(SharedMutex, ATimeoutScopeEndsEitherWait) {
    const auto owner = writing('W', 3s);
    yield();
    EXPECT_THROW(copse::with_timeout(1s, [&] { m.lock(); }), copse::timeout_expired);
    EXPECT_THROW(copse::with_timeout(1s, [&] { m.lock_shared(); }), copse::timeout_expired);
    owner.join();
    expect_free();
}

TEST_F(SharedMutex, Fault_SY02_UnlockedByWhoDoesNotHoldIt) {
    EXPECT_THROW(m.unlock(), copse::not_owner);
    EXPECT_THROW(m.unlock_shared(), copse::not_owner);
    m.lock();
    EXPECT_THROW(m.unlock_shared(), copse::not_owner);
    spawn([&] { EXPECT_THROW(m.unlock(), copse::not_owner); }).get();
    EXPECT_TRUE(m.locked());
    m.unlock();
    m.lock_shared();
    EXPECT_THROW(m.unlock(), copse::not_owner);
    EXPECT_EQ(m.readers(), 1u);
    m.unlock_shared();
    EXPECT_THROW(m.unlock_shared(), copse::not_owner);
}

TEST_F(SharedMutex, Fault_SY02_ItsWriterCannotWaitForItself) {
    m.lock();
    EXPECT_THROW(m.lock(), copse::self_deadlock);
    EXPECT_THROW(m.lock_shared(), copse::self_deadlock);
    EXPECT_THROW(m.try_lock_for(1s), copse::self_deadlock);
    EXPECT_THROW(m.try_lock_shared_for(1s), copse::self_deadlock);
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_shared());
    m.unlock();
    expect_free();
}

TEST_F(SharedMutex, Fault_SY01_AKilledHoldersGuardUnlocksIt) {
    const auto reader = reading('r', 3600s);
    yield();
    reader.kill();
    const auto writer = writing('W', 3600s);
    yield();
    EXPECT_TRUE(m.locked());
    writer.kill();
    expect_free();
}

TEST_F(SharedMutex, Fault_SY01_StaysLockedWhenItsWriterEnds) {
    spawn([&] { m.lock(); }).join();
    EXPECT_TRUE(m.locked());
    EXPECT_FALSE(m.try_lock_shared_for(1s));
    EXPECT_THROW(m.unlock(), copse::not_owner);
}

}  // namespace
