// An execution that ends the process has no exploration_failed: the line that repeats it is written all the same.
// expect-signal: SIGABRT
// expect-stderr: ^copse: a semaphore ended while <fiber #\d+ "waiter" .*> waits for it$
// expect-stderr: ^COPSE_REPLAY=hasty:1$

#include <copse/explore.hpp>
#include <copse/fibers.hpp>

#include <memory>

int main() {
    copse::explore({.name = "hasty"}, [](copse::exploration&) {
        auto permits = std::make_unique<copse::semaphore>(0);
        const auto owner = copse::spawn([&] { permits.reset(); });
        const auto waiter = copse::spawn({.name = "waiter"}, [&] {
            if (permits) permits->acquire();
        });
        owner.join();
        waiter.join();
    });
}
