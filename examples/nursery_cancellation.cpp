// Three fibers belong together. One fails; the others are ended, clean up, and only then does the scope go on, with the failure.
// A deadline around such a scope works the same way: nobody is left behind.
//
//     nursery_cancellation
#include <copse/fibers.hpp>
#include <copse/virtual_time.hpp>

#include <iostream>
#include <stdexcept>

using namespace std::chrono_literals;

namespace {

void pump(const char* name) {
    struct farewell {
        const char* name;
        ~farewell() { std::cout << "  " << name << " has cleaned up\n"; }
    } const end{name};
    for (int i = 1;; ++i) {
        copse::sleep(400ms);
        std::cout << "  " << name << " " << i << '\n';
    }
}

}  // namespace

int main() {
    copse::virtual_time time;

    // [failure]
    try {
        copse::with_nursery([](copse::nursery& n) {
            n.spawn(pump, "reader");
            n.spawn(pump, "writer");
            n.spawn([] {
                copse::sleep(1s);
                throw std::runtime_error("the connection is lost");
            });
        });
    } catch (const std::runtime_error& e) {
        std::cout << "failed: " << e.what() << '\n';
    }
    // [/failure]

    // [deadline]
    try {
        copse::with_timeout(500ms, [] {
            copse::with_nursery([](copse::nursery& n) { n.spawn([&n] { n.spawn(pump, "grandchild"); }); });
        });
    } catch (const copse::timeout_expired& e) {
        std::cout << "failed: " << e.what() << '\n';
    }
    // [/deadline]
    std::cout << "after " << time.elapsed() / 1ms << " ms\n";
}
