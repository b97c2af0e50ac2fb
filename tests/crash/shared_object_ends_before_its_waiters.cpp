// A shared event that ends while a fiber that waited for it has not run yet: it will look at it.
// expect-signal: SIGABRT
// expect-stderr: ^copse: a shared event ended while a fiber watches it, or has not run since it was let go on$

#include <copse/fibers.hpp>

#include <memory>
#include <thread>

int main() {
    auto done = std::make_unique<copse::shared::event>();
    const auto waiter = copse::spawn([&] { done->wait(); });
    copse::yield();
    std::thread([&] { done->set(); }).join();
    done.reset();
}
