// Fork in a program with fibers: the child keeps the one that forked. The others go on in the parent, and there alone; what they
// wait for and hold is not touched by the child.
//
//     fork_a_child
#include <copse/fibers.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

using namespace std::chrono_literals;

int main() {
    copse::event go;
    auto ticking = copse::spawn([&go] {
        go.wait();
        for (int i = 1; i <= 3; ++i) {
            copse::sleep(10ms);
            std::printf("parent: tick %d\n", i);
        }
        return 3;
    });

    // [fork]
    auto forker = copse::spawn([&ticking] {
        std::fflush(stdout);  // what is in the buffer would be printed by both
        const pid_t child = ::fork();
        if (child == 0) {
            copse::spawn([] { std::puts("child: a fiber of its own"); }).join();
            try {
                ticking.get();
            } catch (const copse::left_in_parent& e) {
                std::puts("child: the ticking fiber is the parent's");
            }
            return 0;  // the end of the fiber that forked is the end of the child, like a return from main
        }
        int status = 0;
        copse::blocking(::waitpid, child, &status, 0);  // a thread waits, the hub does not
        return WEXITSTATUS(status);
    });
    // [/fork]

    std::printf("parent: the child ended with %d\n", forker.get());
    go.set();
    std::printf("parent: %d ticks\n", ticking.get());
}
