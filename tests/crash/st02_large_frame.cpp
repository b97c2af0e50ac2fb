// One frame of 200 kB, larger than the stack and its guard zone together, cannot step over the zone: it is probed page by page.
// expect-signal: SIGSEGV
// expect-stderr: ^copse: stack overflow in greenlet 'wide' \(#\d+\), stack 65536 bytes, high-water \d+ bytes(, spawned at \S+:\d+)?$

#include <copse/greenlet.hpp>

#include <cstddef>

namespace {

[[gnu::noinline]] int sum_of_large_frame() {
    volatile char frame[200'000];
    for (std::size_t i = 0; i < sizeof frame; i += 1000) frame[i] = 1;
    return frame[0] + frame[199'000];
}

}  // namespace

int main() {
    copse::greenlet g(copse::greenlet::options{.name = "wide", .stack_size = 64 * 1024}, [] { sum_of_large_frame(); });
    g.switch_to();
}
