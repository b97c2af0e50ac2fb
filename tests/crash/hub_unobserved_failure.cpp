// A failure that nobody observes is printed; the program goes on. P8.
// expect-exit: 0
// expect-stderr: ^copse: unhandled exception in <fiber #\d+ "unobserved" .*>: boom$
// expect-stdout: ^went on$

#include <copse/fibers.hpp>

#include <cstdio>
#include <stdexcept>

int main() {
    copse::spawn({.name = "unobserved"}, [] { throw std::runtime_error("boom"); });
    copse::yield();
    std::puts("went on");
}
