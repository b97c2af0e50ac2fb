#pragma once
/// A bare load generator for echo servers: one epoll loop, one request under way on each connection, every byte that
/// comes back compared with what was sent.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "bench.hpp"

namespace echo {

/// Counts latencies in buckets that are at most 1/32 of their value wide.
class histogram {
public:
    void add(std::uint64_t ns) {
        ++buckets_[bucket(ns)];
        ++count_;
    }

    histogram& operator+=(const histogram& other) {
        for (std::size_t b = 0; b < buckets_.size(); ++b) buckets_[b] += other.buckets_[b];
        count_ += other.count_;
        return *this;
    }

    std::uint64_t count() const { return count_; }

    /// The latency that `share` of all were no slower than.
    double microseconds(double share) const {
        const auto rank = static_cast<std::uint64_t>(share * static_cast<double>(count_));
        std::uint64_t seen = 0;
        for (std::size_t b = 0; b < buckets_.size(); ++b)
            if ((seen += buckets_[b]) > rank) return middle(b) / 1000;
        return 0;
    }

private:
    static constexpr unsigned fine_bits = 5;

    static std::size_t bucket(std::uint64_t ns) {
        if (ns < (1u << fine_bits)) return ns;
        const auto shift = static_cast<unsigned>(std::bit_width(ns)) - fine_bits - 1;
        return (std::size_t{shift} << fine_bits) + static_cast<std::size_t>(ns >> shift);
    }

    static double middle(std::size_t b) {
        if (b < (2u << fine_bits)) return static_cast<double>(b);
        const std::size_t shift = (b >> fine_bits) - 1;
        const std::size_t mantissa = b - (shift << fine_bits);
        return (static_cast<double>(mantissa) + 0.5) * static_cast<double>(std::uint64_t{1} << shift);
    }

    std::array<std::uint64_t, 64u << fine_bits> buckets_{};
    std::uint64_t count_ = 0;
};

class load {
public:
    load(std::uint16_t port, std::size_t connections, std::size_t message_size)
        : message_size_(message_size), text_(2 * message_size + 1024), received_(message_size) {
        std::mt19937 random(1);
        for (char& c : text_) c = static_cast<char>(random());
        connections_.resize(connections);
        for (std::size_t i = 0; i < connections; ++i) {
            open(connections_[i], port);
            // Never more unaccepted connections than the server's backlog holds.
            if (i % 256 == 255) drain();
        }
        drain();
    }

    ~load() {
        // Reset, so that thousands of connections do not linger in TIME_WAIT into the next round.
        const linger at_once{1, 0};
        for (const auto& c : connections_) {
            setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            close(c.fd);
        }
        close(epoll_);
    }

    load(const load&) = delete;
    load& operator=(const load&) = delete;

    /// Until every connection has had an answer, and for `seconds` at least.
    void warm_up(double seconds) {
        const std::uint64_t asked = connections_.size();
        for (std::uint64_t answered = 0; answered < asked; seconds = 0) answered += run_for(seconds).count();
    }

    /// Keeps every connection busy for `seconds` and returns the latencies of the requests that ended meanwhile.
    histogram run_for(double seconds) {
        latencies_ = {};
        if (under_way_ == 0) ask_all();
        const std::uint64_t end = now() + static_cast<std::uint64_t>(seconds * 1e9);
        while (turn() < end) {}
        return latencies_;
    }

    /// Lets the requests under way end and sends no new ones until the next run. Returns how many ended.
    std::uint64_t drain() {
        latencies_ = {};
        draining_ = true;
        while (under_way_ > 0) turn();
        draining_ = false;
        return latencies_.count();
    }

private:
    struct connection {
        int fd = -1;
        std::size_t offset = 0;  ///< of its present message in the text
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
        const int done = connect(c.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
        bench::require(done == 0, "connect to the echo server");
        const int yes = 1;
        setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        epoll_event event{.events = EPOLLIN, .data = {.ptr = &c}};
        epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event);
        ask(c, now());
    }

    void ask_all() {
        for (auto& c : connections_) ask(c, now());
    }

    void ask(connection& c, std::uint64_t time) {
        ++under_way_;
        c.offset = (c.offset + 37) % (text_.size() - message_size_);
        c.got = 0;
        c.sent_at = time;
        // Blocking: the server reads whatever else it does.
        const ssize_t n = send(c.fd, text_.data() + c.offset, message_size_, MSG_NOSIGNAL);
        bench::require(n == static_cast<ssize_t>(message_size_), "the whole request is sent");
    }

    void take(connection& c) {
        const ssize_t n = recv(c.fd, received_.data(), message_size_ - c.got, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return;
        bench::require(n > 0, "the echo server answers");
        const auto size = static_cast<std::size_t>(n);
        bench::require(std::memcmp(received_.data(), text_.data() + c.offset + c.got, size) == 0,
                       "what comes back is what was sent");
        if ((c.got += size) < message_size_) return;
        const std::uint64_t time = now();
        latencies_.add(time - c.sent_at);
        --under_way_;
        if (!draining_) ask(c, time);
    }

    std::uint64_t turn() {
        epoll_event events[512];
        const int n = epoll_wait(epoll_, events, 512, 1000);
        bench::require(n > 0, "the echo server answers within a second");
        for (int i = 0; i < n; ++i) take(*static_cast<connection*>(events[i].data.ptr));
        return now();
    }

    int epoll_ = epoll_create1(EPOLL_CLOEXEC);
    std::size_t message_size_;
    std::vector<char> text_;
    std::vector<char> received_;
    std::vector<connection> connections_;
    histogram latencies_;
    std::size_t under_way_ = 0;
    bool draining_ = false;
};

}  // namespace echo
