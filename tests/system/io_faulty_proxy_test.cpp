// Through a proxy that treats connections badly: the same bytes, or a clear end, in bounded time. Time is virtual.

#include "io_faulty_proxy.hpp"
#include "io_leak_check.hpp"

#include <copse/virtual_time.hpp>

#include <gtest/gtest.h>

namespace io = copse::io;
using copse_test::fault;
using copse_test::faulty_proxy;
using namespace std::chrono_literals;

namespace {

enum class ending { same_bytes, other_bytes, timed_out, cut_off };

struct expectation {
    fault what;
    ending end;
};

class IoFaultyProxy : public copse_test::io_leak_check, public testing::WithParamInterface<expectation> {};

constexpr auto patience = 30s;

/// Sends everything, receives everything.
ending echo_through(const io::endpoint& there, const std::string& sent) {
    try {
        io::socket client = io::connect_for(there, patience);
        client.set_timeout(patience);
        const copse::scoped_fiber<void> writer(copse::spawn([&] {
            client.send_all(sent);
            client.shutdown(io::shut::write);
        }));
        std::string back(sent.size(), '\0');
        const std::size_t n = client.recv_exactly(std::as_writable_bytes(std::span(back)));
        if (n == 0) return ending::cut_off;
        writer->get();
        return back == sent ? ending::same_bytes : ending::other_bytes;
    } catch (const io::timed_out&) {
        return ending::timed_out;
    } catch (const std::system_error& e) {
        EXPECT_TRUE(e.code() == std::errc::connection_reset || e.code() == std::errc::broken_pipe ||
                    e.code() == std::errc::connection_aborted)
            << e.what();
        return ending::cut_off;
    }
}

TEST_P(IoFaultyProxy, Fault_NT22_AnEchoEndsAsItMust) {
    const copse::virtual_time time;
    io::stream_server server("127.0.0.1:0", [](io::socket s) {
        try {
            while (const auto chunk = s.recv_pooled_for(patience)) s.send_all_for(chunk.bytes(), patience);
        } catch (const std::system_error&) {
            // What the proxy does to us is its business.
        }
    });
    server.start();
    {
        faulty_proxy proxy(server.local_endpoint(), {.what = GetParam().what});
        const auto begun = copse::clock::now();
        EXPECT_EQ(echo_through(proxy.address(), copse_test::pattern(20'000)), GetParam().end);
        EXPECT_LE(copse::clock::now() - begun, patience + 5s);
    }
    server.stop_for(1s);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, IoFaultyProxy,
    testing::Values(expectation{fault::none, ending::same_bytes}, expectation{fault::no_accept, ending::timed_out},
                    expectation{fault::no_read, ending::timed_out}, expectation{fault::no_answer, ending::cut_off},
                    expectation{fault::close_at_once, ending::cut_off},
                    expectation{fault::close_on_data, ending::cut_off},
                    expectation{fault::corrupt, ending::other_bytes}, expectation{fault::delay, ending::same_bytes},
                    expectation{fault::bandwidth, ending::same_bytes}, expectation{fault::close_after, ending::cut_off},
                    expectation{fault::slicing, ending::same_bytes}),
    [](const auto& each) { return std::string(copse_test::name_of(each.param.what)); });

}  // namespace
