// pthread_exit inside a greenlet: its frames unwind, then the process ends with a message. KL18, rule 81.
// expect-signal: SIGABRT
// expect-stderr: copse: pthread_exit or pthread_cancel inside a greenlet
// tsan: skip
// The thread sanitizer has its own idea of a thread's end.

#include <copse/greenlet.hpp>

#include <pthread.h>

#include <thread>

int main() {
    std::thread([] { copse::greenlet([] { ::pthread_exit(nullptr); }).switch_to(); }).join();
}
