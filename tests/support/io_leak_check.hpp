#pragma once

/// As leak_check, for tests of room 2: no descriptor is left open, nobody waits for one, no timer is armed.

#include "leak_check.hpp"

#include <copse/fibers.hpp>
#include <copse/io.hpp>

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace copse_test {

inline std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// The reactor has its descriptors and the hub its stack before anything is counted.
struct io_warm_up {
    io_warm_up() {
        copse::hub::current().post([] {});
        copse::yield();
        auto pair = copse::io::socketpair();
        pair.first.send_all("x");
        std::array<std::byte, 1> one;
        pair.second.recv(one);
        copse::io::file_engine();  // a ring, where copse has rings
    }
};

class io_leak_check : private io_warm_up, public leak_check {
protected:
    void TearDown() override {
        using namespace std::chrono_literals;
        EXPECT_TRUE(copse::hub::current().run_until_idle_for(5s)) << "something still runs";
        const copse::hub_stats stats = copse::hub::current().stats();
        EXPECT_EQ(stats.watching, 0U) << "descriptors are still waited for";
        EXPECT_EQ(stats.timers, 0U) << "timers are still armed";
        EXPECT_EQ(open_descriptors(), descriptors_before_) << "descriptors were left open";
        leak_check::TearDown();
    }

private:
    std::size_t descriptors_before_ = open_descriptors();
};

inline std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

/// What one receive brings, at most 64 KiB.
inline std::string recv_text(copse::io::socket& from) {
    std::string text(64 * 1024, '\0');
    text.resize(from.recv(std::as_writable_bytes(std::span(text))));
    return text;
}

/// Everything up to the end of the stream.
inline std::string recv_to_end(copse::io::socket& from) {
    std::string all;
    while (auto chunk = from.recv_pooled()) all += chunk.text();
    return all;
}

/// Bytes that differ from place to place.
inline std::string pattern(std::size_t size, unsigned seed = 1) {
    std::string text(size, '\0');
    for (char& c : text) {
        seed = seed * 1664525U + 1013904223U;
        c = static_cast<char>(seed >> 24);
    }
    return text;
}

/// A TCP connection over loopback, both ends.
inline std::pair<copse::io::socket, copse::io::socket> tcp_pair(const char* where = "127.0.0.1:0") {
    auto listener = copse::io::listen(where);
    auto client = copse::io::connect(listener.local_endpoint());
    copse::io::socket server = listener.accept();
    return {std::move(client), std::move(server)};
}

/// The code of the std::system_error that `call` throws; 0 if it throws nothing.
template <class F>
std::error_condition error_of(F&& call) {
    try {
        std::forward<F>(call)();
    } catch (const std::system_error& e) {
        return e.code().default_error_condition();
    }
    return {};
}

template <class F>
std::string text_of(F&& call) {
    try {
        std::forward<F>(call)();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "nothing was thrown";
}

}  // namespace copse_test
