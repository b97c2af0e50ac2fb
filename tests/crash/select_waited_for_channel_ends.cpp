// A channel that ends while a select waits for it is a fault of the program: it says who waits and aborts.
// expect-signal: SIGABRT
// expect-stderr: ^copse: a channel ended while <fiber #\d+ "chooser" .*> waits for it$

#include <copse/fibers.hpp>

#include <memory>

int main() {
    auto numbers = std::make_unique<copse::channel<int>>();
    copse::queue<int> others(1);
    const auto chooser = copse::spawn(
        {.name = "chooser"}, [&] { copse::select(copse::on_get(others, [](int) {}), copse::on_put(*numbers, 1)); });
    copse::yield();
    numbers.reset();
}
