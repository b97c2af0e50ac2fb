// An event loop delivers one key at a time, as a window system does. A parser would rather ask for keys: a loop, a
// question, a wait for the answer. It gets its wish in a greenlet: read_key() goes back to the event loop, and the event
// loop delivers a key by switching to the parser. Neither of them has a state machine.
//
//     event_loop_parser
#include <copse/greenlet.hpp>

#include <functional>
#include <iostream>
#include <string>
#include <string_view>

namespace {

// Knows nothing of greenlets: calls on_key for each key that is typed.
class event_loop {
public:
    std::function<void(char)> on_key;

    void run(std::string_view typed) {
        for (const char key : typed) {
            if (closed_) return;
            if (on_key) on_key(key);
        }
    }
    void close() { closed_ = true; }

private:
    bool closed_ = false;
};

// [parser]
char read_key() {
    // Back to the event loop, until it switches here with the next key.
    return copse::greenlet::current().parent().switch_to().as<char>();
}

std::string read_line() {
    std::string line;
    for (char key = read_key(); key != '\n'; key = read_key()) line += key;
    return line;
}

void process_commands() {
    for (;;) {
        const std::string command = read_line();
        if (command == "quit") {
            std::cout << "are you sure? (y/n)\n";
            if (read_key() == 'y') return;
            std::cout << "not yet, then\n";
        } else if (!command.empty()) {
            std::cout << "command: " << command << '\n';
        }
    }
}
// [/parser]

}  // namespace

int main() {
    event_loop loop;
    // [wiring]
    copse::greenlet parser(process_commands);
    parser.switch_to();  // runs it to its first read_key
    loop.on_key = [&](char key) {
        parser.switch_to(key);
        if (parser.dead()) loop.close();
    };
    // [/wiring]
    loop.run("hello\nquit\nn\nworld\nquit\nynobody reads this");
    std::cout << "the parser has ended, and so has the event loop\n";
}
