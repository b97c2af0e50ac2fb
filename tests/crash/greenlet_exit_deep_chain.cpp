// The last of 100,000 unstarted greenlets, each the parent of the next, is held by a static. Rules 74, 88.
// expect-exit: 0
// expect-stdout: \Amain returns\n\Z

#include <copse/greenlet.hpp>

#include <cstdio>

namespace {
copse::greenlet last;
}  // namespace

int main() {
    last = copse::greenlet([] {});
    for (int i = 0; i < 100'000; ++i) last = copse::greenlet([] {}, last);
    std::puts("main returns");
}
