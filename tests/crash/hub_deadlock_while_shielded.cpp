// main cannot be told of a deadlock while it is shielded: the same text is printed, and the program aborts. Decision 6.
// expect-signal: SIGABRT
// expect-stderr: would block forever
// expect-stderr: "parked" parked in event 0x[0-9a-f]+ for \d+ ms, spawned at \S+hub_deadlock_while_shielded.cpp:\d+
// expect-stderr: ^copse: main cannot be told

#include <copse/fibers.hpp>

int main() {
    copse::event never_set;
    const auto parked = copse::spawn({.name = "parked"}, [&] { never_set.wait(); });
    const copse::shield s;
    parked.join();
}
