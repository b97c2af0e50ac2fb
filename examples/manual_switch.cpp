// Two greenlets hand control to each other. Nothing runs unless it is switched to.
//
//     manual_switch

// [whole]
#include <copse/greenlet.hpp>

#include <iostream>

int main() {
    copse::greenlet gr1, gr2;
    gr1 = copse::greenlet([&] {
        std::cout << "12\n";
        gr2.switch_to();
        std::cout << "34\n";
        gr2.switch_to();
    });
    gr2 = copse::greenlet([&] {
        std::cout << "56\n";
        gr1.switch_to();
        std::cout << "78\n";
    });
    gr1.switch_to();
}
// [/whole]

// gr2 returns after 78, and its parent, main, continues. gr1 is suspended in its second switch for good: when main drops
// the last handle, greenlet_exit is thrown there, so that its destructors run.
