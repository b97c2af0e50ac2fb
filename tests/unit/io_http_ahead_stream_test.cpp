// What was received ahead of an upgrade, before the stream itself.

#include "event_log.hpp"

#include "http/ahead_stream.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

using namespace std::chrono_literals;
using namespace copse_test;
namespace io = copse::io;

namespace {

/// Notes how it is ended.
struct noting_stream {
    std::reference_wrapper<event_log> log;

    std::size_t recv(std::span<std::byte>) { return 0; }
    std::size_t recv_until(std::span<std::byte>, copse::clock::time_point) { return 0; }
    void send_all(std::span<const io::const_buffer>) {}
    void send_all_until(std::span<const io::const_buffer>, copse::clock::time_point) {}
    void shutdown(io::shut) { log("shutdown"); }
    void shutdown_until(io::shut, copse::clock::time_point) { log("shutdown_until"); }
    void close() { log("close"); }
    bool is_open() const noexcept { return true; }
};

TEST(IoHttpAheadStream, EndsWithinItsTime) {
    event_log log;
    io::any_stream stream(io::http::detail::ahead_stream("x", io::any_stream(noting_stream{log})));
    stream.shutdown_for(io::shut::write, 1s);
    stream.shutdown(io::shut::write);
    EXPECT_EQ(log.text(), "shutdown_until shutdown");
}

}  // namespace
