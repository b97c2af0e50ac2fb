/// Arming a timer and cancelling it again while many others are outstanding. Nanoseconds.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <deque>

#include "bench.hpp"

namespace {

using namespace std::chrono_literals;

constexpr std::size_t outstanding = 100'000;
constexpr std::size_t operations = 20'000;

double clock_read() {
    return bench::ns_per_op(operations, [] {
        for (std::size_t i = 0; i < operations; ++i) bench::keep(std::chrono::steady_clock::now());
    });
}

/// The cancelled handlers run too: until then Asio has not taken the operation back.
double asio_arm_and_cancel() {
    boost::asio::io_context context;
    std::deque<boost::asio::steady_timer> waiting;
    for (std::size_t i = 0; i < outstanding; ++i) {
        waiting.emplace_back(context, 1h + std::chrono::microseconds(i));
        waiting.back().async_wait([](const auto&) {});
    }
    boost::asio::steady_timer timer(context);
    std::size_t cancelled = 0;
    const double each = bench::ns_per_op(operations, [&] {
        for (std::size_t i = 0; i < operations; ++i) {
            timer.expires_after(5s);
            timer.async_wait([&](const auto& error) { cancelled += error == boost::asio::error::operation_aborted; });
            timer.cancel();
            context.poll_one();
        }
    });
    bench::require(cancelled > 0 && cancelled % operations == 0, "every wait was cancelled");
    return each;
}

}  // namespace

int main(int argc, char** argv) {
    bench::suite suite("timers, 100 000 outstanding an hour ahead", argc, argv);
    suite.add("clock read", clock_read);
    suite.add("Asio steady_timer: arm, cancel, run the handler", asio_arm_and_cancel);
    return suite.run();
}
