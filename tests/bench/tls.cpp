/// TLS echo over loopback: a bare epoll loop on OpenSSL against a fiber for each connection. As echo.cpp has it, both have
/// all their connections at once, and the load goes to one and the other in turn.
///
/// The load encrypts as much as the server does, on a CPU of its own: how fast both are together says less than what the
/// server's CPU a request is.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <copse/fiber.hpp>
#include <copse/io/tls_server.hpp>

#include <chrono>
#include <csignal>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench.hpp"
#include "echo_load.hpp"
#include "echo_servers.hpp"
#include "server_process.hpp"

namespace {

// ---- a certificate for this run

struct identity {
    std::string certificate, key;
};

std::string text_of(BIO* bio) {
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio, &text);
    std::string all(text, static_cast<std::size_t>(size));
    BIO_free(bio);
    return all;
}

identity make_identity() {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 24 * 3600);
    X509_set_pubkey(x, key);
    const auto* name = reinterpret_cast<const unsigned char*>("bench");
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    bench::require(X509_sign(x, key, EVP_sha256()) > 0, "a certificate");
    BIO* certificate = BIO_new(BIO_s_mem());
    BIO* secret = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(certificate, x);
    PEM_write_bio_PrivateKey(secret, key, nullptr, nullptr, 0, nullptr, nullptr);
    X509_free(x);
    EVP_PKEY_free(key);
    return {text_of(certificate), text_of(secret)};
}

const identity& own() {
    static const identity the_one = make_identity();
    return the_one;
}

// ---- the bare loop

SSL_CTX* raw_context() {
    SSL_CTX* ctx = SSL_CTX_new(TLS_server_method());
    BIO* certificate = BIO_new_mem_buf(own().certificate.data(), -1);
    BIO* secret = BIO_new_mem_buf(own().key.data(), -1);
    X509* x = PEM_read_bio_X509(certificate, nullptr, nullptr, nullptr);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(secret, nullptr, nullptr, nullptr);
    bench::require(SSL_CTX_use_certificate(ctx, x) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1, "the certificate");
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);  // one receive a record, not two
    return ctx;
}

/// Never waits for room: an answer always fits the kernel's buffers.
class raw_tls_server {
public:
    static void serve(std::size_t buffer_size, const echo::tell_port& tell) {
        std::vector<char> buffer(buffer_size);
        SSL_CTX* ctx = raw_context();
        const int epoll = epoll_create1(EPOLL_CLOEXEC);
        const int listener = echo::listen_anywhere(tell);
        echo::watch(epoll, listener, EPOLLIN | EPOLLET, nullptr);
        for (epoll_event events[echo::events_a_wait];;) {
            const int n = epoll_wait(epoll, events, echo::events_a_wait, -1);
            for (int i = 0; i < n; ++i) {
                if (events[i].data.ptr == nullptr) accept_all(listener, epoll, ctx);
                else answer(static_cast<SSL*>(events[i].data.ptr), buffer);
            }
        }
    }

private:
    static void accept_all(int listener, int epoll, SSL_CTX* ctx) {
        for (int fd; (fd = echo::accept_one(listener)) >= 0;) {
            SSL* ssl = SSL_new(ctx);
            SSL_set_fd(ssl, fd);
            SSL_set_accept_state(ssl);
            echo::watch(epoll, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, ssl);
        }
    }

    static void answer(SSL* ssl, std::vector<char>& buffer) {
        std::size_t got = 0, sent = 0;
        while (SSL_read_ex(ssl, buffer.data(), buffer.size(), &got) == 1)
            bench::require(SSL_write_ex(ssl, buffer.data(), got, &sent) == 1, "the answer fits");
        if (SSL_get_error(ssl, 0) == SSL_ERROR_WANT_READ) return;
        close(SSL_get_fd(ssl));
        SSL_free(ssl);
    }
};

// ---- copse

void serve_copse(std::size_t, const echo::tell_port& tell) {
    const auto ours =
        copse::io::tls_context::server({.identity = {.certificate_pem = own().certificate, .key_pem = own().key}});
    copse::io::tls_server server("127.0.0.1:0", ours, [](copse::io::tls_stream& client) {
        while (auto chunk = client.recv_pooled()) client.send_all(chunk.bytes());
    });
    tell(server.local_endpoint().port());
    server.serve_forever();
}

// ---- the load

class tls_load {
public:
    tls_load(std::uint16_t port, std::size_t connections, std::size_t message_size)
        : message_(message_size, 'x'), buffer_(message_size + 1024), connections_(connections) {
        for (auto& c : connections_) open(c, port);
    }
    tls_load(const tls_load&) = delete;
    tls_load& operator=(const tls_load&) = delete;

    echo::histogram run_for(double seconds) {
        latencies_ = {};
        if (under_way_ == 0)
            for (auto& c : connections_) ask(c);
        const std::uint64_t end = now() + static_cast<std::uint64_t>(seconds * 1e9);
        while (turn() < end) {}
        return latencies_;
    }
    void drain() {
        draining_ = true;
        while (under_way_ > 0) turn();
        draining_ = false;
    }

private:
    struct connection {
        SSL* ssl = nullptr;
        std::size_t got = 0;
        std::uint64_t sent_at = 0;
    };

    static std::uint64_t now() {
        return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    }

    void open(connection& c, std::uint16_t port) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bench::require(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0, "connect");
        const int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        c.ssl = SSL_new(ctx_);
        SSL_set_fd(c.ssl, fd);
        bench::require(SSL_connect(c.ssl) == 1, "the handshake");
        bench::require(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "fcntl");
        echo::watch(epoll_, fd, EPOLLIN, &c);
    }

    void ask(connection& c) {
        std::size_t sent = 0;
        c.got = 0;
        c.sent_at = now();
        bench::require(SSL_write_ex(c.ssl, message_.data(), message_.size(), &sent) == 1, "the request fits");
        ++under_way_;
    }

    std::uint64_t turn() {
        epoll_event events[64];
        const int n = epoll_wait(epoll_, events, 64, -1);
        for (int i = 0; i < n; ++i) receive(*static_cast<connection*>(events[i].data.ptr));
        return now();
    }

    void receive(connection& c) {
        std::size_t got = 0;
        while (SSL_read_ex(c.ssl, buffer_.data(), buffer_.size(), &got) == 1) c.got += got;
        bench::require(SSL_get_error(c.ssl, 0) == SSL_ERROR_WANT_READ, "the server goes on");
        if (c.got < message_.size() || c.sent_at == 0) return;
        latencies_.add(now() - std::exchange(c.sent_at, 0));
        --under_way_;
        if (!draining_) ask(c);
    }

    static SSL_CTX* make_context() {
        SSL_CTX* ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_read_ahead(ctx, 1);
        return ctx;
    }

    std::string message_;
    std::vector<char> buffer_;
    SSL_CTX* ctx_ = make_context();
    int epoll_ = epoll_create1(EPOLL_CLOEXEC);
    std::vector<connection> connections_;
    std::size_t under_way_ = 0;
    bool draining_ = false;
    echo::histogram latencies_;
};

// ---- one beside the other

class contestant {
public:
    contestant(std::string name, const bench::server_process& server, std::size_t connections, std::size_t message_size)
        : name_(std::move(name)), server_(server), load_(server.port(), connections, message_size) {}

    void run_slice(double seconds) {
        load_.run_for(0.3 * seconds);
        const double cpu_before = server_.cpu_ns();
        const auto start = std::chrono::steady_clock::now();
        latencies_ += load_.run_for(seconds);
        wall_ += std::chrono::steady_clock::now() - start;
        cpu_ns_ += server_.cpu_ns() - cpu_before;
        load_.drain();
    }

    void report(const bench::sink& out, const std::string& base) const {
        const auto requests = static_cast<double>(latencies_.count());
        out(name_ + ": requests", requests / wall_.count(), "1/s", base + ": requests");
        out(name_ + ": server CPU a request", cpu_ns_ / requests, "ns", base + ": server CPU a request");
        out(name_ + ": p50", latencies_.microseconds(0.5), "us", base + ": p50");
        out(name_ + ": p99", latencies_.microseconds(0.99), "us", base + ": p99");
    }

private:
    std::string name_;
    const bench::server_process& server_;
    tls_load load_;
    echo::histogram latencies_;
    std::chrono::duration<double> wall_{};
    double cpu_ns_ = 0;
};

void measure(const bench::sink& out, std::size_t connections, std::size_t message_size, const std::string& what) {
    own();  // before the forks: one certificate for both
    const std::size_t buffer_size = message_size + 1024;
    const bench::server_process raw_server(
        [&](const echo::tell_port& tell) { raw_tls_server::serve(buffer_size, tell); });
    const bench::server_process server([&](const echo::tell_port& tell) { serve_copse(buffer_size, tell); });
    bench::pin(bench::load_cpu);
    const std::string base = what + ", raw";
    contestant raw(base, raw_server, connections, message_size);
    contestant ours(what + ", copse", server, connections, message_size);
    const double timed = bench::settings().full ? 2 : bench::settings().quick ? 0.2 : 0.4;
    constexpr double slice = 0.05;
    for (int i = 0; i < static_cast<int>(timed / slice); ++i) {
        (i % 2 == 0 ? raw : ours).run_slice(slice);
        (i % 2 == 0 ? ours : raw).run_slice(slice);
    }
    raw.report(out, base);
    ours.report(out, base);
}

}  // namespace

int main(int argc, char** argv) {
    bench::suite suite("TLS echo, one thread; x base: a bare edge-triggered epoll loop on OpenSSL beside it", argc,
                       argv);
    std::signal(SIGPIPE, SIG_IGN);
    for (const std::size_t connections : {std::size_t{1}, std::size_t{100}})
        for (const std::size_t size : {std::size_t{64}, std::size_t{16384}}) {
            const std::string what =
                (size == 64 ? std::string("64 B") : std::string("16 KiB")) + " x " + std::to_string(connections);
            suite.add_all(what + ", copse", [=](const bench::sink& out) { measure(out, connections, size, what); });
        }
    return suite.run(3);
}
