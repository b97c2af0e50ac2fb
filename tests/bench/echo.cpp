/// TCP echo over loopback: servers on one CPU, a load generator on another.
///
/// Each server runs beside the bare epoll loop that it is compared with: both have all their connections, and the load
/// goes to one and the other in turn, a slice of time each, so that what else the machine does hits both alike.

#include <sys/resource.h>

#include <copse/fiber.hpp>
#include <copse/io/socket.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "bench.hpp"
#include "echo_load.hpp"
#include "echo_servers.hpp"
#include "server_process.hpp"

namespace {

using bench::server_process;
using bench::syscall_counter;

struct setting {
    std::size_t connections;
    std::size_t message_size;

    std::string name() const {
        const auto size =
            message_size < 1024 ? std::to_string(message_size) + " B" : std::to_string(message_size / 1024) + " KiB";
        return size + " x " + std::to_string(connections);
    }
};

struct lengths {
    int slices;
    double slice, counted;  ///< seconds
};

/// Slices are short, but a few answers of every connection long.
lengths lengths_for(const setting& s) {
    const double slice = s.connections > 1000 ? 0.1 : 0.025;
    const double timed = bench::settings().full ? 2 : bench::settings().quick ? 0.2 : 0.4;
    return {static_cast<int>(timed / slice), slice, bench::settings().full ? 0.3 : 0.1};
}

/// A server under load, and what came of it.
class contestant {
public:
    contestant(std::string name, const server_process& server, const setting& s)
        : name_(std::move(name)), server_(server), load_(server.port(), s.connections, s.message_size) {}

    void run_slice(double seconds) {
        load_.warm_up(0.3 * seconds);
        const double cpu_before = server_.cpu_ns();
        const auto start = std::chrono::steady_clock::now();
        latencies_ += load_.run_for(seconds);
        wall_ += std::chrono::steady_clock::now() - start;
        cpu_ns_ += server_.cpu_ns() - cpu_before;
        load_.drain();
    }

    void report(const bench::sink& out, const std::string& base, double seconds_to_count_calls) {
        const auto requests = static_cast<double>(latencies_.count());
        const auto one = [&](const std::string& what, double value, const char* unit) {
            out(name_ + ": " + what, value, unit, base + ": " + what);
        };
        one("requests", requests / wall_.count(), "1/s");
        one("server CPU a request", cpu_ns_ / requests, "ns");
        one("p50", latencies_.microseconds(0.5), "us");
        one("p99", latencies_.microseconds(0.99), "us");
        one("p99.9", latencies_.microseconds(0.999), "us");
        if (const auto calls = calls_a_request(seconds_to_count_calls)) one("system calls a request", *calls, "");
    }

private:
    std::optional<double> calls_a_request(double seconds) {
        const syscall_counter calls(server_.pid());
        if (!calls.works()) return {};
        const double before = calls.count();
        const std::uint64_t requests = load_.run_for(seconds).count() + load_.drain();
        return (calls.count() - before) / static_cast<double>(requests);
    }

    std::string name_;
    const server_process& server_;
    echo::load load_;
    echo::histogram latencies_;
    std::chrono::duration<double> wall_{};
    double cpu_ns_ = 0;
};

void measure(const bench::sink& out, const std::string& who, echo::server serve, const setting& s) {
    // All forks come before the first connection: none inherits any.
    const std::size_t buffer_size = s.message_size + 1024;
    server_process raw_server([&](const echo::tell_port& tell) { echo::serve_raw(buffer_size, tell); });
    server_process server([&](const echo::tell_port& tell) { serve(buffer_size, tell); });
    bench::pin(bench::load_cpu);
    const std::string base = s.name() + ", raw beside " + who;
    contestant raw(base, raw_server, s), other(s.name() + ", " + who, server, s);
    const lengths length = lengths_for(s);
    for (int i = 0; i < length.slices; ++i) {
        const bool raw_first = i % 2 == 0;
        (raw_first ? raw : other).run_slice(length.slice);
        (raw_first ? other : raw).run_slice(length.slice);
    }
    raw.report(out, base, length.counted);
    other.report(out, base, length.counted);
    // Before the load goes: that thousands of connections are reset is nothing to report.
    raw_server.stop();
    server.stop();
}

std::vector<setting> settings_to_measure() {
    if (bench::settings().quick) return {{1, 64}, {100, 64}, {1000, 64}};
    std::vector<setting> all = {{1, 64}, {100, 64}, {1000, 64}, {8000, 64}, {1000, 16 * 1024}};
    if (bench::settings().full) all.insert(all.end(), {{1, 16 * 1024}, {100, 16 * 1024}, {8000, 16 * 1024}});
    return all;
}

struct contender {
    const char* name;
    echo::server serve;
};

// ---- copse: a fiber for each connection

template <void (*Echo)(copse::io::socket&, std::size_t)>
void serve_copse(std::size_t buffer_size, const echo::tell_port& tell) {
    auto listener = copse::io::listen("127.0.0.1:0", {.backlog = 4096});
    tell(listener.local_endpoint().port());
    for (;;)
        copse::spawn(
            [connection = listener.accept().connection, buffer_size]() mutable { Echo(connection, buffer_size); });
}

void echo_from_stack(copse::io::socket& connection, std::size_t buffer_size) {
    std::byte room[24 * 1024];
    const auto buffer = std::span(room).first(buffer_size);
    while (const std::size_t n = connection.recv(buffer)) connection.send_all(buffer.first(n));
}

void echo_from_pool(copse::io::socket& connection, std::size_t) {
    while (auto chunk = connection.recv_pooled()) connection.send_all(chunk.bytes());
}

/// Pooled buffers are for messages that do not fit the cache a thousand times.
bool worthwhile(const contender& c, const setting& s) {
    return c.serve != serve_copse<echo_from_pool> || s.message_size > 1024;
}

constexpr contender contenders[] = {
    {"copse", serve_copse<echo_from_stack>},
    {"copse pooled", serve_copse<echo_from_pool>},
    {"limit", echo::limit_server::serve},
    {"Asio", echo::serve_asio},
};

void allow_many_descriptors() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
    bench::suite suite("TCP echo, one thread; x base: a bare edge-triggered epoll loop beside it", argc, argv);
    allow_many_descriptors();
    std::signal(SIGPIPE, SIG_IGN);
    for (const setting& s : settings_to_measure())
        for (const contender& c : contenders)
            if (worthwhile(c, s))
                suite.add_all(s.name() + ", " + c.name,
                              [=](const bench::sink& out) { measure(out, c.name, c.serve, s); });
    return suite.run(3);
}
