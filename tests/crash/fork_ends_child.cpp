// The fiber that forked ends: so does the child, with what that has spawned, and nothing of the parent's runs or unwinds there.
// expect-exit: 0
// expect-stdout: \Achild\nchild's fiber cleans up\nchild exits\nparent: 0\nparked cleans up\nparent exits\n\Z
// tsan: skip
// In the child of a process with several threads, and fibers count as such, it ignores what synchronises.

#include <copse/fibers.hpp>

#include "at_end.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

using namespace std::chrono_literals;

namespace {

const char* who = "parent";

}  // namespace

int main() {
    std::atexit([] { std::printf("%s exits\n", who); });
    copse::event never;
    auto parked = copse::spawn([&] {
        const copse_test::at_end last([] { std::puts("parked cleans up"); });
        never.wait();
    });
    copse::yield();
    auto forker = copse::spawn([] {
        std::fflush(stdout);
        const pid_t child = ::fork();
        if (child != 0) {
            int status = -1;
            ::waitpid(child, &status, 0);
            std::printf("parent: %d\n", status);
            return;
        }
        who = "child";
        std::puts("child");
        copse::spawn([] {
            const copse_test::at_end last([] { std::puts("child's fiber cleans up"); });
            copse::sleep(1h);
        });
        copse::yield();
    });
    forker.join();
    parked.kill();
}
