/// UDP echo over loopback: a server on one CPU, a load generator on another, which keeps some datagrams under way.
///
/// As with TCP, each server runs beside the bare epoll loop that it is compared with, and the load goes to one and the other
/// in turn.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <copse/io/datagram_server.hpp>
#include <copse/io/datagram_socket.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench.hpp"
#include "server_process.hpp"

namespace {

constexpr std::size_t message_size = 64;
constexpr std::size_t room = 2048;

using tell_port = std::function<void(std::uint16_t)>;
using server = void (*)(const tell_port&);

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

// ---- servers

void serve_raw(const tell_port& tell) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    auto* address = reinterpret_cast<sockaddr*>(&at);
    bench::require(bind(fd, address, size) == 0 && getsockname(fd, address, &size) == 0, "bind");
    const int epoll = epoll_create1(0);
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.fd = fd}};
    bench::require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    tell(ntohs(at.sin_port));
    std::array<std::byte, room> buffer;
    for (;;) {
        epoll_wait(epoll, &event, 1, -1);
        for (;;) {
            sockaddr_in from{};
            socklen_t from_size = sizeof from;
            auto* peer = reinterpret_cast<sockaddr*>(&from);
            const ssize_t n = recvfrom(fd, buffer.data(), buffer.size(), 0, peer, &from_size);
            if (n < 0) break;
            sendto(fd, buffer.data(), static_cast<std::size_t>(n), 0, peer, from_size);
        }
    }
}

void serve_copse(const tell_port& tell) {
    copse::io::socket s = copse::io::bind_datagram("127.0.0.1:0");
    tell(s.local_endpoint().port());
    std::array<std::byte, room> buffer;
    for (;;) {
        const copse::io::datagram got = s.recv_from(buffer);
        s.send_to(std::span(buffer).first(got.size), got.from);
    }
}

void serve_copse_batches(const tell_port& tell) {
    constexpr std::size_t most = 32;
    copse::io::socket s = copse::io::bind_datagram("127.0.0.1:0");
    tell(s.local_endpoint().port());
    std::vector<std::byte> buffer(most * room);
    std::vector<copse::io::datagram_slot> slots(most);
    for (std::size_t i = 0; i < most; ++i) slots[i].buffer = std::span(buffer).subspan(i * room, room);
    std::vector<copse::io::outgoing_datagram> answers;
    for (;;) {
        const std::size_t n = s.recv_many(slots);
        answers.clear();
        for (std::size_t i = 0; i < n; ++i) answers.push_back({slots[i].bytes(), slots[i].received.from});
        for (std::size_t sent = 0; sent < n;) sent += s.send_many(std::span(answers).subspan(sent));
    }
}

void serve_copse_handlers(const tell_port& tell) {
    copse::io::datagram_server all("127.0.0.1:0", [](copse::io::incoming_datagram& d) { d.reply(d.bytes()); });
    tell(all.local_endpoint().port());
    all.serve_forever();
}

// ---- load

class contestant {
public:
    contestant(server serve, std::size_t under_way) : server_(serve), under_way_(under_way) {
        const sockaddr_in there = loopback(server_.port());
        bench::require(connect(fd_, reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0, "connect");
        const timeval patience{1, 0};  // over loopback nothing is lost, as long as the buffers are not full
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    ~contestant() { close(fd_); }
    contestant(const contestant&) = delete;
    contestant& operator=(const contestant&) = delete;

    void run_slice(std::chrono::duration<double> length) {
        const double cpu_before = server_.cpu_ns();
        const auto begun = std::chrono::steady_clock::now();
        const auto end = begun + length;
        for (std::size_t i = 0; i < under_way_; ++i) ask();
        do {
            answer();
            ask();
        } while (std::chrono::steady_clock::now() < end);
        for (std::size_t i = 0; i < under_way_; ++i) answer();
        wall_ += std::chrono::steady_clock::now() - begun;
        cpu_ns_ += server_.cpu_ns() - cpu_before;
    }

    void report(const bench::sink& out, const std::string& name, const std::string& base) const {
        out(name + ": requests", requests_ / wall_.count(), "1/s", base + ": requests");
        out(name + ": server CPU a request", cpu_ns_ / requests_, "ns", base + ": server CPU a request");
    }

private:
    void ask() {
        message_[0] = static_cast<char>(sent_++);
        bench::require(send(fd_, message_.data(), message_.size(), 0) == message_size, "the request is sent");
    }
    void answer() {
        const bool whole = recv(fd_, received_.data(), received_.size(), 0) == message_size;
        bench::require(whole, "the answer comes whole");
        requests_ += 1;
    }

    const bench::server_process server_;
    const std::size_t under_way_;
    const int fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    std::array<char, message_size> message_{};
    std::array<char, room> received_{};
    unsigned sent_ = 0;
    double requests_ = 0;
    std::chrono::duration<double> wall_{};
    double cpu_ns_ = 0;
};

void measure(const bench::sink& out, const std::string& who, server serve, std::size_t under_way) {
    contestant raw(serve_raw, under_way);
    contestant other(serve, under_way);
    bench::pin(bench::load_cpu);
    constexpr std::chrono::duration<double> slice(0.02);
    const int slices = bench::settings().quick ? 10 : 30;
    for (int i = 0; i < slices; ++i) {
        const bool raw_first = i % 2 == 0;
        (raw_first ? raw : other).run_slice(slice);
        (raw_first ? other : raw).run_slice(slice);
    }
    const std::string window = "64 B, " + std::to_string(under_way) + " under way, ";
    const std::string base = window + "raw beside " + who;
    raw.report(out, base, base);
    other.report(out, window + who, base);
}

}  // namespace

int main(int argc, char** argv) {
    bench::suite suite("UDP echo, one thread; x base: a bare edge-triggered epoll loop beside it", argc, argv);
    for (const std::size_t under_way : {1U, 32U}) {
        const auto add = [&](const char* who, server serve) {
            suite.add_all(std::to_string(under_way) + " under way, " + who,
                          [=](const bench::sink& out) { measure(out, who, serve, under_way); });
        };
        add("copse", serve_copse);
        add("copse, batches", serve_copse_batches);
        add("copse, a fiber for each", serve_copse_handlers);
    }
    return suite.run(3);
}
