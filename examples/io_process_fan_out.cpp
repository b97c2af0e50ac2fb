// Several programs at once: each is started, fed and read in a fiber of its own, and nobody waits for the slowest but
// the last line.
//
//     io_process_fan_out
#include <copse/fiber.hpp>
#include <copse/io/process.hpp>
#include <copse/timeout.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

namespace io = copse::io;
using namespace std::chrono_literals;

int main() {
    // [fan-out]
    const std::vector<std::vector<std::string>> commands = {
        {"echo", "no shell: ; $HOME *"},
        {"tr", "a-z", "A-Z"},
        {"sort", "-r"},
        {"sh", "-c", "echo sorry >&2; exit 3"},
    };
    std::vector<copse::fiber<io::process_result>> running;
    for (const auto& command : commands)
        running.push_back(copse::spawn([command] { return io::run(command, {}, "pine\noak\nyew\n"); }));

    for (const auto& one : running) {
        const io::process_result result = one.get();
        std::cout << result.status << '\n' << result.output << result.errors;
    }
    // [/fan-out]

    // A limit in time ends the program with the call.
    const bool in_time = copse::with_timeout(
        50ms,
        [] {
            return io::run({"sleep", "60"}).status.success();
        },
        false);
    std::cout << "sleep 60: " << (in_time ? "done" : "took too long") << '\n';

    try {
        io::check_output({"sh", "-c", "echo out of trees >&2; exit 1"});
    } catch (const io::process_failed& e) {
        std::cout << e.what() << '\n';
    }
}
