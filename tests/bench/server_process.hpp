#pragma once
/// Servers in processes of their own, on a CPU of their own, and what they cost.

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <string>
#include <utility>

#include "bench.hpp"

namespace bench {

constexpr int server_cpu = 0;
constexpr int load_cpu = 1;

inline void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(cpu), &set);
    sched_setaffinity(0, sizeof set, &set);  // a machine without that CPU: the figures are worse, not wrong
}

/// A server in a process of its own, from construction to destruction.
class server_process {
public:
    /// `serve` is called there with a function that it tells its port.
    template <class Serve>
    explicit server_process(Serve serve) {
        int ends[2];
        require(pipe(ends) == 0, "pipe");
        pid_ = fork();
        if (pid_ == 0) be_server(serve, ends[1]);
        close(ends[1]);
        require(read(ends[0], &port_, sizeof port_) == sizeof port_, "the server tells its port");
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
    template <class Serve>
    [[noreturn]] static void be_server(Serve serve, int port_pipe) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(server_cpu);
        serve([port_pipe](std::uint16_t port) {
            require(write(port_pipe, &port, sizeof port) == sizeof port, "the server tells its port");
            close(port_pipe);
        });
        _exit(1);
    }

    pid_t pid_ = 0;
    std::uint16_t port_ = 0;
    clockid_t clock_ = 0;
};

/// Counts a process's system calls through the kernel's tracepoint: unlike a tracer that stops the process at each, it
/// does not give the load time to get ahead.
class syscall_counter {
public:
    explicit syscall_counter(pid_t pid) {
        perf_event_attr attributes{};
        attributes.size = sizeof attributes;
        attributes.type = PERF_TYPE_TRACEPOINT;
        attributes.config = tracepoint();
        if (attributes.config) fd_ = static_cast<int>(syscall(SYS_perf_event_open, &attributes, pid, -1, -1, 0));
    }

    ~syscall_counter() {
        if (fd_ >= 0) close(fd_);
    }

    syscall_counter(const syscall_counter&) = delete;
    syscall_counter& operator=(const syscall_counter&) = delete;

    bool works() const { return fd_ >= 0; }

    double count() const {
        std::uint64_t value = 0;
        require(read(fd_, &value, sizeof value) == sizeof value, "the counter can be read");
        return static_cast<double>(value);
    }

private:
    static std::uint64_t tracepoint() {
        std::uint64_t id = 0;
        for (const char* root : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"})
            if (std::ifstream(std::string(root) + "/events/raw_syscalls/sys_enter/id") >> id) break;
        return id;
    }

    int fd_ = -1;
};

}  // namespace bench
