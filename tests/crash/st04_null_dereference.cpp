// A fault that is no overflow is none of our business: it kills as ever, and we do not say a word.
// expect-signal: SIGSEGV
// expect-stderr: \A(?![\s\S]*copse:)

#include <copse/greenlet.hpp>

namespace {

int* volatile nowhere = nullptr;

}  // namespace

int main() {
    copse::greenlet g(copse::greenlet::options{.name = "careless"}, [] { *const_cast<volatile int*>(nowhere) = 1; });
    g.switch_to();
}
