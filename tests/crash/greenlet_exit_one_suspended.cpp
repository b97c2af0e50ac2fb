// A greenlet that is suspended when the process ends is ended with its thread, not forgotten and not a crash. Rule 74.
// expect-exit: 0
// expect-stdout: \Amain returns\ncleaned up\n\Z

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <cstdio>

namespace {
copse::greenlet kept;
}  // namespace

int main() {
    kept = copse::greenlet([] {
        const copse_test::at_end last([] { std::puts("cleaned up"); });
        copse::greenlet::current().parent().switch_to();
    });
    kept.switch_to();
    std::puts("main returns");
}
