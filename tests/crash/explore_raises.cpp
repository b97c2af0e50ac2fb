// A signal that the scenario sends itself ends the process as ever, after the line that repeats it.
// expect-signal: SIGBUS
// expect-stderr: ^COPSE_REPLAY=sent:0$

#include <copse/explore.hpp>

#include <csignal>

int main() {
    copse::explore({.name = "sent"}, [](copse::exploration&) { std::raise(SIGBUS); });
}
