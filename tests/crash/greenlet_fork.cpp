// A forked child goes on with the greenlets of the thread that forked; the parent's are its own. Rule 73.
// expect-exit: 0
// expect-stdout: \Achild: 1 exit\nparent: 2 exit\n\Z
// tsan: skip
// In the child of a process with several threads, and fibers count as such, it ignores what synchronises.

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

using copse::greenlet;

int main() {
    greenlet g([] {
        const copse_test::at_end last([] { std::puts("exit"); });
        for (;;) std::printf("%d ", greenlet::current().parent().switch_to().as<int>());
    });
    g.switch_to();
    const pid_t child = ::fork();
    if (child != 0) {
        int status = 0;
        ::waitpid(child, &status, 0);
        if (status != 0) return 1;
    }
    std::printf("%s: ", child == 0 ? "child" : "parent");
    g.switch_to(child == 0 ? 1 : 2);
    g = greenlet();
    std::fflush(stdout);
}
