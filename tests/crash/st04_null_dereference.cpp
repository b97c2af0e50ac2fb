// A fault that is no overflow is none of our business: it kills as ever, and we do not say a word.
// expect-signal: SIGSEGV
// expect-stderr: \A(?![\s\S]*copse:)

#include <copse/greenlet.hpp>

namespace {

// A member of a null object: UBSan, which has words of its own about null itself, leaves it to the processor.
int* volatile nowhere = reinterpret_cast<int*>(64);

}  // namespace

int main() {
    copse::greenlet g(copse::greenlet::options{.name = "careless"}, [] { *nowhere = 1; });
    g.switch_to();
}
