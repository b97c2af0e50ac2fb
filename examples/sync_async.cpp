// Ten tasks, each of which waits: first one after the other, then side by side.
//
//     sync_async [milliseconds a task takes, 500 unless given]
#include <copse/fibers.hpp>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr int tasks = 10;

// [both]
void task(std::chrono::milliseconds length) { copse::sleep(length); }

void synchronous(std::chrono::milliseconds length) {
    for (int i = 0; i < tasks; ++i) task(length);
}

void asynchronous(std::chrono::milliseconds length) {
    std::vector<copse::fiber<void>> fibers;
    for (int i = 0; i < tasks; ++i) fibers.push_back(copse::spawn(task, length));
    copse::join_all(fibers);
}
// [/both]

double seconds_of(void (*run)(std::chrono::milliseconds), std::chrono::milliseconds length) {
    const auto began = copse::clock::now();
    run(length);
    return std::chrono::duration<double>(copse::clock::now() - began).count();
}

int usage() {
    std::fputs("usage: sync_async [milliseconds a task takes]\n", stderr);
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    int milliseconds = 500;
    if (argc > 2) return usage();
    if (argc == 2) {
        const char* end = argv[1] + std::strlen(argv[1]);
        const auto [stop, error] = std::from_chars(argv[1], end, milliseconds);
        if (error != std::errc() || stop != end || milliseconds < 1) return usage();
    }
    const std::chrono::milliseconds length(milliseconds);
    std::printf("%d tasks of %.2f s each\n", tasks, milliseconds / 1000.0);
    const double one_by_one = seconds_of(&synchronous, length);
    std::printf("one after the other: %.2f s\n", one_by_one);
    const double together = seconds_of(&asynchronous, length);
    std::printf("side by side:        %.2f s\n", together);
    return together < one_by_one ? 0 : 1;
}
