// A greenlet that swallows its exit for ever does not keep the process from ending; it is reported. Rules 45, 87.
// expect-exit: 0
// expect-stdout: \Amain returns\nswallowed\n\Z
// expect-stderr: stubborn
// asan: skip
// The abandoned stack is a leak by design.

#include <copse/greenlet.hpp>

#include <cstdio>

namespace {
copse::greenlet kept;
}  // namespace

int main() {
    kept = copse::greenlet({.name = "stubborn"}, [] {
        for (;;) {
            try {
                copse::greenlet::current().parent().switch_to();
            } catch (const copse::greenlet_exit&) {
                std::puts("swallowed");
            }
        }
    });
    kept.switch_to();
    std::puts("main returns");
}
