// A kill cannot pass a noexcept function that parks without a shield: that is C++'s law. KL04.
// expect-signal: SIGABRT
// expect-stderr: terminate called after throwing an instance of .*exit

#include <copse/fibers.hpp>

#include <chrono>

int main() {
    const auto f = copse::spawn([]() noexcept { copse::sleep(std::chrono::hours(1)); });
    copse::yield();
    f.kill();
}
