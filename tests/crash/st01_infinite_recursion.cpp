// Recursion without end in a greenlet dies of its guard zone, with its name, and by the signal itself.
// expect-signal: SIGSEGV
// expect-stderr: ^copse: stack overflow in greenlet 'deep' \(#\d+\), stack 262144 bytes, high-water \d{6} bytes(, spawned at \S+:\d+)?$

#include <copse/greenlet.hpp>

namespace {

volatile bool deeper = true;  // opaque: compilers refuse a recursion that they can see has no end

[[gnu::noinline]] int descend(int depth) {
    volatile char frame[200];
    frame[0] = static_cast<char>(depth);
    if (deeper) frame[1] = static_cast<char>(descend(depth + 1));
    return frame[0] + frame[1];
}

}  // namespace

int main() {
    copse::greenlet g(copse::greenlet::options{.name = "deep"}, [] { descend(0); });
    g.switch_to();
}
