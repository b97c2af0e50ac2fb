/// What a parked fiber holds: resident bytes and page tables, each kind in a process of its own.

#ifdef COPSE_HAVE_BOOST_FIBER
#include <boost/fiber/all.hpp>
#endif

#include <copse/fiber.hpp>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "bench.hpp"
#include "limit.hpp"

namespace {

struct footprint {
    double resident = 0;
    double tables = 0;
};

footprint now() {
    footprint f;
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) f.resident = std::stod(line.substr(6)) * 1024;
        if (line.starts_with("VmPTE:")) f.tables = std::stod(line.substr(6)) * 1024;
    }
    return f;
}

void report(const bench::sink& out, const std::string& name, std::size_t fibers, void (*park_all)(std::size_t)) {
    const footprint before = now();
    const double spent = bench::elapsed_ns([&] { park_all(fibers); });
    const footprint after = now();
    const auto each = [&](double bytes) { return bytes / static_cast<double>(fibers); };
    out(name + ": in all", each(after.resident + after.tables - before.resident - before.tables), "B");
    out(name + ": resident", each(after.resident - before.resident), "B");
    out(name + ": page tables", each(after.tables - before.tables), "B");
    out(name + ": time", each(spent), "ns");
}

void add(bench::suite& suite, const std::string& what, std::size_t fibers, void (*park_all)(std::size_t)) {
    const std::string name = what + ", " + std::to_string(fibers);
    suite.add_all(name, [=](const bench::sink& out) { report(out, name, fibers, park_all); });
}

/// The floor: one touched page in a 64 KiB slot with a guard.
void touch_slots(std::size_t count) {
    static limit::stack_pool pool;
    for (std::size_t i = 0; i < count; ++i) static_cast<volatile char*>(pool.acquire())[-1] = 1;
}

std::size_t parked = 0;

void copse_park_all(std::size_t fibers, const copse::spawn_options& with) {
    const auto park = [] {
        ++parked;
        copse::sleep(std::chrono::hours(24));
    };
    for (std::size_t i = 0; i < fibers; ++i) copse::spawn(with, park);
    copse::yield();
    bench::require(parked == fibers, "all are parked");
}

void copse_park_all_default(std::size_t fibers) { copse_park_all(fibers, {}); }

/// With the guard zone that such a stack gets, a slot of 64 KiB.
void copse_park_all_small(std::size_t fibers) { copse_park_all(fibers, {.stack_size = 48 * 1024}); }

void limit_park_all(std::size_t fibers) {
    const auto park = [](void*) {
        ++parked;
        limit::semaphore(0).acquire();
    };
    for (std::size_t i = 0; i < fibers; ++i) limit::spawn(park, nullptr, true);
    limit::yield();
    bench::require(parked == fibers, "all are parked");
}

#ifdef COPSE_HAVE_BOOST_FIBER
void boost_suspend_all(std::size_t fibers, void (*body)()) {
    boost::fibers::fixedsize_stack stacks(64 * 1024);
    for (std::size_t i = 0; i < fibers; ++i) boost::fibers::fiber(std::allocator_arg, stacks, body).detach();
    boost::this_fiber::yield();
    bench::require(parked == fibers, "all are suspended");
}

/// The shallowest way to be suspended.
void boost_yield_all(std::size_t fibers) {
    boost_suspend_all(fibers, [] {
        ++parked;
        for (;;) boost::this_fiber::yield();
    });
}

void boost_wait_all(std::size_t fibers) {
    static boost::fibers::mutex mutex;
    static boost::fibers::condition_variable never;
    boost_suspend_all(fibers, [] {
        std::unique_lock lock(mutex);
        ++parked;
        never.wait(lock);
    });
}
#endif

}  // namespace

int main(int argc, char** argv) {
    bench::suite suite("memory of a parked fiber", argc, argv);
    const std::size_t most = bench::settings().quick ? 200'000 : 1'000'000;
    add(suite, "one touched page in a guarded 64 KiB slot", 100'000, touch_slots);
    add(suite, "copse fiber, default stack", 100'000, copse_park_all_default);
    add(suite, "copse fiber, 48 KiB + 16 KiB guard", 100'000, copse_park_all_small);
    add(suite, "copse fiber, 48 KiB + 16 KiB guard", most, copse_park_all_small);
    add(suite, "limit fiber, 64 KiB slot", 100'000, limit_park_all);
    add(suite, "limit fiber, 64 KiB slot", most, limit_park_all);
#ifdef COPSE_HAVE_BOOST_FIBER
    add(suite, "Boost.Fiber fixedsize 64 KiB, in yield", 100'000, boost_yield_all);
    add(suite, "Boost.Fiber fixedsize 64 KiB, in a condition wait", 100'000, boost_wait_all);
#endif
    return suite.run(1);
}
