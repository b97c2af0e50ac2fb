// Raising into a greenlet that is suspended under a noexcept function is std::terminate, as for any exception. Rule 80.
// expect-signal: SIGABRT
// expect-stderr: terminate called
// expect-stdout: \Asuspended\n\Z

#include <copse/greenlet.hpp>

#include <cstdio>

int main() {
    copse::greenlet g([] {
        const auto quiet = []() noexcept { copse::greenlet::current().parent().switch_to(); };
        quiet();
    });
    g.switch_to();
    std::puts("suspended");
    std::fflush(stdout);
    g = copse::greenlet();
}
