// A producer sends orders into a consumer, and gets an answer to each. The consumer is a generator: a function that is
// suspended in `yield` between two orders and keeps its local variables there.
//
//     generator_send
#include <copse/generator.hpp>

#include <iostream>
#include <string>

// [consumer]
// Yields its answers, is sent numbers.
using consumer = copse::generator<std::string, int>;

consumer make_consumer() {
    return consumer([](auto yield) {
        int sum = 0;
        std::string answer = "ready";
        for (;;) {
            const int item = yield(std::move(answer));
            sum += item;
            std::cout << "  consumer: got " << item << '\n';
            answer = "that makes " + std::to_string(sum);
        }
    });
}
// [/consumer]

// [producer]
void produce(consumer& to, int how_many) {
    std::string answer = to.next().value();  // runs it to its first yield
    for (int item = 1; item <= how_many; ++item) {
        std::cout << "producer: consumer says " << answer << ", sends " << item << '\n';
        answer = to.send(item).value();
    }
    std::cout << "producer: consumer says " << answer << '\n';
}
// [/producer]

int main() {
    consumer c = make_consumer();
    produce(c, 3);

    // Asked for its items only, a generator is a range. Leaving the loop early is fine: its end unwinds the body.
    copse::generator<int> squares([](auto yield) {
        for (int i = 1;; ++i) yield(i * i);
    });
    for (const int square : squares) {
        if (square > 30) break;
        std::cout << square << ' ';
    }
    std::cout << '\n';
}
