// kill -QUIT shows what the fibers of every thread do, also while they all sleep; afterwards it kills again.
// expect-signal: SIGQUIT
// expect-stderr: ^copse: fibers of process \d+$
// expect-stderr: ^  main #\d+ parked in event 0x[0-9a-f]+ for \d+ ms
// expect-stderr: ^  `-- fiber #\d+ "patient" parked in semaphore 0x[0-9a-f]+ for \d+ ms, spawned at .*sigquit.cpp:\d+ by #\d+
// expect-stderr: ^        at 0x[0-9a-f]+
// expect-stderr: ^  `-- fiber #\d+ "elsewhere" parked in event 0x

#include <copse/fibers.hpp>

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <string_view>
#include <thread>

namespace {

std::atomic<int> dumps{0};

void print_and_count(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    ++dumps;
}

void other_thread() {
    copse::event never_set;
    const copse::hub_handle open = copse::hub::current().handle();
    copse::spawn({.name = "elsewhere"}, [&] { never_set.wait(); });
    never_set.wait();
}

}  // namespace

int main() {
    std::thread(other_thread).detach();
    const copse::hub_handle open = copse::hub::current().handle();
    copse::semaphore permits(0);
    const auto patient = copse::spawn({.name = "patient"}, [&] { permits.acquire(); });
    copse::event enough;
    {
        const copse::dump_on_signal on_quit({.report = &print_and_count});
        std::thread signaller([&] {
            // Until both have been seen: the other thread may not have come to its wait.
            for (int i = 0; i < 20 || dumps < 40; ++i) {
                ::kill(::getpid(), SIGQUIT);
                ::usleep(1000);
            }
            open.post([&] { enough.set(); });
        });
        enough.wait();
        signaller.join();
    }
    ::raise(SIGQUIT);
}
