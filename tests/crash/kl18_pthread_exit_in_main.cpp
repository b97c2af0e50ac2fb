// pthread_exit in a thread's main greenlet is an ordinary end of the thread: its greenlets are ended. KL18, rule 81.
// expect-exit: 0
// expect-stdout: \Athread ends\ncleaned up\njoined\n\Z
// tsan: skip
// The thread sanitizer has its own idea of a thread's end.

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <pthread.h>

#include <cstdio>

namespace {
copse::greenlet kept;
}  // namespace

int main() {
    pthread_t thread{};
    ::pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
            kept = copse::greenlet([] {
                const copse_test::at_end last([] { std::puts("cleaned up"); });
                copse::greenlet::current().parent().switch_to();
            });
            kept.switch_to();
            std::puts("thread ends");
            ::pthread_exit(nullptr);
        },
        nullptr);
    ::pthread_join(thread, nullptr);
    std::puts("joined");
}
