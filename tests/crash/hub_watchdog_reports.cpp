// A fiber that blocks its thread is reported on stderr, while it does.
// expect-exit: 0
// tsan: skip
// expect-stderr: ^copse: watchdog: fiber #\d+ "blocker" has held the hub for \d+ ms, spawned at .*hub_watchdog_reports.cpp:\d+$
// expect-stderr: ^  at 0x[0-9a-f]+.*$
// expect-stdout: ^over$

#include <copse/fibers.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

int main() {
    const copse::watchdog guard({.limit = std::chrono::milliseconds(20)});
    const auto f =
        copse::spawn({.name = "blocker"}, [] { std::this_thread::sleep_for(std::chrono::milliseconds(500)); });
    f.join();
    std::puts("over");
}
