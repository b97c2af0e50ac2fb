// Everything works in an exit handler that was registered after the library was first used, whatever was left. Rule 75.
// expect-exit: 0
// expect-stdout: \Amain returns\ncleaned up\ncleaned up\nhandler: main current, no trace, traced 2, made 42, old one dead\n\Z

#include <copse/greenlet.hpp>
#include <copse/trace.hpp>

#include "at_end.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <latch>
#include <thread>

using copse::greenlet;

namespace {

greenlet kept;
greenlet foreign;
int traced = 0;

greenlet suspended() {
    greenlet g([] {
        const copse_test::at_end last([] { std::puts("cleaned up"); });
        greenlet::current().parent().switch_to();
    });
    g.switch_to();
    return g;
}

void handler() {
    std::printf("handler: %s current, ", greenlet::current().is_main() ? "main" : "?");
    std::printf("%s, ", copse::current_trace() ? "a trace" : "no trace");
    copse::set_trace([](copse::trace_event, const greenlet&, const greenlet&) { ++traced; });
    greenlet([] {}).switch_to();
    copse::set_trace({});
    std::printf("traced %d, ", traced);
    greenlet made([](int n) { return greenlet::current().parent().switch_to(n + 1).as<int>() * 2; });
    const int n = made.switch_to(20).as<int>();
    std::printf("made %d, ", made.switch_to(n).as<int>());
    const greenlet left = suspended();
    std::printf("old one %s\n", kept.dead() ? "dead" : "alive");
    std::fflush(stdout);
    ::_exit(std::ferror(stdout));
}

}  // namespace

int main() {
    kept = suspended();
    std::atexit(handler);

    // one of mine is dropped by another thread, and one of a thread that never ends is dropped here
    static std::latch ready(1);
    greenlet mine = suspended();
    std::thread([mine = std::move(mine)]() mutable {
        mine = greenlet();
        foreign = greenlet([] { greenlet::current().parent().switch_to(); });
        foreign.switch_to();
        ready.count_down();
        for (;;) ::pause();
    }).detach();
    ready.wait();
    foreign = greenlet();
    std::puts("main returns");
}
