// Three fibers sleep, and the thread is never idle while one of them could run. Each sleep parks its fiber and lets the
// others go on; they continue in the order in which their sleeps end. It takes two seconds, not three.
//
//     sleep_order

// [whole]
#include <copse/fibers.hpp>

#include <iostream>

using namespace std::chrono_literals;

void foo() {
    std::cout << "Running in foo\n";
    copse::sleep(2s);
    std::cout << "Explicit context switch to foo again\n";
}

void bar() {
    std::cout << "Explicit context to bar\n";
    copse::sleep(1s);
    std::cout << "Implicit context switch back to bar\n";
}

void func3() {
    std::cout << "running func3\n";
    copse::sleep(0s);  // lets every other ready fiber run once
    std::cout << "running func3 again\n";
}

int main() {
    const auto fibers = {copse::spawn(foo), copse::spawn(bar), copse::spawn(func3)};
    copse::join_all(fibers);
}
// [/whole]
