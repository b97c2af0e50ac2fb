/// What the system does for us: processes and names. By the steady clock: most of it is waiting.

#include <netdb.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <copse/fibers.hpp>
#include <copse/io/process.hpp>
#include <copse/io/resolver.hpp>

#include <array>
#include <string>
#include <vector>

#include "bench.hpp"

namespace {

constexpr std::size_t processes = 20;
constexpr std::size_t lookups = 200;

// ---- processes

double spawn_and_wait_bare() {
    return bench::ns_per_op(processes, [] {
        for (std::size_t i = 0; i < processes; ++i) {
            std::array<char, 5> name{"true"};
            std::array<char*, 2> arguments{name.data(), nullptr};
            pid_t pid = 0;
            bench::require(posix_spawnp(&pid, "true", nullptr, nullptr, arguments.data(), environ) == 0, "true runs");
            waitpid(pid, nullptr, 0);
        }
    });
}

double spawn_and_wait_copse() {
    return bench::ns_per_op(processes, [] {
        for (std::size_t i = 0; i < processes; ++i)
            bench::require(copse::io::process({"true"}).wait().success(), "true succeeds");
    });
}

double spawn_and_wait_fanned_out() {
    return bench::ns_per_op(processes, [] {
        copse::with_nursery([](copse::nursery& all) {
            for (std::size_t i = 0; i < processes; ++i)
                all.spawn([] { bench::require(copse::io::process({"true"}).wait().success(), "true succeeds"); });
        });
    });
}

double check_output() {
    return bench::ns_per_op(processes, [] {
        for (std::size_t i = 0; i < processes; ++i)
            bench::require(copse::io::check_output({"echo", "x"}) == "x\n", "echo echoes");
    });
}

// ---- names: our own, as /etc/hosts has it

const char* known_name() {
    static const std::array<char, 256> name = [] {
        std::array<char, 256> own{};
        gethostname(own.data(), own.size() - 1);
        return own;
    }();
    return name.data();
}

double look_up_bare() {
    return bench::ns_per_op(lookups, [] {
        addrinfo wanted{};
        wanted.ai_socktype = SOCK_STREAM;
        for (std::size_t i = 0; i < lookups; ++i) {
            addrinfo* found = nullptr;
            bench::require(getaddrinfo(known_name(), nullptr, &wanted, &found) == 0, "our own name is known");
            freeaddrinfo(found);
        }
    });
}

/// One after the other. `keep` of 0: each is asked for.
double look_up_copse(std::chrono::nanoseconds keep) {
    copse::io::resolver asks({.keep = keep});
    return bench::ns_per_op(lookups, [&] {
        for (std::size_t i = 0; i < lookups; ++i) bench::keep(asks.resolve(known_name(), 80).size());
    });
}

/// Many at once, of names that differ: nobody waits for another's answer.
double look_up_many() {
    copse::io::resolver asks({.keep = std::chrono::nanoseconds(0)});
    const std::vector<int> families{AF_UNSPEC, AF_INET};
    return bench::ns_per_op(lookups, [&] {
        copse::pool many(16);
        for (std::size_t i = 0; i < lookups; ++i)
            many.spawn([&, i] { bench::keep(asks.resolve(known_name(), 80, families[i % 2]).size()); });
        many.join();
    });
}

}  // namespace

int main(int argc, char** argv) {
    bench::settings().wall = true;
    bench::suite suite("processes and names, by the steady clock", argc, argv);
    suite.base("bare posix_spawn + waitpid of true");
    suite.add("bare posix_spawn + waitpid of true", spawn_and_wait_bare);
    suite.add("copse process + wait of true", spawn_and_wait_copse);
    suite.add("copse process + wait of true, 20 at once", spawn_and_wait_fanned_out);
    suite.add("copse check_output of echo", check_output);
    suite.base("bare getaddrinfo of our own name");
    suite.add("bare getaddrinfo of our own name", look_up_bare);
    suite.add("copse resolve, one after the other", [] { return look_up_copse(std::chrono::nanoseconds(0)); });
    suite.add("copse resolve, 16 at once", look_up_many);
    suite.add("copse resolve, kept", [] { return look_up_copse(std::chrono::hours(1)); });
    return suite.run(3);
}
