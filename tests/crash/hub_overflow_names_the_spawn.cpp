// A fiber that overflows its stack is named with the place where it was spawned. ST01.
// expect-signal: SIGSEGV
// expect-stderr: ^copse: stack overflow in (fiber|greenlet) 'deep' \(#\d+\).*, spawned at \S*hub_overflow_names_the_spawn.cpp:\d+$

#include <copse/fibers.hpp>

namespace {

[[gnu::noinline]] int descend(volatile int* above, int levels) {
    volatile int frame[64] = {*above};
    return levels == 0 ? 0 : descend(frame, levels - 1) + frame[1];
}

}  // namespace

int main() {
    volatile int start = 0;
    const auto f = copse::spawn({.name = "deep", .stack_size = 64 * 1024}, [&] { return descend(&start, 1'000'000); });
    return f.get();
}
