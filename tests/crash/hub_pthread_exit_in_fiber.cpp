// pthread_exit in a fiber stops at the fiber's root with a message. KL18.
// expect-signal: SIGABRT
// expect-stderr: ^copse: pthread_exit or pthread_cancel inside a greenlet
// asan: skip
// tsan: skip

#include <copse/fibers.hpp>

#include <pthread.h>

int main() {
    const auto f = copse::spawn([] { pthread_exit(nullptr); });
    f.join();
}
