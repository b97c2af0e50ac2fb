// A thread ends with active greenlets: handlers and destructors run on it, before it is joined. Rules 56, 57, 87.
// expect-exit: 0
// expect-stdout: \Athread returns\nhandler\ndestructor\njoined\n\Z

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <cstdio>
#include <thread>

int main() {
    copse::greenlet kept;
    std::thread([&] {
        kept = copse::greenlet([] {
            const copse_test::at_end last([] { std::puts("destructor"); });
            try {
                copse::greenlet::current().parent().switch_to();
            } catch (const copse::greenlet_exit&) {
                std::puts("handler");
                throw;
            }
        });
        kept.switch_to();
        std::puts("thread returns");
    }).join();
    std::puts("joined");
}
