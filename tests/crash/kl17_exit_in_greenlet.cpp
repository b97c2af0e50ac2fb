// exit() inside a greenlet: static destructors run on its stack, the status is kept, what is suspended is not unwound. KL17, rule 76.
// expect-exit: 3
// expect-stdout: \Aexit handler, not in main\nstatic destructor\n\Z

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <cstdio>
#include <cstdlib>

using copse::greenlet;

namespace {
const copse_test::at_end static_object([] { std::puts("static destructor"); });
greenlet* suspended;  // never deleted: dropping the last handle would end it
}  // namespace

int main() {
    suspended = new greenlet([] {
        const copse_test::at_end last([] { std::puts("unwound"); });
        greenlet::current().parent().switch_to();
    });
    suspended->switch_to();
    std::atexit([] { std::printf("exit handler, %s main\n", greenlet::current().is_main() ? "in" : "not in"); });
    greenlet([] {
        const copse_test::at_end local([] { std::puts("unwound"); });
        std::exit(3);
    }).switch_to();
}
