// A once_flag that ends while fibers that waited for the call have not run yet: they will look at it.
// expect-signal: SIGABRT
// expect-stderr: ^copse: a once_flag ended while a fiber watches it, or has not run since it was let go on$

#include <copse/fibers.hpp>

#include <memory>

int main() {
    auto flag = std::make_unique<copse::once_flag>();
    const auto first = copse::spawn([&] {
        copse::call_once(*flag, [] { copse::yield(); });
        flag.reset();
    });
    const auto second = copse::spawn([&] { copse::call_once(*flag, [] {}); });
    copse::join_all(first, second);
}
