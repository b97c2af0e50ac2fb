// A greenlet is suspended inside a handler when the process ends. Rules 64, 74.
// expect-exit: 0
// expect-stdout: \Amain returns\nstill mine\n\Z

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <cstdio>
#include <stdexcept>

namespace {
copse::greenlet kept;
}  // namespace

int main() {
    kept = copse::greenlet([] {
        try {
            throw std::runtime_error("still mine");
        } catch (const std::runtime_error& mine) {
            const copse_test::at_end last([&] { std::puts(mine.what()); });
            copse::greenlet::current().parent().switch_to();
        }
    });
    kept.switch_to();
    std::puts("main returns");
}
