#pragma once
/// Echo servers that serve until they are killed: what the machine allows, and peers. Each listens on a port of its own
/// choice on 127.0.0.1, tells it, and reads with a buffer of `buffer_size` bytes, a little more than a message.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "bench.hpp"
#include "limit.hpp"

namespace echo {

using tell_port = std::function<void(std::uint16_t)>;
using server = void (*)(std::size_t buffer_size, const tell_port&);

constexpr int events_a_wait = 512;
constexpr std::uint32_t both_edges = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

inline int listen_anywhere(const tell_port& tell) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* address = reinterpret_cast<sockaddr*>(&at);
    const bool listening =
        bind(fd, address, size) == 0 && listen(fd, 4096) == 0 && getsockname(fd, address, &size) == 0;
    bench::require(listening, "listen");
    tell(ntohs(at.sin_port));
    return fd;
}

/// A new connection, or -1 when none waits.
inline int accept_one(int listener) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return -1;
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

inline void watch(int epoll, int fd, std::uint32_t events, void* what) {
    epoll_event event{.events = events, .data = {.ptr = what}};
    bench::require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

/// What both hand-written servers remember of a connection. A new one is taken to be not readable and writable.
struct connection {
    int fd;
    bool readable = false;
    bool writable = true;
    bool hung_up = false;

    void note(std::uint32_t events) {
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) hung_up = true;
        if (events & EPOLLIN || hung_up) readable = true;
        if (events & EPOLLOUT) writable = true;
    }

    /// Bytes read; 0 at the end, -1 when there is nothing now. A short read has drained the socket.
    ssize_t try_recv(std::vector<char>& buffer) { return try_recv(buffer.data(), buffer.size()); }

    ssize_t try_recv(char* to, std::size_t size) {
        const ssize_t n = recv(fd, to, size, 0);
        if (n < 0 && errno != EAGAIN) return 0;
        if (n < static_cast<ssize_t>(size)) readable = hung_up;
        return n;
    }

    /// Bytes sent, fewer than asked when the socket is full. A connection that broke swallows everything.
    std::size_t try_send(const char* from, std::size_t size) {
        const ssize_t n = send(fd, from, size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return size;
        if (n < static_cast<ssize_t>(size)) writable = false;
        return n < 0 ? 0 : static_cast<std::size_t>(n);
    }
};

// ---- raw: the loop that everything is compared with

class raw_server {
public:
    raw_server(std::size_t buffer_size, const tell_port& tell)
        : buffer_(buffer_size), listener_(listen_anywhere(tell)) {
        watch(epoll_, listener_, EPOLLIN, nullptr);
    }

    [[noreturn]] void serve() {
        epoll_event events[events_a_wait];
        for (;;) {
            const int n = epoll_wait(epoll_, events, events_a_wait, -1);
            for (int i = 0; i < n; ++i) handle(events[i]);
        }
    }

private:
    struct client : connection {
        std::vector<char> unsent{};
    };

    void handle(const epoll_event& event) {
        if (!event.data.ptr) return accept_all();
        auto* c = static_cast<client*>(event.data.ptr);
        c->note(event.events);
        if (!go_on(*c)) end(c);
    }

    void accept_all() {
        for (int fd; (fd = accept_one(listener_)) >= 0;) watch(epoll_, fd, both_edges, new client{{fd}});
    }

    /// False at the end of the stream.
    bool go_on(client& c) {
        if (!c.unsent.empty() && c.writable) send_or_keep(c, std::exchange(c.unsent, {}));
        while (c.readable && c.unsent.empty()) {
            const ssize_t n = c.try_recv(buffer_);
            if (n == 0) return false;
            if (n > 0) send_or_keep(c, {buffer_.data(), static_cast<std::size_t>(n)});
        }
        return true;
    }

    static void send_or_keep(client& c, std::span<const char> bytes) {
        const std::size_t sent = c.try_send(bytes.data(), bytes.size());
        if (sent < bytes.size()) c.unsent.assign(bytes.begin() + static_cast<std::ptrdiff_t>(sent), bytes.end());
    }

    static void end(client* c) {
        close(c->fd);
        delete c;
    }

    int epoll_ = epoll_create1(EPOLL_CLOEXEC);
    std::vector<char> buffer_;
    int listener_;
};

inline void serve_raw(std::size_t buffer_size, const tell_port& tell) { raw_server(buffer_size, tell).serve(); }

// ---- limit: a minimal fiber for each connection over the same loop

class limit_server {
public:
    static void serve(std::size_t buffer_size, const tell_port& tell) {
        buffer_size_ = buffer_size;
        limit::self.idle = poll;
        waiting listener{{listen_anywhere(tell)}};
        watch(epoll_, listener.fd, EPOLLIN | EPOLLET, &listener);
        for (;;) {
            for (int fd; (fd = accept_one(listener.fd)) >= 0;) start(fd);
            listener.readable = false;
            wait_until(listener, listener.readable);
        }
    }

private:
    struct waiting : connection {
        limit::fiber* fiber = nullptr;
    };

    static void start(int fd) {
        auto* c = new waiting{{fd}};
        watch(epoll_, fd, both_edges, c);
        limit::spawn([](void* p) { attend(static_cast<waiting*>(p)); }, c, true);
    }

    static void attend(waiting* c) {
        echo_all(*c);
        close(c->fd);
        delete c;
    }

    [[gnu::noinline]] static void echo_all(waiting& c) {
        char buffer[24 * 1024];
        for (;;) {
            const std::size_t n = receive(c, buffer);
            if (n == 0) return;
            send_all(c, buffer, n);
        }
    }

    [[gnu::noinline]] static std::size_t receive(waiting& c, char* buffer) {
        for (;;) {
            wait_until(c, c.readable);
            const ssize_t n = c.try_recv(buffer, buffer_size_);
            if (n >= 0) return static_cast<std::size_t>(n);
        }
    }

    [[gnu::noinline]] static void send_all(waiting& c, const char* bytes, std::size_t size) {
        for (;;) {
            const std::size_t sent = c.try_send(bytes, size);
            if (sent == size) return;
            bytes += sent;
            size -= sent;
            wait_until(c, c.writable);
        }
    }

    static void wait_until(waiting& c, const bool& condition) {
        while (!condition) {
            c.fiber = limit::self.current;
            limit::park();
        }
    }

    static void poll() {
        epoll_event events[events_a_wait];
        const int n = epoll_wait(epoll_, events, events_a_wait, -1);
        for (int i = 0; i < n; ++i) {
            auto* c = static_cast<waiting*>(events[i].data.ptr);
            c->note(events[i].events);
            if (c->fiber) limit::self.ready.push(std::exchange(c->fiber, nullptr));
        }
    }

    static inline std::size_t buffer_size_ = 0;
    static inline int epoll_ = epoll_create1(EPOLL_CLOEXEC);
};

// ---- Asio, callbacks

class asio_server {
public:
    asio_server(std::size_t buffer_size, const tell_port& tell) : buffer_size_(buffer_size) {
        tell(acceptor_.local_endpoint().port());
    }

    void serve() {
        accept();
        context_.run();
    }

private:
    using tcp = boost::asio::ip::tcp;

    struct session : std::enable_shared_from_this<session> {
        session(tcp::socket&& from, std::size_t buffer_size) : socket(std::move(from)), buffer(buffer_size) {}

        void read() {
            auto then = [me = shared_from_this()](const auto& error, std::size_t n) {
                if (!error) me->write(n);
            };
            socket.async_read_some(boost::asio::buffer(buffer), std::move(then));
        }

        void write(std::size_t size) {
            auto then = [me = shared_from_this()](const auto& error, std::size_t) {
                if (!error) me->read();
            };
            boost::asio::async_write(socket, boost::asio::buffer(buffer, size), std::move(then));
        }

        tcp::socket socket;
        std::vector<char> buffer;
    };

    void accept() {
        acceptor_.async_accept([this](const auto& error, tcp::socket socket) {
            if (!error) {
                socket.set_option(tcp::no_delay(true));
                std::make_shared<session>(std::move(socket), buffer_size_)->read();
            }
            accept();
        });
    }

    boost::asio::io_context context_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
    tcp::acceptor acceptor_{context_, {boost::asio::ip::address_v4::loopback(), 0}};
    std::size_t buffer_size_;
};

inline void serve_asio(std::size_t buffer_size, const tell_port& tell) { asio_server(buffer_size, tell).serve(); }

}  // namespace echo
