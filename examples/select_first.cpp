// A channel hands items over without keeping any, and a select waits for the first of several things: here for a number from
// either of two channels, for the word to stop, or for nothing at all for too long.
//
//     select_first
#include <copse/fibers.hpp>
#include <copse/virtual_time.hpp>

#include <chrono>
#include <iostream>
#include <optional>

using copse::on_get;
using namespace std::chrono_literals;

namespace {

// [select]
void listen(copse::channel<int>& slow, copse::channel<int>& quick, copse::queue<bool>& stop) {
    for (bool stopped = false; !stopped;) {
        const auto happened = copse::select_for(
            150ms, on_get(slow, [](int n) { std::cout << "slow says " << n << '\n'; }),
            on_get(quick, [](int n) { std::cout << "quick says " << n << '\n'; }),
            on_get(stop, [&](std::optional<bool>) { stopped = true; }));  // an optional: hears of the close, too
        if (!happened) std::cout << "nobody says anything\n";
    }
    std::cout << "stopped\n";
}
// [/select]

void count(copse::channel<int>& to, std::chrono::milliseconds pause) {
    for (int n = 1; n < 4; ++n) {
        copse::sleep(pause);
        to.put(n);  // returns when somebody has taken it
    }
    to.close();  // that case of the select is left out from now on
}

}  // namespace

int main() {
    const copse::virtual_time no_waiting;  // the half second takes no time, and always the same course
    copse::channel<int> slow;
    copse::channel<int> quick;
    copse::queue<bool> stop(1);
    const auto fibers = {copse::spawn([&] { listen(slow, quick, stop); }), copse::spawn([&] { count(slow, 100ms); }),
                         copse::spawn([&] { count(quick, 40ms); })};
    copse::sleep(500ms);
    stop.close();
    copse::join_all(fibers);
}
