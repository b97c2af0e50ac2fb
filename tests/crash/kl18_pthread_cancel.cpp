// pthread_cancel hits a thread while it waits inside a greenlet: the process ends with a message. KL18, rule 81.
// expect-signal: SIGABRT
// expect-stderr: copse: pthread_exit or pthread_cancel inside a greenlet
// tsan: skip
// The thread sanitizer has its own idea of a thread's end.

#include <copse/greenlet.hpp>

#include <pthread.h>
#include <unistd.h>

#include <latch>

namespace {
std::latch inside(1);
}  // namespace

int main() {
    pthread_t thread{};
    ::pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
            copse::greenlet([] {
                inside.count_down();
                for (;;) ::pause();
            }).switch_to();
            return nullptr;
        },
        nullptr);
    inside.wait();
    ::pthread_cancel(thread);
    ::pthread_join(thread, nullptr);
}
