// A generator that ends while a fiber waits for its next item is a fault of the program: it says who waits and aborts.
// expect-signal: SIGABRT
// expect-stderr: ^copse: a generator ended while <fiber #\d+ "consumer" .*> waits for its next item$

#include <copse/fibers.hpp>

#include <chrono>
#include <memory>

int main() {
    auto numbers = std::make_unique<copse::generator<int>>([](auto yield) {
        copse::sleep(std::chrono::hours(1));
        yield(1);
    });
    const auto consumer = copse::spawn({.name = "consumer"}, [&] { numbers->next(); });
    copse::yield();
    numbers.reset();
}
