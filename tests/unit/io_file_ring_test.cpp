// Files by io_uring: what becomes of calls that the kernel refuses, has no room for, or still has when their thread ends.

#include "at_end.hpp"
#include "fork_at_rest.hpp"
#include "io_file_fixture.hpp"
#include "sanitizer.hpp"

#include <copse/virtual_time.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#if COPSE_TEST_URING

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

std::string read_at(const io::file& f, std::uint64_t offset, std::size_t size) {
    std::string text(size, '\0');
    text.resize(const_cast<io::file&>(f).read_at(offset, bytes_of(text)));
    return text;
}

class IoFileRing : public file_fixture {
protected:
    void SetUp() override {
        if (io::file_engine() != io::disk_engine::io_uring) GTEST_SKIP() << "the kernel does not allow it";
    }
};

// ---- Who does it

std::atomic<int> refusal{0};
int refused_setup(unsigned /*entries*/, io_uring* /*ring*/, io_uring_params* /*with*/) { return -refusal; }

TEST_F(IoFileRing, WhereTheKernelRefusesARingThreadsDoIt) {
    io::write_file(at("a"), "abc");
    io::detail::uring.setup = refused_setup;
    for (const int error : {ENOSYS, EPERM, ENOMEM, EMFILE}) {
        refusal = error;
        std::thread([&] {
            EXPECT_EQ(io::file_engine(), io::disk_engine::threads) << error;
            auto f = io::file::open(at("a"), {.read = true, .write = true});
            EXPECT_EQ(read_at(f, 0, 3), "abc");
            f.write_all_at(0, "abc");
            f.sync();
        }).join();
    }
    EXPECT_EQ(io::file_engine(), io::disk_engine::io_uring) << "of the others nothing is refused";
}

TEST_F(IoFileRing, TheProgramMayChooseThreads) {
    auto f = made("a", "abc");
    io::choose_file_engine(io::disk_engine::threads);
    EXPECT_EQ(io::file_engine(), io::disk_engine::threads);
    slow_disk({kind::read});
    io::detail::uring.next_sqe = [](io_uring*, kind) -> io_uring_sqe* {
        ADD_FAILURE() << "the ring was asked";
        return nullptr;
    };
    gate.set(true);
    EXPECT_EQ(read_at(f, 0, 3), "abc");
    EXPECT_EQ(begun, 1);
}

TEST_F(IoFileRing, WhatIsInTheCacheIsReadWithoutAWait) {
    auto f = made("a", "abc");
    bool others_ran = false;
    auto other = copse::spawn([&] { others_ran = true; });
    EXPECT_EQ(read_at(f, 0, 3), "abc");
    EXPECT_FALSE(others_ran);
    other.join();
}

TEST_F(IoFileRing, WhatIsNotInTheCacheIsWaitedFor) {
    const std::string lot = pattern(4 << 20);
    auto f = made("a", lot);
    f.sync();
    ::posix_fadvise(f.native_handle(), 0, 0, POSIX_FADV_DONTNEED);
    EXPECT_TRUE(f.read_to_end() == lot);
}

TEST_F(IoFileRing, OfADescriptorThatMustNotWaitThreadsReadWhatItCannot) {
    const io::descriptor memory(::memfd_create("memory", MFD_CLOEXEC));  // its file system cannot promise not to wait
    ASSERT_EQ(::write(memory.get(), "abc", 3), 3);
    const std::string name = "/proc/self/fd/" + std::to_string(memory.get());
    auto f = io::file::adopt(::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    EXPECT_EQ(f.read_to_end(), "abc");
}

int results_left = 0;
int last_error = 0;
int failing_result(int told, kind /*what*/) { return results_left-- > 0 ? std::min(told, 2) : -last_error; }

TEST_F(IoFileRing, WhatItLeavesUndoneThreadsDo) {
    auto f = made("a", "abcdef");
    io::detail::uring.result = failing_result;
    for (const int error : {EAGAIN, EINVAL, ECANCELED, ENOMEM, EOPNOTSUPP}) {
        last_error = error;
        for (results_left = 0; results_left < 3;) {
            const int before = results_left;
            EXPECT_EQ(read_at(f, 0, 6), "abcdef") << "errno " << error << " after " << before;
            results_left = before;
            f.write_all_at(0, "abcdef");
            results_left = before + 1;
        }
    }
    results_left = 0;
    last_error = EIO;
    EXPECT_EQ(error_of([&] { read_at(f, 0, 6); }), std::errc::io_error) << "but this is the file's own";
}

TEST_F(IoFileRing, ASubmissionThatIsRefusedIsDoneOnce) {
    auto f = made("a", "abc");
    io::file journal = io::file::open(at("log"), {.append = true, .create = true});
    for (const int error : {EAGAIN, EBUSY, ENOMEM}) {
        refusal = error;
        io::detail::uring.submit = [](io_uring*) { return -refusal; };
        EXPECT_EQ(read_at(f, 0, 3), "abc");
        journal.write_all("x");
        healthy_disk();
        journal.write_all("y");  // what was refused is still in the queue of the ring, and does nothing
    }
    io::detail::uring.next_sqe = [](io_uring*, kind) -> io_uring_sqe* { return nullptr; };
    journal.write_all("z");
    EXPECT_EQ(io::read_file(at("log")), "xyxyxyz");
}

TEST_F(IoFileRing, AnInterruptedSubmissionIsRepeated) {
    static int interruptions;
    interruptions = 3;
    io::detail::uring.submit = [](io_uring* ring) { return interruptions-- > 0 ? -EINTR : ::io_uring_submit(ring); };
    auto f = made("a", "abc");
    EXPECT_EQ(read_at(f, 0, 3), "abc");
    EXPECT_LT(interruptions, 0);
}

TEST_F(IoFileRing, GoesOnAfterManyRefusals) {
    auto f = made("a", "abc");
    io::detail::uring.submit = [](io_uring*) { return -EAGAIN; };
    for (int i = 0; i < 300; ++i) EXPECT_EQ(read_at(f, 0, 3), "abc");
    static int refused;
    refused = 0;
    io::detail::uring.submit = [](io_uring* ring) {
        const int taken = ::io_uring_submit(ring);
        if (taken <= 0) ++refused;
        return taken;
    };
    static int without_entry;
    without_entry = 0;
    io::detail::uring.next_sqe = [](io_uring* ring, kind) {
        io_uring_sqe* const entry = ::io_uring_get_sqe(ring);
        if (entry == nullptr) ++without_entry;
        return entry;
    };
    for (int i = 0; i < 50; ++i) EXPECT_EQ(read_at(f, 0, 3), "abc");
    EXPECT_EQ(refused, 0);
    EXPECT_LE(without_entry, 1);
}

// ---- Many

TEST_F(IoFileRing, MoreThanItHasRoomForStandInLine) {
    const std::string lot = pattern(1000);
    auto f = made("a", lot);
    slow_disk({kind::read});
    std::vector<copse::fiber<std::string>> readers;
    for (unsigned i = 0; i < 1000; ++i) readers.push_back(copse::spawn([&f, i] { return read_at(f, i, 1); }));
    reached(at_once());
    for (int i = 0; i < 10; ++i) copse::yield();
    EXPECT_EQ(begun, at_once());
    for (std::size_t i = 500; i < 600; ++i) readers[i].kill();
    gate.set(true);
    for (std::size_t i = 0; i < 1000; ++i) {
        if (i < 500 || i >= 600) {
            EXPECT_EQ(readers[i].get(), lot.substr(i, 1)) << i;
        }
    }
    EXPECT_EQ(begun, 900) << "those who were killed in line were never read for";
}

TEST_F(IoFileRing, ReadsThatNeverWaitLetOthersRun) {
    auto f = made("a", "abc");
    int turns = 0;
    bool ended = false;
    auto other = copse::spawn([&] {
        while (!ended) {
            ++turns;
            copse::yield();
        }
    });
    for (int i = 0; i < 2000; ++i) read_at(f, 0, 1);
    ended = true;
    other.join();
    EXPECT_GE(turns, 10);
}

TEST_F(IoFileRing, ReadsThatNeverWaitCanBeKilled) {
    auto f = made("a", "abc");
    auto reading = copse::spawn([&] {
        for (;;) read_at(f, 0, 1);
    });
    copse::yield();
    reading.kill();
    EXPECT_TRUE(reading.killed());
}

// ---- The hub

TEST_F(IoFileRing, WhatTheKernelHasIsNoDeadlockAndARingIsNoReasonToWait) {
    auto f = made("a", "abc");
    EXPECT_THROW(copse::event().wait(), copse::would_block_forever);
    slow_disk({kind::read});
    const std::jthread opens([] {
        while (begun == 0) std::this_thread::yield();
        gate.set(true);
    });
    EXPECT_EQ(read_at(f, 0, 3), "abc");
}

TEST_F(IoFileRing, VirtualTimeDoesNotRunAheadOfTheDisk) {
    auto f = made("a", "abc");
    slow_disk({kind::read});
    auto& sleeps = io::detail::sys.epoll_wait;
    const at_end put_back([&sleeps] { sleeps = io::detail::real_system_calls.epoll_wait; });
    sleeps = [](int epoll, epoll_event* events, int most, int timeout) {
        if (timeout == -1) gate.set(true);  // the hub waits, and time does not run
        return io::detail::real_system_calls.epoll_wait(epoll, events, most, timeout);
    };
    {
        const copse::virtual_time time;
        std::string text(3, '\0');
        EXPECT_EQ(f.read_at_for(0, bytes_of(text), 10s), 3U);
        EXPECT_EQ(text, "abc");
        EXPECT_EQ(time.elapsed(), 0s);
        copse::sleep(1h);
        EXPECT_EQ(time.elapsed(), 1h);
    }
}

// ---- The end of the thread, and of the process' other half

TEST_F(IoFileRing, AThreadThatEndsTakesItsCallsBack) {
    io::write_file(at("a"), "abc");
    const std::size_t descriptors = open_descriptors();
    slow_disk({kind::read, kind::write, kind::sync});
    std::thread([&] {
        auto f = io::file::open(at("a"), {.read = true, .write = true});
        std::vector<copse::fiber<void>> left;
        for (int i = 0; i < 200; ++i) left.push_back(copse::spawn([&] { read_at(f, 0, 3); }));
        auto writing = copse::spawn([&] { f.write_all_at(0, "xyz"); });
        copse::yield();
        EXPECT_EQ(begun, at_once());
        left.front().kill();
        left.clear();
    }).join();
    EXPECT_EQ(open_descriptors(), descriptors);
    healthy_disk();
    EXPECT_EQ(io::read_file(at("a")), "abc") << "and the gate was never opened";
}

TEST_F(IoFileRing, AThreadThatEndsWaitsForWhatRuns) {
    io::write_file(at("a"), "");
    const std::string lot = pattern(1 << 20);
    for (int i = 0; i < 5; ++i) {
        std::thread([&] {
            const auto f = std::make_shared<io::file>(io::file::open(at("a"), {.write = true}));
            for (int j = 0; j < 3; ++j) {
                copse::spawn([f, &lot] {
                    f->write_all_at(0, lot);
                    f->sync();
                });
            }
            copse::yield();
        }).join();
    }
    const std::string written = io::read_file(at("a"));
    EXPECT_TRUE(written == lot.substr(0, written.size()))
        << "what was written was read from memory that was still there";
}

TEST_F(IoFileRing, Fault_FK01_AChildHasARingOfItsOwn) {
    if (copse_test::thread_sanitized) GTEST_SKIP() << "ThreadSanitizer dies when a child makes threads";
    auto f = made("a", "abc");
    slow_disk({kind::read});
    auto reading = copse::spawn([&] { return read_at(f, 0, 3); });
    reached(1);
    const pid_t child = fork_at_rest();
    if (child == 0) {
        healthy_disk();
        const bool reads = read_at(f, 1, 2) == "bc" && io::file_engine() == io::disk_engine::io_uring;
        f.write_all_at(2, "x");
        f.sync();
        ::_exit(reads ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_FALSE(reading.ready());
    gate.set(true);
    EXPECT_EQ(reading.get(), "abx") << "the parent's call is still the parent's";
}

/// A daemon closes what it has inherited, and opens its own under the same numbers.
TEST_F(IoFileRing, Fault_FK01_AChildsNumbersAreItsOwn) {
    if (copse_test::thread_sanitized) GTEST_SKIP() << "ThreadSanitizer dies when a child makes threads";
    auto f = made("a", "abc");
    EXPECT_EQ(read_at(f, 0, 3), "abc");
    const pid_t child = fork_at_rest();
    if (child == 0) {
        const int most = 256;
        ::close_range(3, most, 0);
        for (int fd = 3; fd < most; ++fd) static_cast<void>(::open("/dev/null", O_RDWR));
        auto own = io::file::open(at("a"));
        const bool reads = read_at(own, 0, 3) == "abc";
        bool all = true;
        for (int fd = 3; fd < most; ++fd) all = all && ::write(fd, "x", 1) == 1;
        ::_exit(reads && all ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

}  // namespace

#endif
