#pragma once
/// Servers of benchmarks in processes of their own: on one CPU, while the load is on another.

#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "bench.hpp"
#include "echo_servers.hpp"

namespace echo {

inline constexpr int server_cpu = 0;
inline constexpr int load_cpu = 1;

inline void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(cpu), &set);
    sched_setaffinity(0, sizeof set, &set);  // a machine without that CPU: the figures are worse, not wrong
}

/// A server in a process of its own, from construction to destruction.
class server_process {
public:
    server_process(server serve, std::size_t buffer_size) {
        int ends[2];
        bench::require(pipe(ends) == 0, "pipe");
        pid_ = fork();
        if (pid_ == 0) be_server(serve, buffer_size, ends[1]);
        close(ends[1]);
        bench::require(read(ends[0], &port_, sizeof port_) == sizeof port_, "the server tells its port");
        close(ends[0]);
        clock_getcpuclockid(pid_, &clock_);
    }

    ~server_process() { stop(); }

    void stop() {
        if (pid_ == 0) return;
        kill(pid_, SIGKILL);
        waitpid(std::exchange(pid_, 0), nullptr, 0);
    }

    server_process(const server_process&) = delete;
    server_process& operator=(const server_process&) = delete;

    pid_t pid() const { return pid_; }
    std::uint16_t port() const { return port_; }

    double cpu_ns() const {
        timespec t{};
        clock_gettime(clock_, &t);
        return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
    }

private:
    [[noreturn]] static void be_server(server serve, std::size_t buffer_size, int port_pipe) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(server_cpu);
        serve(buffer_size, [port_pipe](std::uint16_t port) {
            bench::require(write(port_pipe, &port, sizeof port) == sizeof port, "the server tells its port");
            close(port_pipe);
        });
        _exit(1);
    }

    pid_t pid_ = 0;
    std::uint16_t port_ = 0;
    clockid_t clock_ = 0;
};

}  // namespace echo
