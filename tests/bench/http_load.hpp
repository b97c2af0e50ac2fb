#pragma once
/// A bare load generator for HTTP: one request under way on each connection, all answers of the same length.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "bench.hpp"
#include "echo_load.hpp"

namespace http_load {

inline constexpr std::string_view request =
    "GET /hello HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n";

class load {
public:
    load(std::uint16_t port, std::size_t connections) : connections_(connections) {
        for (connection& c : connections_) open(c, port);
        learn_length();
    }

    ~load() {
        const linger at_once{1, 0};
        for (const connection& c : connections_) {
            setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            close(c.fd);
        }
        close(epoll_);
    }

    load(const load&) = delete;
    load& operator=(const load&) = delete;

    /// Keeps every connection busy for `seconds`, and returns the latencies of the requests that ended meanwhile.
    echo::histogram run_for(double seconds) {
        latencies_ = {};
        for (connection& c : connections_) ask(c);
        const std::uint64_t end = now() + static_cast<std::uint64_t>(seconds * 1e9);
        while (turn(end) < end) {}
        while (under_way_ > 0) turn(0);
        return latencies_;
    }

private:
    struct connection {
        int fd = -1;
        std::size_t got = 0;
        std::uint64_t sent_at = 0;
    };

    static std::uint64_t now() {
        return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    }

    void open(connection& c, std::uint16_t port) {
        c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bench::require(connect(c.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0, "connect");
        const int yes = 1;
        setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        epoll_event event{.events = EPOLLIN, .data = {.ptr = &c}};
        bench::require(epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event) == 0, "epoll_ctl");
    }

    // An answer that comes in one piece tells how long all are.
    void learn_length() {
        ask(connections_.front());
        const ssize_t n = recv(connections_.front().fd, room_, sizeof room_, 0);
        bench::require(n > 0 && std::string_view(room_, 12) == "HTTP/1.1 200", "an answer to the first request");
        length_ = static_cast<std::size_t>(n);
        --under_way_;
    }

    void ask(connection& c) {
        c.got = 0;
        c.sent_at = now();
        ++under_way_;
        bench::require(send(c.fd, request.data(), request.size(), MSG_NOSIGNAL) == std::ssize(request), "send");
    }

    std::uint64_t turn(std::uint64_t end) {
        epoll_event events[256];
        const int n = epoll_wait(epoll_, events, 256, 5000);
        bench::require(n > 0, "answers within five seconds");
        const std::uint64_t time = now();
        for (int i = 0; i < n; ++i) take(*static_cast<connection*>(events[i].data.ptr), time, time < end);
        return time;
    }

    void take(connection& c, std::uint64_t time, bool goes_on) {
        const ssize_t got = recv(c.fd, room_, sizeof room_, 0);
        bench::require(got > 0, "the connection is kept");
        c.got += static_cast<std::size_t>(got);
        if (c.got < length_) return;
        bench::require(c.got == length_, "answers of one length");
        latencies_.add(time - c.sent_at);
        --under_way_;
        if (goes_on) ask(c);
    }

    std::vector<connection> connections_;
    int epoll_ = epoll_create1(EPOLL_CLOEXEC);
    std::size_t length_ = 0;
    std::size_t under_way_ = 0;
    echo::histogram latencies_;
    char room_[4096];
};

}  // namespace http_load
