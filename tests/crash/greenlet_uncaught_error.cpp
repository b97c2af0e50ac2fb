// The text of what nobody catches is printed, and a sibling that made the switch had no part in it. Rules 21, 77.
// expect-signal: SIGABRT
// expect-stdout: \Abefore\n\Z
// expect-stderr: what\(\):\s+thrown in second

#include <copse/greenlet.hpp>

#include <cstdio>
#include <stdexcept>

int main() {
    std::puts("before");
    std::fflush(stdout);
    copse::greenlet second([] { throw std::runtime_error("thrown in second"); });
    copse::greenlet first([&] {
        try {
            second.switch_to();
        } catch (const std::exception&) {
            std::puts("wrongly caught");
            std::fflush(stdout);
        }
    });
    first.switch_to();
}
