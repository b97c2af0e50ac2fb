/// Arming a timer and cancelling it again while many others are outstanding. Nanoseconds.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <copse/fiber.hpp>
#include <copse/semaphore.hpp>
#include <copse/timeout.hpp>
#include <copse/virtual_time.hpp>

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

// ---- copse

/// Timeouts of the calling fiber that will not expire while this lives.
class outstanding_timeouts {
public:
    outstanding_timeouts() {
        for (std::size_t i = 0; i < outstanding; ++i) timeouts_.emplace_back(1h + std::chrono::microseconds(i));
        bench::require(copse::hub::current().stats().timers >= outstanding, "all timeouts are armed");
    }

private:
    std::deque<copse::timeout> timeouts_;
};

double copse_scope() {
    const outstanding_timeouts others;
    return bench::ns_per_op(operations, [] {
        for (std::size_t i = 0; i < operations; ++i) {
            const copse::timeout limit(5s);
            bench::keep(limit.serial());
        }
    });
}

/// Under virtual time reading the clock is reading a variable: what is left is the scope and the timer.
double copse_scope_without_clock() {
    const copse::virtual_time time;
    return copse_scope();
}

/// The timer alone, its scope standing.
double copse_start_and_cancel() {
    const copse::virtual_time time;
    const outstanding_timeouts others;
    copse::timeout limit(5s);
    return bench::ns_per_op(operations, [&] {
        for (std::size_t i = 0; i < operations; ++i) {
            limit.start();
            limit.cancel();
        }
    });
}

/// What a time limit adds to a wait that does not park.
double copse_timed_wait_at_once() {
    const outstanding_timeouts others;
    copse::semaphore free(1);
    std::size_t acquired = 0;
    const double each = bench::ns_per_op(operations, [&] {
        for (std::size_t i = 0; i < operations; ++i) {
            acquired += free.try_acquire_for(5s);
            free.release();
        }
    });
    bench::require(acquired > 0 && acquired % operations == 0, "every wait was satisfied");
    return each;
}

/// A round trip on two semaphores; `Acquire` says how to wait.
template <void (*Acquire)(copse::semaphore&)>
double copse_round_trip() {
    const outstanding_timeouts others;
    static copse::semaphore question(0), reply(0);
    copse::spawn([] {
        for (;;) {
            Acquire(question);
            reply.release();
        }
    });
    return bench::ns_per_op(operations, [] {
        for (std::size_t i = 0; i < operations; ++i) {
            question.release();
            Acquire(reply);
        }
    });
}

void wait_for_ever(copse::semaphore& s) { s.acquire(); }

void wait_5s(copse::semaphore& s) { bench::require(s.try_acquire_for(5s), "nothing timed out"); }

void report_parking(const bench::sink& out) {
    const double without = copse_round_trip<wait_for_ever>(), with = copse_round_trip<wait_5s>();
    out("copse: a time limit on a wait that parks adds", (with - without) / 2);
}

// ---- Asio

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
    suite.add("copse timeout scope: arm, cancel", copse_scope);
    suite.add("copse timeout scope: arm, cancel, clock not read", copse_scope_without_clock);
    suite.add("copse timeout start + cancel, clock not read", copse_start_and_cancel);
    suite.add("copse semaphore, timed, not parking", copse_timed_wait_at_once);
    suite.add_all("copse timed wait that parks", report_parking);
    suite.add("Asio steady_timer: arm, cancel, run the handler", asio_arm_and_cancel);
    return suite.run();
}
