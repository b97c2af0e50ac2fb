// Values travel with a switch, both ways: what is passed to switch_to comes out of the switch that the other one is
// suspended in. Here a ball goes to and fro between two greenlets, and each stroke adds to it.
//
//     ping_pong
#include <copse/greenlet.hpp>
#include <copse/typed_greenlet.hpp>

#include <iostream>
#include <string>

int main() {
    // [rally]
    copse::greenlet ping, pong;
    ping = copse::greenlet([&](int ball) {
        while (ball < 6) {
            std::cout << "ping " << ball << '\n';
            ball = pong.switch_to(ball + 1).as<int>();
        }
        return ball;  // to the parent
    });
    pong = copse::greenlet([&](int ball) {
        for (;;) {
            std::cout << "pong " << ball << '\n';
            ball = ping.switch_to(ball + 1).as<int>();
        }
    });
    const int end = ping.switch_to(0).as<int>();
    std::cout << "the rally ended at " << end << '\n';
    // [/rally]

    // The first switch brings the arguments of the function, several if it takes several.
    copse::greenlet repeat([](const std::string& word, int times) {
        std::string line;
        for (int i = 0; i < times; ++i) line += word + ' ';
        return line;
    });
    std::cout << repeat.switch_to("ping", 3).as<std::string>() << '\n';

    // A value knows its type. What does not fit is an exception that names both types…
    copse::greenlet wants_int([](int) {});
    try {
        wants_int.switch_to("a ball");
    } catch (const copse::bad_value_cast& e) {
        std::cout << e.what() << '\n';
    }

    // …and with the types fixed in advance it does not compile.
    copse::typed_greenlet<int(int)> doubler([](auto send, int n) {
        for (;;) n = send(2 * n);
    });
    std::cout << doubler.switch_to(4) << ' ' << doubler.switch_to(21) << '\n';
}
