// Files by io_uring: what becomes of calls and numbers when somebody else closes what the ring is reached by.

#include "exceptions.hpp"
#include "io_file_fixture.hpp"
#include "reactor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#if COPSE_TEST_URING

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

std::string read_at(io::file& f, std::uint64_t offset, std::size_t size) {
    std::string text(size, '\0');
    text.resize(f.read_at(offset, std::as_writable_bytes(std::span(text))));
    return text;
}

std::vector<int> numbers_of(std::string_view what) {
    std::vector<int> found;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code closed;
        const auto target = std::filesystem::read_symlink(each.path(), closed).string();
        if (target == "anon_inode:" + std::string(what)) found.push_back(std::stoi(each.path().filename()));
    }
    return found;
}

void close_all(const std::vector<int>& numbers) {
    for (const int fd : numbers) ::close(fd);
}

/// As a program does that closes whatever it finds open.
void close_what_copse_has() {
    for (const auto* what : {"[io_uring]", "[eventpoll]", "[eventfd]"}) close_all(numbers_of(what));
}

class IoFileRingLoss : public file_fixture {
protected:
    void SetUp() override {
        if (io::file_engine() != io::disk_engine::io_uring) GTEST_SKIP() << "the kernel does not allow it";
    }
};

TEST_F(IoFileRingLoss, Fault_FD05_WhatTheKernelHasIsHeardOfAllTheSame) {
    error_recorder errors;
    auto f = made("a", "abc");
    slow_disk({kind::read});
    const auto reading = copse::spawn([&] { return read_at(f, 0, 3); });
    std::vector<copse::fiber<std::string>> in_line;
    for (int i = 0; i < 200; ++i) in_line.push_back(copse::spawn([&] { return read_at(f, 1, 1); }));
    reached(at_once());
    close_what_copse_has();
    gate.set(true);
    EXPECT_EQ(reading.get(), "abc");
    for (const auto& each : in_line) EXPECT_EQ(each.get(), "b");
    healthy_disk();
    EXPECT_EQ(read_at(f, 0, 3), "abc");
    EXPECT_EQ(io::file_engine(), io::disk_engine::io_uring) << "it has another one";
    while (errors.count() == 0) copse::yield();  // epoll's end is told
}

TEST_F(IoFileRingLoss, Fault_FD05_WithoutItsNumberThreadsDoTheRestAndANewOneIsMade) {
    auto f = made("a", "abc");
    slow_disk({kind::read});
    const auto reading = copse::spawn([&] { return read_at(f, 0, 3); });
    reached(1);
    close_all(numbers_of("[io_uring]"));
    healthy_disk();
    EXPECT_EQ(read_at(f, 1, 2), "bc");
    EXPECT_EQ(io::file_engine(), io::disk_engine::threads) << "as long as the kernel has a call of the old one";
    f.write_all_at(2, "x");
    gate.set(true);
    EXPECT_EQ(reading.get(), "abx");
    EXPECT_EQ(io::file_engine(), io::disk_engine::io_uring);
    EXPECT_EQ(read_at(f, 0, 3), "abx");
}

/// Fills the numbers that are free up to `last`.
std::vector<io::descriptor> occupy(int last) {
    std::vector<io::descriptor> all;
    do all.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
    while (all.back().get() < last);
    return all;
}

TEST_F(IoFileRingLoss, Fault_FD05_ANumberThatIsAnothersByNowStaysOpenWhenTheThreadEnds) {
    const auto others = numbers_of("[io_uring]");
    int number = -1;
    std::vector<io::descriptor> own;
    std::thread([&] {
        auto f = made("a", "abc");
        EXPECT_EQ(read_at(f, 0, 3), "abc");
        for (const int fd : numbers_of("[io_uring]")) {
            if (std::find(others.begin(), others.end(), fd) == others.end()) number = fd;
        }
        ASSERT_GE(number, 0);
        ::close(number);
        own = occupy(number);
    }).join();
    ASSERT_GE(number, 0);
    for (const auto& each : own) EXPECT_EQ(::write(each.get(), "x", 1), 1) << each.get();
}

/// Another event loop, as Asio's.
struct other_loop : io::detail::guest {
    other_loop() noexcept {
        called = [](io::detail::guest& g) noexcept { static_cast<other_loop&>(g).was_called = true; };
        posts = [](const io::detail::guest&) noexcept { return false; };
        busy = [](const io::detail::guest&) noexcept { return true; };
        abandoned = [](io::detail::guest&) noexcept {};
    }
    bool was_called = false;
};

TEST_F(IoFileRingLoss, Fault_FD05_AnotherLoopUnderItsNumberHearsWhatIsItsOwn) {
    auto f = made("a", "abc");
    EXPECT_EQ(read_at(f, 0, 3), "abc");
    const auto rings = numbers_of("[io_uring]");
    ASSERT_EQ(rings.size(), 1U);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const io::descriptor in(ends[0]);
    const io::descriptor out(ends[1]);
    ASSERT_EQ(::dup2(in.get(), rings.front()), rings.front());
    io::descriptor its_own(rings.front());
    other_loop loop;
    loop.fd = its_own.get();
    io::detail::reactor::here().add(loop);
    EXPECT_EQ(::write(out.get(), "x", 1), 1);
    for (int i = 0; i < 500 && !loop.was_called; ++i) copse::yield();
    EXPECT_TRUE(loop.was_called);
    io::detail::reactor::here().remove(loop);
    its_own = io::descriptor();
    EXPECT_EQ(read_at(f, 0, 3), "abc");
    EXPECT_EQ(read_at(f, 0, 3), "abc");
    EXPECT_EQ(io::file_engine(), io::disk_engine::io_uring) << "it has another one";
}

TEST_F(IoFileRingLoss, Fault_FD05_ASocketUnderItsNumberHearsWhatIsItsOwn) {
    error_recorder errors;
    auto f = made("a", "abc");
    EXPECT_EQ(read_at(f, 0, 3), "abc");
    const auto rings = numbers_of("[io_uring]");
    ASSERT_EQ(rings.size(), 1U);
    close_what_copse_has();
    std::vector<std::pair<io::socket, io::socket>> pairs;
    do pairs.push_back(io::socketpair());
    while (pairs.back().second.native_handle() < rings.front());
    for (auto& [near, far] : pairs) {
        for (auto* each : {&near, &far}) {
            auto& other = each == &near ? far : near;
            auto hearing = copse::spawn([&, each] { return recv_text(*each); });
            copse::yield();
            EXPECT_EQ(read_at(f, 0, 3), "abc");
            other.send_all("x");
            EXPECT_EQ(hearing.get_for(10s), "x");
        }
    }
    while (errors.count() == 0) copse::yield();
}

}  // namespace

#endif
