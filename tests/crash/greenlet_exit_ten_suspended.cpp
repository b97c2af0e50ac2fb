// Ten suspended greenlets at the end of the process are ended newest first. Rules 74, 87.
// expect-exit: 0
// expect-stdout: \Amain returns\n9 8 7 6 5 4 3 2 1 0 \Z

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <cstdio>
#include <vector>

namespace {
std::vector<copse::greenlet> kept;
}  // namespace

int main() {
    for (int i = 0; i < 10; ++i) {
        kept.emplace_back([i] {
            const copse_test::at_end last([i] { std::printf("%d ", i); });
            copse::greenlet::current().parent().switch_to();
        });
        kept.back().switch_to();
    }
    std::puts("main returns");
}
