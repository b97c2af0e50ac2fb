// Greenlets of a thread that has ended, and of one that never does, are still held when the process ends. Rules 56, 74.
// expect-exit: 0
// expect-stdout: \Acleaned up\nmain returns\n\Z

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <unistd.h>

#include <cstdio>
#include <latch>
#include <thread>

namespace {
copse::greenlet of_ended;
copse::greenlet of_running;
}  // namespace

int main() {
    std::thread([] {
        of_ended = copse::greenlet([] {
            const copse_test::at_end last([] { std::puts("cleaned up"); });
            copse::greenlet::current().parent().switch_to();
        });
        of_ended.switch_to();
    }).join();
    static std::latch ready(1);
    std::thread([] {
        of_running = copse::greenlet([] {
            const copse_test::at_end last([] { std::puts("never"); });
            copse::greenlet::current().parent().switch_to();
        });
        of_running.switch_to();
        ready.count_down();
        for (;;) ::pause();
    }).detach();
    ready.wait();
    std::puts("main returns");
}
