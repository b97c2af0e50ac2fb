// Overflow in code that is not ours and was built without probes: std::regex takes some 750 bytes of stack a character.
// expect-signal: SIGSEGV
// expect-stderr: ^copse: stack overflow in greenlet 'parser' \(#\d+\), stack 262144 bytes, high-water \d{6} bytes(, spawned at \S+:\d+)?$

#include <copse/greenlet.hpp>

#include <regex>
#include <string>

int main() {
    copse::greenlet g(copse::greenlet::options{.name = "parser"}, [] {
        const std::string text(20'000, 'a');
        std::regex_match(text, std::regex("(a|b)*c"));
    });
    g.switch_to();
}
