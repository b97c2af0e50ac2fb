// A fiber is ended from outside: greenlet_exit is thrown at its wait, and unwinds it like any other exception.
//
//     kill_and_cleanup
#include <copse/fibers.hpp>

#include <exception>
#include <iostream>
#include <mutex>

using namespace std::chrono_literals;

namespace {

struct file {
    ~file() { std::cout << "  the file is closed\n"; }
};

}  // namespace

int main() {
    std::cout << std::boolalpha;
    copse::mutex door;

    // [kill]
    const auto worker = copse::spawn([&] {
        const file opened;
        const std::lock_guard lock(door);
        try {
            copse::sleep(1h);
        } catch (const std::exception&) {
            std::cout << "  never comes here: greenlet_exit is no std::exception\n";
        }
    });
    copse::yield();  // it runs up to its sleep
    worker.kill();   // returns when it has finished
    std::cout << "killed: " << worker.killed() << ", the door is " << (door.locked() ? "locked" : "free") << '\n';
    // [/kill]

    // Who asks for its result is told by an exception.
    const auto answer = copse::spawn([] {
        copse::sleep(1h);
        return 42;
    });
    answer.kill();
    try {
        std::cout << answer.get() << '\n';
    } catch (const copse::fiber_killed&) {
        std::cout << "it was killed and has no result\n";
    }

    // Clean-up may wait: a second kill does not break it. A shield keeps kills back for a while even before that.
    const auto careful = copse::spawn([] {
        {
            const copse::shield until_saved;
            copse::sleep(200ms);
            std::cout << "  saved\n";
        }
        try {
            copse::sleep(1h);  // the kill that was kept back is thrown here
        } catch (const copse::greenlet_exit&) {
            copse::yield();
            std::cout << "  said goodbye\n";
            throw;  // on with it: a kill that is not thrown on is reported as an error
        }
    });
    copse::yield();
    careful.request_kill();
    const bool at_once = careful.kill_for(1ms);
    std::cout << "killed at once: " << at_once << '\n';
    careful.join();
    std::cout << "killed at last: " << careful.killed() << '\n';
}
