// Who runs, who waits for what and whom, who spawned it: what a program shows of itself when it is asked.
//
//     dump_tree
#include <copse/fibers.hpp>

#include <iostream>
#include <mutex>

using namespace std::chrono_literals;

int main() {
    // In a real program this line is all: kill -QUIT <pid> then prints what is printed below, of every thread, with backtraces.
    const copse::dump_on_signal on_quit;

    copse::mutex door;
    copse::queue<int> orders(1);

    const auto kitchen = copse::spawn({.name = "kitchen"}, [&] {
        const auto cook = copse::spawn({.name = "cook"}, [&] {
            const std::lock_guard inside(door);
            orders.get();
            copse::sleep(20ms);
        });
        const auto helper = copse::spawn({.name = "helper"}, [&] { const std::lock_guard inside(door); });
        join_all(cook, helper);
    });
    const auto guest = copse::spawn({.name = "guest"}, [&] {
        copse::sleep(10ms);
        orders.put(1);
    });
    for (int i = 0; i < 3; ++i) copse::yield();

    copse::hub::current().dump(std::cout);  // {.backtraces = true} as its second argument shows where each stands

    // The same for programs.
    for (const copse::fiber_info& info : copse::hub::current().fibers()) {
        if (!info.behind.empty()) std::cout << info.name << " stands behind " << info.behind.size() << '\n';
    }
    join_all(kitchen, guest);

    // Code that is meant to let others run can be made to prove it.
    try {
        copse::assert_switches([] { /* computes */ });
    } catch (const copse::did_not_switch& e) {
        std::cout << e.what() << '\n';
    }
}
