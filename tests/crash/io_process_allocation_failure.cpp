// Every allocation of a process is refused in turn, as it is started, read from and waited for: the call throws, or does what
// it was asked, and neither a child nor a descriptor is left.
// expect-exit: 0
// expect-stdout: ^process: [1-9]\d* refused, nothing left$

#include <copse/fibers.hpp>
#include <copse/greenlet.hpp>
#include <copse/io/process.hpp>

#include "refused_allocation.hpp"

#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iterator>
#include <new>
#include <system_error>

using namespace std::chrono_literals;
using copse::io::redirect;

namespace {

bool armed = false;
int left = 0;  // allocations that are granted while armed

std::ptrdiff_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
}

void fail(const char* what, int granted) {
    std::printf("process: %s when allocation %d is refused\n", what, granted);
    std::fflush(stdout);
    std::_Exit(1);
}

// Returns: whether anything was refused.
bool refuse_one(int granted) {
    const auto descriptors = open_descriptors();
    left = granted;
    armed = true;
    try {
        copse::io::process echo({"echo", "leaves"}, {.input = redirect::pipe, .output = redirect::pipe});
        while (echo.output().read_pooled()) {}
        if (!echo.wait().success()) fail("it says that it failed", granted);
    } catch (const std::bad_alloc&) {
    } catch (const std::system_error&) {  // ENOMEM
    }
    armed = false;
    if (!copse::hub::current().run_until_idle_for(10s)) fail("something waits for ever", granted);
    if (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) fail("a child is left", granted);
    if (open_descriptors() != descriptors) fail("a descriptor is left", granted);
    return left < 0;
}

}  // namespace

bool copse_test::is_refused() { return armed && left-- == 0; }

int main() {
    copse::set_error_handler([](std::exception_ptr, const copse::greenlet&) {});
    copse::io::run({"true"});
    int refused = 0;
    while (refuse_one(refused)) ++refused;
    std::printf("process: %d refused, nothing left\n", refused);
}
