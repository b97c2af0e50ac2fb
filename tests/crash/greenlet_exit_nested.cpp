// Greenlets that started each other, 200 deep, all suspended at the end of the process. Rule 74.
// expect-exit: 0
// expect-stdout: \Amain returns\n200 cleaned up\n\Z

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <cstdio>

namespace {

constexpr int depth = 200;
copse::greenlet outermost;
copse::greenlet main_greenlet;
int cleaned_up = 0;

void descend(int level) {
    const copse_test::at_end last([] {
        if (++cleaned_up == depth) std::printf("%d cleaned up\n", cleaned_up);
    });
    if (level == depth) {
        main_greenlet.switch_to();
    } else {
        copse::greenlet([level] { descend(level + 1); }).switch_to();
    }
}

}  // namespace

int main() {
    main_greenlet = copse::greenlet::current();
    outermost = copse::greenlet([] { descend(1); });
    outermost.switch_to();
    std::puts("main returns");
}
