// Every allocation of a spawn and of a wait is refused in turn: the call throws std::bad_alloc, nothing is left of it, and the
// hub goes on. P20.
// expect-exit: 0
// expect-stdout: ^spawn: [1-9]\d* refused, nothing left$
// expect-stdout: ^spawn_after: [1-9]\d* refused, nothing left$
// expect-stdout: ^put: \d+ refused, nothing left$

#include <copse/debug.hpp>
#include <copse/fibers.hpp>

#include "refused_allocation.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

bool armed = false;
int left = 0;  // allocations that are granted while armed

// Calls `f` with the first, the second, … allocation refused, until it succeeds.
template <class F>
void refuse_each(const char* what, F f) {
    int refused = 0;
    const copse::hub& hub = copse::hub::current();
    for (int granted = 0;; ++granted) {
        const auto greenlets = copse::debug::live_greenlets();
        const auto stats = hub.stats();
        left = granted;
        armed = true;
        try {
            f();
            armed = false;
            break;
        } catch (const std::bad_alloc&) {
            armed = false;
            ++refused;
        }
        if (copse::debug::live_greenlets() != greenlets || hub.stats().fibers != stats.fibers ||
            hub.stats().ready != stats.ready || hub.stats().timers != stats.timers) {
            std::printf("%s: something is left when allocation %d is refused\n", what, granted);
            std::exit(1);
        }
    }
    std::printf("%s: %d refused, nothing left\n", what, refused);
}

struct large {
    char bytes[4096] = {};
};

}  // namespace

bool copse_test::is_refused() { return armed && left-- == 0; }

int main() {
    const auto victim = copse::spawn([] { copse::sleep(1ms); });
    copse::yield();
    std::vector<copse::fiber<void>> all;
    all.reserve(16);
    const std::string name(200, 'n');
    refuse_each("spawn", [&] {
        all.push_back(copse::spawn(
            {.name = name}, [](const large&) {}, large()));
    });
    refuse_each("spawn_after", [&] {
        all.push_back(copse::spawn_after(
            1ms, [](const large&) {}, large()));
    });
    copse::queue<large> items(1000);
    refuse_each("put", [&] { items.put(large()); });
    victim.join();
    for (const auto& f : all) f.join();
    return copse::hub::current().stats().fibers == 0 ? 0 : 2;
}
