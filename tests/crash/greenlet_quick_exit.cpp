// quick_exit inside a greenlet ends the process at once: nothing is unwound. KL19.
// expect-exit: 4
// expect-stdout: \Aquick\n\Z

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

int main() {
    std::at_quick_exit([] {
        std::puts("quick");
        std::fflush(stdout);
    });
    copse::greenlet([] {
        const copse_test::at_end last([] { std::puts("unwound"); });
        std::quick_exit(4);
    }).switch_to();
}
