// A deadlock that main does not catch ends the program with the list of who waits for what. SC01.
// expect-signal: SIGABRT
// expect-stderr: would_block_forever
// expect-stderr: "reader" parked in queue get 0x[0-9a-f]+
// expect-stderr: hub_deadlock_uncaught.cpp:\d+

#include <copse/fibers.hpp>

int main() {
    copse::queue<int> numbers(1);
    const auto reader = copse::spawn({.name = "reader"}, [&] { return numbers.get(); });
    reader.join();
}
