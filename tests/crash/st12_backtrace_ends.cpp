// Unwinders walk from inside a greenlet to its root and stop there: none runs on, loops or falls over the edge of the stack.
// expect-exit: 0
// expect-stdout: ^glibc: ends$
// expect-stdout: ^unwinder: ends$
// expect-stdout: ^suspended: ends$

#include <copse/greenlet.hpp>

#include <execinfo.h>
#include <unwind.h>

#include <array>
#include <cstdio>

namespace {

constexpr int many = 100;  // more than any of these walks can be long

const char* judge(int frames) { return frames >= 3 && frames < many ? "ends" : "does not end, or does not begin"; }

[[gnu::noinline]] int glibc_frames() {
    std::array<void*, many> frames;
    return ::backtrace(frames.data(), many);
}

_Unwind_Reason_Code count_frame(_Unwind_Context*, void* count) {
    return ++*static_cast<int*>(count) < many ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

/// The unwinder that exceptions use, which unlike backtrace() says how the walk ended.
[[gnu::noinline]] int unwinder_frames() {
    int count = 0;
    const _Unwind_Reason_Code end = _Unwind_Backtrace(count_frame, &count);
    return end == _URC_END_OF_STACK ? count : many;
}

[[gnu::noinline]] void walk(int depth) {
    if (depth > 0) {
        walk(depth - 1);
        std::fflush(stdout);  // keeps this call from being the last thing done here
        return;
    }
    std::printf("glibc: %s\n", judge(glibc_frames()));
    std::printf("unwinder: %s\n", judge(unwinder_frames()));
}

}  // namespace

int main() {
    copse::greenlet outer([] {
        copse::greenlet inner([] {
            walk(5);
            copse::greenlet::current().parent().switch_to();
        });
        inner.switch_to();
        std::printf("suspended: %s\n", judge(static_cast<int>(inner.backtrace().size())));
    });
    outer.switch_to();
}
