// The same of one that faults: the fault is then handled as it would have been.
// expect-signal: SIGSEGV
// expect-stderr: ^COPSE_SEED=wild:1$
// asan: skip
// It reports the null pointer itself.

#include <copse/explore.hpp>
#include <copse/fibers.hpp>

namespace {
int* volatile nowhere = nullptr;
}  // namespace

int main() {
    copse::explore_seeds({.name = "wild"}, [](copse::exploration&) {
        const auto a = copse::spawn([] { *nowhere = 1; });
        a.join();
    });
}
