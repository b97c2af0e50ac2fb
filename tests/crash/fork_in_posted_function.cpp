// A posted function forks: the child does what it has left to do, and ends.
// expect-exit: 0
// expect-stdout: \Achild\nspawned by the child\nparent: 0\n\Z
// tsan: skip
// In the child of a process with several threads, and fibers count as such, it ignores what synchronises.

#include <copse/fibers.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

using namespace std::chrono_literals;

int main() {
    copse::hub::current().post([] {
        const pid_t child = ::fork();
        if (child == 0) {
            std::puts("child");
            copse::spawn([] {
                copse::sleep(1ms);
                std::puts("spawned by the child");
            });
            return;
        }
        int status = -1;
        ::waitpid(child, &status, 0);
        std::printf("parent: %d\n", status);
    });
    copse::sleep(10ms);
}
