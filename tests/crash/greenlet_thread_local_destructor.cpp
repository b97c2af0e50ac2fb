// A thread_local object that outlives its thread's greenlets gets an error in a thread, and can go on in the main thread. Rule 75.
// expect-exit: 0
// expect-stdout: \Athread: refused\nmain: works\n\Z

#include <copse/greenlet.hpp>

#include <cstdio>
#include <thread>

using copse::greenlet;

namespace {

struct late_user {
    const char* name = nullptr;
    ~late_user() {
        try {
            greenlet([] {}).switch_to();
            std::printf("%s: works\n", name);
        } catch (const copse::thread_exited&) {
            std::printf("%s: refused\n", name);
        }
    }
};
thread_local late_user late;

}  // namespace

int main() {
    late.name = "main";
    greenlet([] {}).switch_to();
    std::thread([] {
        late.name = "thread";
        greenlet([] {}).switch_to();
    }).join();
}
