// std::stop_token, both ways. A stop that another thread requests ends what a fiber waits for; a fiber that is killed
// requests a stop of what it has given to a thread.
//
//     stop_tokens
#include <copse/fibers.hpp>

#include <iostream>
#include <stop_token>
#include <thread>

using namespace std::chrono_literals;

namespace {

// [scope]
// Counts until a stop is requested, on whatever thread.
int count_until(const std::stop_token& stop) {
    int ticks = 0;
    try {
        const copse::stop_scope until(stop);
        for (;; ++ticks) copse::sleep(1ms);
    } catch (const copse::stop_requested& e) {
        std::cout << "counting ended: " << e.what() << '\n';
    }
    return ticks;
}
// [/scope]

// [token]
// Work that cannot wait in fibers, on a thread of its own: it looks at the token now and then.
void search(const std::stop_token& stop) {
    while (!stop.stop_requested()) std::this_thread::yield();
    std::cout << "the search was stopped\n";
}

void search_on_a_thread() {
    std::jthread searcher(search, copse::this_fiber::stop_token());
    copse::sleep(1h);  // until somebody kills this fiber; ~jthread waits for the thread
}
// [/token]

}  // namespace

int main() {
    std::stop_source source;
    auto counting = copse::spawn(count_until, source.get_token());
    copse::sleep(5ms);
    std::thread([&source] { source.request_stop(); }).join();
    std::cout << (counting.get() > 0 ? "it had counted" : "it had not begun") << '\n';

    auto searching = copse::spawn(search_on_a_thread);
    copse::yield();
    searching.kill();
    std::cout << "killed: " << std::boolalpha << searching.killed() << '\n';
}
