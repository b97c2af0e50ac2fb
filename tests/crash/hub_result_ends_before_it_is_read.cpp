// A result that ends when it is set, but before the fiber that wants it has got it, is a fault of the program: it says who.
// expect-signal: SIGABRT
// expect-stderr: ^copse: a async_result ended while <fiber #\d+ "getter" .*> waits for it$

#include <copse/fibers.hpp>

#include <memory>

int main() {
    auto result = std::make_unique<copse::async_result<int>>();
    const auto getter = copse::spawn({.name = "getter"}, [&] { return result->get(); });
    copse::yield();
    result->set(1);
    result.reset();
}
