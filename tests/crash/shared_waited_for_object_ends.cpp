// A shared object that ends while a fiber waits for it is a fault of the program: it says who waits and aborts.
// expect-signal: SIGABRT
// expect-stderr: ^copse: a shared semaphore ended while <fiber #\d+ "waiter" .*> waits for it$

#include <copse/fibers.hpp>

#include <memory>

int main() {
    auto permits = std::make_unique<copse::shared::semaphore>(0);
    const auto waiter = copse::spawn({.name = "waiter"}, [&] { permits->acquire(); });
    copse::yield();
    permits.reset();
}
