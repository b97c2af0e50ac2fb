// Two fibers take two mutexes in different orders. When nothing can go on, main is told who waits for whom.
//
//     deadlock_report
#include <copse/fibers.hpp>

#include <iostream>
#include <mutex>

int main() {
    copse::mutex from, to;
    const auto transfer = [](copse::mutex& first, copse::mutex& second) {
        const std::lock_guard one(first);
        copse::yield();
        const std::lock_guard two(second);  // std::scoped_lock both(first, second) would be right
    };
    const auto a = copse::spawn({.name = "a to b"}, transfer, std::ref(from), std::ref(to));
    const auto b = copse::spawn({.name = "b to a"}, transfer, std::ref(to), std::ref(from));
    try {
        join_all(a, b);
    } catch (const copse::would_block_forever& e) {
        std::cout << e.what();
    }
    kill_all(a, b);
}
