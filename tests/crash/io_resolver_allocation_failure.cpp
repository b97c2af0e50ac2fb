// Every allocation of a lookup is refused in turn, while it is asked and when the answer has come: the call throws or
// answers, whoever waits with it is not forgotten, and the next call asks again. DN06.
// expect-exit: 0
// expect-stdout: ^lookup: [1-9]\d* refused, nothing left$

#include <copse/fibers.hpp>
#include <copse/greenlet.hpp>
#include <copse/io/resolver.hpp>

#include "refused_allocation.hpp"

#include <netdb.h>
#include <netinet/in.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <limits>
#include <new>
#include <system_error>

using namespace std::chrono_literals;

namespace {

constexpr int none_is_refused = -1;
std::atomic<int> left{none_is_refused};  // allocations that are granted until one is refused

thread_local int concerned = 0;  // allocations of this thread that may be refused

void fail(const char* what, int granted) {
    std::printf("lookup: %s when allocation %d is refused\n", what, granted);
    std::fflush(stdout);
    std::_Exit(1);
}

sockaddr_in known{};
addrinfo answer{};

// Two fibers ask for the same name, which is kept when it has come.
// Returns: whether anything was refused.
bool refuse_one(int granted) {
    copse::io::resolver asks({.keep = 1h});
    const auto ask = [&] {
        try {
            asks.resolve("tree.test", 80);
        } catch (const std::bad_alloc&) {
        } catch (const std::system_error&) {  // EAI_MEMORY, EAI_AGAIN
        }
    };
    const auto second = copse::spawn(ask);
    left = granted;
    ask();
    if (!second.join_for(10s)) fail("one waits for ever", granted);
    if (left.exchange(none_is_refused) != none_is_refused) return false;
    if (asks.resolve("tree.test", 80).size() != 1) fail("there is no answer any more", granted);
    if (asks.running() != 0) fail("a lookup is left", granted);
    return true;
}

}  // namespace

bool copse_test::is_refused() {
    if (concerned == 0) return false;
    --concerned;
    int now = left;
    while (now != none_is_refused && !left.compare_exchange_weak(now, now - 1)) {}
    return now == 0;  // which turns refusing off
}

// In place of the C library's: it knows everybody but numbers.
extern "C" int getaddrinfo(const char* /*host*/, const char* /*service*/, const addrinfo* wanted, addrinfo** found) {
    if ((wanted->ai_flags & AI_NUMERICHOST) != 0) return EAI_NONAME;
    concerned =
        2;  // the addresses, and where they are kept; what follows is the thread pool's, which cannot do without
    *found = &answer;
    return 0;
}
extern "C" void freeaddrinfo(addrinfo* /*found*/) noexcept {}

int main() {
    known.sin_family = AF_INET;
    known.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    answer.ai_family = AF_INET;
    answer.ai_addr = reinterpret_cast<sockaddr*>(&known);
    answer.ai_addrlen = sizeof known;
    copse::set_error_handler([](std::exception_ptr, const copse::greenlet&) {});
    concerned = std::numeric_limits<int>::max();
    int refused = 0;
    while (refuse_one(refused)) ++refused;
    std::printf("lookup: %d refused, nothing left\n", refused);
}
