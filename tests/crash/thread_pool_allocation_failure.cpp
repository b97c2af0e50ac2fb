// A pool's threads have no memory at all: each call is made all the same, and its fiber hears of it. Then every allocation of
// the caller is refused in turn: the call throws std::bad_alloc, nothing is left of it, and the next one is made. P20.
// expect-exit: 0
// expect-stdout: ^100 calls came back$
// expect-stdout: ^apply: [1-9]\d* refused, nothing left$

#include <copse/fibers.hpp>

#include "refused_allocation.hpp"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

namespace {

std::atomic<bool> others_have_none{false};
thread_local bool is_main = false;

bool armed = false;  // main's
int left = 0;        // allocations of main's that are granted while armed

void many_calls() {
    copse::thread_pool pool({.threads = 3});
    std::vector<copse::fiber<int>> calls;
    calls.reserve(100);
    others_have_none = true;
    for (int i = 0; i < 100; ++i) calls.push_back(pool.spawn([](int n) { return n; }, 1));
    int came_back = 0;
    for (const auto& call : calls) came_back += call.get();
    others_have_none = false;
    std::printf("%d calls came back\n", came_back);
}

// Calls with the first, the second, … allocation refused, until one is made.
void each_refused() {
    int refused = 0;
    for (int granted = 0;; ++granted) {
        copse::thread_pool pool({.threads = 1, .queue_limit = 0});  // a place that is lost is missed
        left = granted;
        armed = true;
        try {
            pool.apply([](const std::array<char, 4096>&) {}, std::array<char, 4096>());
            armed = false;
            break;
        } catch (const std::bad_alloc&) {
            armed = false;
            ++refused;
        }
        if (pool.queued() != 0 || pool.apply([] { return 7; }) != 7) std::exit(1);
    }
    std::printf("apply: %d refused, nothing left\n", refused);
}

}  // namespace

bool copse_test::is_refused() { return is_main ? armed && left-- == 0 : others_have_none.load(); }

int main() {
    is_main = true;
    many_calls();
    each_refused();
    return copse::hub::current().stats().fibers == 0 ? 0 : 2;
}
