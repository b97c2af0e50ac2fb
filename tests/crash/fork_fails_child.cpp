// The fiber that forked fails: the child says so and ends with a failure.
// expect-exit: 0
// expect-stdout: \Aparent: 1\n\Z
// expect-stderr: unhandled exception in <fiber .*>: no luck
// tsan: skip
// In the child of a process with several threads, and fibers count as such, it ignores what synchronises.

#include <copse/fibers.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>

int main() {
    copse::spawn([] {
        const pid_t child = ::fork();
        if (child == 0) throw std::runtime_error("no luck");
        int status = -1;
        ::waitpid(child, &status, 0);
        std::printf("parent: %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }).get();
}
