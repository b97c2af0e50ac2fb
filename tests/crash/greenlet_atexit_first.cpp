// An exit handler that was registered before the library was first used still can use it. Rule 75.
// expect-exit: 0
// expect-stdout: \Amain returns\ncleaned up\nhandler: main 7\n\Z

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <cstdio>
#include <cstdlib>

using copse::greenlet;

namespace {

greenlet kept;

void handler() {
    const char* who = greenlet::current().is_main() ? "main" : "?";
    std::printf("handler: %s %d\n", who, greenlet([](int n) { return n; }).switch_to(7).as<int>());
}

}  // namespace

int main() {
    std::atexit(handler);
    kept = greenlet([] {
        const copse_test::at_end last([] { std::puts("cleaned up"); });
        greenlet::current().parent().switch_to();
    });
    kept.switch_to();
    std::puts("main returns");
}
