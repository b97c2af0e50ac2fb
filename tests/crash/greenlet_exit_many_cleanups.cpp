// A thousand suspended greenlets whose clean-up starts others, switches and drops. Rules 47, 74, 87.
// expect-exit: 0
// expect-stdout: \Amain returns\n1000 cleaned up\n\Z

#include <copse/greenlet.hpp>

#include "at_end.hpp"

#include <cstdio>
#include <vector>

namespace {

constexpr int count = 1000;
std::vector<copse::greenlet> kept;
int cleaned_up = 0;

void clean_up() {
    copse::greenlet helper([](int n) {
        n = copse::greenlet::current().parent().switch_to(n + 1).as<int>();
        return n + 1;
    });
    const int two = helper.switch_to(1).as<int>();
    copse::greenlet dropped([] { copse::greenlet::current().parent().switch_to(); });
    dropped.switch_to();
    dropped = copse::greenlet();
    cleaned_up += helper.switch_to(two - 2).as<int>();
    if (cleaned_up == count) std::printf("%d cleaned up\n", cleaned_up);
}

}  // namespace

int main() {
    for (int i = 0; i < count; ++i) {
        kept.emplace_back([] {
            const copse_test::at_end last(clean_up);
            copse::greenlet::current().parent().switch_to();
        });
        kept.back().switch_to();
    }
    std::puts("main returns");
}
