#pragma once

/// A fixture for files: a folder of their own, and a disk that is slow, short or broken, whichever engine asks it. Include in
/// unit tests only: it sees io/src.

#include "disk_call.hpp"
#include "io_leak_check.hpp"
#include "open_file.hpp"
#include "system_calls.hpp"

#if COPSE_TEST_URING
#include "uring/uring_calls.hpp"
#endif

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace copse_test {

using kind = copse::io::detail::disk_call::kind;

/// Calls that came while it was closed go on when it opens: those of threads by a condition, those of the kernel by a pipe.
class disk_gate {
public:
    disk_gate() {
        int ends[2] = {-1, -1};
        if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
        fd = ends[0];
        into_ = ends[1];
    }
    disk_gate(const disk_gate&) = delete;
    disk_gate& operator=(const disk_gate&) = delete;

    void pass() {
        std::unique_lock lock(mutex_);
        opened_.wait(lock, [this] { return open_; });
    }
    void set(bool open) {
        const std::lock_guard lock(mutex_);
        open_ = open;
        char before = 0;
        while (::read(fd, &before, 1) == 1) {}
        if (open && ::write(into_, "o", 1) != 1) std::abort();
        opened_.notify_all();
    }

    int fd = -1;  // readable while it is open

private:
    int into_ = -1;
    std::mutex mutex_;
    std::condition_variable opened_;
    bool open_ = false;
};

inline disk_gate gate;
inline std::atomic<int> begun{0};  // calls that came to the gate

namespace disk_faults {

inline void reach() {
    ++begun;
    gate.pass();
}
inline ssize_t slow_pread(int fd, void* into, std::size_t size, off_t offset) {
    reach();
    return ::pread(fd, into, size, offset);
}
inline ssize_t slow_pwrite(int fd, const void* from, std::size_t size, off_t offset) {
    reach();
    return ::pwrite(fd, from, size, offset);
}
inline int slow_fsync(int /*fd*/) {
    reach();
    return 0;
}

inline std::atomic<unsigned> calls{0};
inline bool interrupted_now() {
    errno = EINTR;
    return calls++ % 3 == 0;
}
inline std::size_t shortened(std::size_t size) { return std::min<std::size_t>(size, 1 + calls % 1000); }
inline ssize_t shaky_pread(int fd, void* into, std::size_t size, off_t offset) {
    return interrupted_now() ? -1 : ::pread(fd, into, shortened(size), offset);
}
inline ssize_t shaky_pwrite(int fd, const void* from, std::size_t size, off_t offset) {
    return interrupted_now() ? -1 : ::pwrite(fd, from, shortened(size), offset);
}

inline std::atomic<std::size_t> left{0};
inline std::size_t taken_of(std::size_t size) {
    errno = ENOSPC;
    const std::size_t n = std::min(size, left.load());
    left -= n;
    return n;
}
inline ssize_t full_pwrite(int fd, const void* from, std::size_t size, off_t offset) {
    const std::size_t n = taken_of(size);
    return n == 0 ? -1 : ::pwrite(fd, from, n, offset);
}
inline int broken_fsync(int /*fd*/) {
    errno = EIO;
    return -1;
}
inline ssize_t broken_pread(int /*fd*/, void* /*into*/, std::size_t /*size*/, off_t /*offset*/) {
    errno = EIO;
    return -1;
}

#if COPSE_TEST_URING
inline std::vector<kind> slow_kinds;

// The kernel waits for the gate before it does what follows.
inline io_uring_sqe* slow_sqe(io_uring* ring, kind what) {
    if (std::find(slow_kinds.begin(), slow_kinds.end(), what) == slow_kinds.end()) return ::io_uring_get_sqe(ring);
    ++begun;
    io_uring_sqe* const first = ::io_uring_get_sqe(ring);
    ::io_uring_prep_poll_add(first, gate.fd, POLLIN);
    ::io_uring_sqe_set_data(first, nullptr);
    first->flags = IOSQE_IO_LINK;
    return ::io_uring_get_sqe(ring);
}
inline int shaky_result(int told, kind /*what*/) {
    if (told <= 0) return told;
    return interrupted_now() ? -EINTR : static_cast<int>(shortened(static_cast<std::size_t>(told)));
}
inline int full_result(int told, kind what) {
    if (told <= 0 || what != kind::write) return told;
    const std::size_t n = taken_of(static_cast<std::size_t>(told));
    return n == 0 ? -ENOSPC : static_cast<int>(n);
}
inline int broken_result(int told, kind what) { return what == kind::write ? told : -EIO; }
#endif

}  // namespace disk_faults

/// For INSTANTIATE_TEST_SUITE_P.
inline std::string engine_name(const testing::TestParamInfo<copse::io::disk_engine>& info) {
    return info.param == copse::io::disk_engine::threads ? "threads" : "io_uring";
}

class file_fixture : public io_leak_check {
protected:
    file_fixture() {
        std::string name = (std::filesystem::temp_directory_path() / "copse-file-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
        directory = name;
        begun = 0;
        gate.set(false);
    }
    ~file_fixture() override { std::filesystem::remove_all(directory); }

    void TearDown() override {
        until_idle();
        healthy_disk();
        copse::io::choose_file_engine(copse::io::disk_engine::io_uring);
        io_leak_check::TearDown();
    }

    // Not the whole table: a thread of the disk may just be waking the hub.
    static void healthy_disk() {
        copse::io::detail::sys.pread = copse::io::detail::real_system_calls.pread;
        copse::io::detail::sys.pwrite = copse::io::detail::real_system_calls.pwrite;
        copse::io::detail::sys.fsync = copse::io::detail::real_system_calls.fsync;
#if COPSE_TEST_URING
        copse::io::detail::uring = copse::io::detail::real_uring_calls;
#endif
    }
    /// These calls wait at the gate.
    static void slow_disk(std::initializer_list<kind> which) {
        for (const kind k : which) {
            if (k == kind::read) copse::io::detail::sys.pread = disk_faults::slow_pread;
            if (k == kind::write) copse::io::detail::sys.pwrite = disk_faults::slow_pwrite;
            if (k == kind::sync) copse::io::detail::sys.fsync = disk_faults::slow_fsync;
        }
#if COPSE_TEST_URING
        disk_faults::slow_kinds = which;
        copse::io::detail::uring.next_sqe = disk_faults::slow_sqe;
#endif
    }
    static void shaky_disk() {
        copse::io::detail::sys.pread = disk_faults::shaky_pread;
        copse::io::detail::sys.pwrite = disk_faults::shaky_pwrite;
#if COPSE_TEST_URING
        copse::io::detail::uring.result = disk_faults::shaky_result;
#endif
    }
    /// It has room for so many bytes.
    static void full_disk(std::size_t room) {
        disk_faults::left = room;
        copse::io::detail::sys.pwrite = disk_faults::full_pwrite;
#if COPSE_TEST_URING
        copse::io::detail::uring.result = disk_faults::full_result;
#endif
    }
    /// Nothing can be read from it or synced.
    static void broken_disk() {
        copse::io::detail::sys.pread = disk_faults::broken_pread;
        copse::io::detail::sys.fsync = disk_faults::broken_fsync;
#if COPSE_TEST_URING
        copse::io::detail::uring.result = disk_faults::broken_result;
#endif
    }

    std::string at(const char* name) const { return (directory / name).string(); }
    copse::io::file made(const char* name, std::string_view text) const {
        copse::io::write_file(at(name), text);
        return copse::io::file::open(at(name), {.read = true, .write = true});
    }
    static std::string all_of(copse::io::file& f) {
        std::string text(1 << 16, '\0');
        text.resize(f.read_at(0, std::as_writable_bytes(std::span(text))));
        return text;
    }

    /// So many calls may have begun.
    static int at_once() { return copse::io::file_engine() == copse::io::disk_engine::threads ? 4 : 128; }

    /// Until all calls of the disk have ended, also those that were left behind.
    static void until_idle() {
        gate.set(true);
        std::barrier<> all(4);  // its threads are all here at once
        std::vector<copse::fiber<void>> threads;
        for (int i = 0; i < 4; ++i)
            threads.push_back(copse::spawn([&] { copse::io::detail::disk().apply([&] { all.arrive_and_wait(); }); }));
        copse::join_all(threads);
        while (copse::hub::current().stats().watching != 0) copse::sleep(std::chrono::milliseconds(1));
    }
    /// Until `n` calls have reached the disk.
    static void reached(int n) {
        while (begun < n) copse::sleep(std::chrono::milliseconds(1));
    }

    /// The threads of the disk are all at the gate.
    class busy_threads {
    public:
        busy_threads() {
            for (int i = 0; i < 4; ++i) calls_.push_back(copse::io::detail::disk().spawn(disk_faults::reach));
            reached(4);
        }
        busy_threads(const busy_threads&) = delete;
        busy_threads& operator=(const busy_threads&) = delete;
        ~busy_threads() {
            gate.set(true);
            copse::join_all(calls_);
        }

    private:
        std::vector<copse::fiber<void>> calls_;
    };

    std::filesystem::path directory;
};

/// The same with one engine and then the other. Its tests are those of the suite IoFile, which io_file_test.cpp instantiates.
class engine_fixture : public file_fixture, public testing::WithParamInterface<copse::io::disk_engine> {
protected:
    void SetUp() override {
        copse::io::choose_file_engine(GetParam());
        if (copse::io::file_engine() != GetParam()) GTEST_SKIP() << "no io_uring here";
    }
};

}  // namespace copse_test
