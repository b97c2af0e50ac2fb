// A stranger uses room 1: both levels, with nothing but public names.

#include <copse/fibers.hpp>
#include <copse/greenlet.hpp>
#include <copse/version.hpp>

#include <chrono>
#include <cstdio>
#include <string>

static_assert(COPSE_VERSION == copse::version_major * 10000 + copse::version_minor * 100 + copse::version_patch);

int main() {
    std::string order;
    copse::greenlet first, second;
    first = copse::greenlet([&] {
        order += '1';
        second.switch_to();
        order += '3';
    });
    second = copse::greenlet([&] {
        order += '2';
        first.switch_to();
    });
    first.switch_to();

    auto fiber = copse::spawn(
        [](int x) {
            copse::sleep(std::chrono::milliseconds(1));
            return x + 1;
        },
        41);
    const bool good = order == "123" && fiber.get() == 42;
    std::printf("use_fibers: copse %s %s\n", std::string(copse::version_string).c_str(), good ? "works" : "FAILS");
    return good ? 0 : 1;
}
