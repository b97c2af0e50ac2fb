// An echo server under load: clients open one connection after the other, send requests of random length, and compare
// every byte that returns. The server has a thread and a hub of its own; all clients are fibers of the main thread.
//
//     echo_load [--clients N] [--connections N] [--requests N]
//
// 100 clients at once, 3000 connections in all and 10 requests on each, unless told otherwise. Exit status 1 if a byte was
// wrong or a connection failed.
#include <copse/fibers.hpp>
#include <copse/io/socket.hpp>
#include <copse/io/stream_server.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <future>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

namespace io = copse::io;
using namespace std::chrono_literals;

namespace {

struct plan {
    int clients = 100;
    int connections = 3000;
    int requests = 10;
};

struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

int number(std::string_view option, std::string_view text, int most) {
    int n = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || stop != text.data() + text.size() || n < 1 || n > most) {
        throw usage_error(std::string(option) + " takes a number from 1 to " + std::to_string(most) + ", not '" +
                          std::string(text) + "'");
    }
    return n;
}

plan parse(const std::vector<std::string_view>& words) {
    plan p;
    for (std::size_t i = 0; i < words.size(); i += 2) {
        const std::string_view option = words[i];
        const bool known = option == "--clients" || option == "--connections" || option == "--requests";
        if (!known) throw usage_error("there is no option '" + std::string(option) + "'");
        if (i + 1 == words.size()) throw usage_error(std::string(option) + " takes a number");
        if (option == "--clients") p.clients = number(option, words[i + 1], 100'000);
        if (option == "--connections") p.connections = number(option, words[i + 1], 10'000'000);
        if (option == "--requests") p.requests = number(option, words[i + 1], 1'000'000);
    }
    if (p.connections < p.clients)
        throw usage_error("--connections: fewer than --clients, so that some would have none");
    return p;
}

// Each client has a descriptor at both ends.
void allow_descriptors(int clients) {
    const rlim_t needed = 2 * static_cast<rlim_t>(clients) + 64;
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= needed) return;
    limit.rlim_cur = std::min(needed, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < needed) {
        throw usage_error("--clients " + std::to_string(clients) + " needs " + std::to_string(needed) +
                          " descriptors, but this process may have only " + std::to_string(limit.rlim_cur));
    }
}

// [server]
// An echo server on a thread of its own, from construction to destruction.
class server_thread {
public:
    server_thread() : thread_([this] { run(); }) { started_ = promise_.get_future().get(); }
    server_thread(const server_thread&) = delete;
    server_thread& operator=(const server_thread&) = delete;
    ~server_thread() { started_.hub.post(started_.stop); }  // runs over there; then the thread is joined

    const io::endpoint& endpoint() const { return started_.endpoint; }

private:
    struct started {
        io::endpoint endpoint;
        copse::hub_handle hub;
        std::function<void()> stop;
    };

    void run() {
        try {
            copse::event stop;
            io::stream_server server("127.0.0.1:0", [](io::socket& client) {
                while (const auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
            });
            server.start();
            promise_.set_value({server.local_endpoint(), copse::hub::current().handle(), [&stop] { stop.set(); }});
            stop.wait();
            server.stop_for(1s);
        } catch (...) {
            promise_.set_exception(std::current_exception());
        }
    }

    std::promise<started> promise_;
    started started_;
    std::jthread thread_;
};
// [/server]

struct tally {
    int opened = 0;
    int finished = 0;
    int wrong = 0;
    std::size_t bytes = 0;
    std::vector<std::chrono::nanoseconds> latencies;
    std::vector<std::string> failures;
};

// Requests are slices of this: any shift or exchange of bytes shows.
std::string random_text(std::size_t size) {
    std::mt19937 dice(1);
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(dice());
    return text;
}

// [client]
class client {
public:
    client(const plan& p, const io::endpoint& server, tally& t, unsigned seed)
        : plan_(p), server_(server), tally_(t), dice_(seed) {}

    void run() {
        while (tally_.opened < plan_.connections) {
            ++tally_.opened;
            try {
                talk();
            } catch (const std::exception& e) {
                tally_.failures.emplace_back(e.what());
            }
            ++tally_.finished;
        }
    }

private:
    void talk() {
        io::socket connection = io::connect(server_);
        for (int i = 0; i < plan_.requests; ++i) {
            const std::string_view sent = any_slice();
            returned_.resize(sent.size());
            const auto began = copse::clock::now();
            connection.send_all(sent);
            connection.recv_exactly(std::as_writable_bytes(std::span(returned_)));
            tally_.latencies.push_back(copse::clock::now() - began);
            tally_.bytes += sent.size();
            if (returned_ != sent) ++tally_.wrong;
        }
    }

    std::string_view any_slice() {
        static const std::string text = random_text(64 * 1024);
        const std::size_t size = 1 + dice_() % 4096;
        return std::string_view(text).substr(dice_() % (text.size() - size), size);
    }

    const plan& plan_;
    const io::endpoint& server_;
    tally& tally_;
    std::minstd_rand dice_;
    std::string returned_;
};
// [/client]

void show_progress(const tally& t, int connections) {
    for (;;) {
        std::fprintf(stderr, "\r%d of %d connections ", t.finished, connections);
        copse::sleep(100ms);
    }
}

double milliseconds(std::chrono::nanoseconds length) {
    return std::chrono::duration<double, std::milli>(length).count();
}

// The smallest latency that so many percent do not exceed. Wants them sorted.
double percentile(const std::vector<std::chrono::nanoseconds>& sorted, std::size_t percent) {
    return milliseconds(sorted[(sorted.size() * percent + 99) / 100 - 1]);
}

bool report(tally& t, std::chrono::nanoseconds took) {
    for (const std::string& failure : t.failures) std::fprintf(stderr, "echo_load: %s\n", failure.c_str());
    const std::size_t requests = t.latencies.size();
    if (requests != 0) {
        const double seconds = std::chrono::duration<double>(took).count();
        std::sort(t.latencies.begin(), t.latencies.end());
        std::printf("%zu requests in %.2f s: %.0f per second, %.1f MB each way\n", requests, seconds,
                    static_cast<double>(requests) / seconds, static_cast<double>(t.bytes) / 1e6);
        std::printf("latency: p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms\n", percentile(t.latencies, 50),
                    percentile(t.latencies, 90), percentile(t.latencies, 99), milliseconds(t.latencies.back()));
    }
    std::printf("wrong answers: %d, failed connections: %zu\n", t.wrong, t.failures.size());
    return t.wrong == 0 && t.failures.empty();
}

bool run(const plan& p) {
    allow_descriptors(p.clients);
    const server_thread server;
    std::printf("%d clients, %d connections, %d requests on each, against %s\n", p.clients, p.connections, p.requests,
                to_string(server.endpoint()).c_str());
    std::fflush(stdout);

    tally t;
    std::vector<copse::any_fiber> clients;
    copse::fiber<void> progress;
    if (isatty(STDERR_FILENO) != 0) progress = copse::spawn([&] { show_progress(t, p.connections); });
    const auto began = copse::clock::now();
    for (int i = 0; i < p.clients; ++i) {
        const auto seed = static_cast<unsigned>(i);
        clients.push_back(copse::spawn([&, seed] { client(p, server.endpoint(), t, seed).run(); }));
    }
    copse::join_all(clients);
    const auto took = copse::clock::now() - began;
    if (progress) {
        progress.kill();
        std::fputs("\r\033[K", stderr);
    }
    return report(t, took);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(parse({argv + 1, argv + argc})) ? 0 : 1;
    } catch (const usage_error& e) {
        std::fprintf(stderr, "echo_load: %s\nusage: echo_load [--clients N] [--connections N] [--requests N]\n",
                     e.what());
        return 2;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "echo_load: %s\n", e.what());
        return 1;
    }
}
