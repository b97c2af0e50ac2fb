// Calls that block go to other threads: the fiber that makes one waits, and the others run on. Here five calls that take a fifth of a
// second each share five threads, while the program's own thread goes on counting.

#include <copse/fibers.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

// Stands for a database client, a name lookup, a file on a slow disk: it knows nothing of fibers.
std::string ask_slowly(int question) {
    std::this_thread::sleep_for(200ms);
    return "answer " + std::to_string(question);
}

int main() {
    const auto start = std::chrono::steady_clock::now();

    copse::thread_pool helpers({.threads = 5});
    std::vector<copse::fiber<std::string>> asked;
    for (int i = 1; i <= 5; ++i) asked.push_back(helpers.spawn(ask_slowly, i));

    int ticks = 0;
    const auto ticking = copse::spawn([&ticks] {
        for (;;) {
            copse::sleep(10ms);
            ++ticks;
        }
    });
    for (const auto& a : asked) std::cout << a.get() << '\n';
    ticking.kill();

    const auto took = std::chrono::steady_clock::now() - start;
    std::cout << (took < 900ms ? "side by side" : "one after the other") << '\n';
    std::cout << (ticks > 3 ? "the thread was free meanwhile" : "the thread was blocked") << '\n';

    // One call, on threads that all of the program shares.
    std::cout << copse::blocking(ask_slowly, 6) << '\n';
}
