// exit() in a fiber keeps its code; the parked fibers are left as they are. KL17.
// expect-exit: 7
// expect-stdout: ^static destructor$

#include <copse/fibers.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

struct last_words {
    ~last_words() { std::puts("static destructor"); }
} at_exit;

}  // namespace

int main() {
    const auto parked = copse::spawn([] { copse::sleep(std::chrono::hours(1)); });
    const auto ends = copse::spawn([] { std::exit(7); });
    parked.join();
}
