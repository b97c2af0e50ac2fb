// Limits on time: a scope, a call with a fallback, and the timed forms of waits.
//
//     timeouts
#include <copse/fibers.hpp>

#include <iostream>
#include <string>

using namespace std::chrono_literals;

namespace {

std::string slow_answer() {
    copse::sleep(1h);
    return "forty-two";
}

}  // namespace

int main() {
    // [scope]
    // A scope: everything in it together may take 10 ms. At the deadline timeout_expired is thrown at the current wait.
    {
        const copse::timeout limit(10ms);
        try {
            std::cout << slow_answer() << '\n';
        } catch (const copse::timeout_expired& e) {
            if (!limit.threw(e)) throw;  // it belongs to a scope around this one
            std::cout << e.what() << '\n';
        }
    }

    // The same for one call, with a value in place of the exception.
    std::cout << copse::with_timeout(10ms, slow_answer, "no answer yet") << '\n';
    // [/scope]

    // Scopes nest. Each knows its own exceptions: the inner one, which is longer, does not catch what the outer one throws.
    try {
        copse::with_timeout(10ms, [] { return copse::with_timeout(1h, slow_answer, "the inner one"); });
    } catch (const copse::timeout_expired& e) {
        std::cout << "outer: " << e.what() << '\n';
    }

    // A wait with a limit of its own says no by its result; the fiber that is waited for goes on.
    const auto worker = copse::spawn([] {
        copse::sleep(200ms);
        return 42;
    });
    std::cout << "after 1 ms: " << (worker.join_for(1ms) ? "finished" : "still at it") << '\n';
    std::cout << "at last: " << worker.get() << '\n';

    copse::event never_set;
    std::cout << "event: " << (never_set.wait_for(1ms) ? "set" : "not set") << '\n';
}
