#pragma once

/// Two ends of TLS that are connected, and streams to put under them.

#include "io_certificates.hpp"
#include "io_leak_check.hpp"

#include <copse/io.hpp>

#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace copse_test {

struct tls_pair {
    copse::io::tls_stream client;
    copse::io::tls_stream server;
};

/// Shakes hands over the two ends of something.
inline tls_pair shake_hands(copse::io::any_stream client_end, copse::io::any_stream server_end,
                            const copse::io::tls_context& client = common_client_context(),
                            const copse::io::tls_context& server = common_server_context(),
                            const std::string& host = "localhost") {
    auto serving = copse::spawn([&] { return copse::io::tls_stream::server(std::move(server_end), server); });
    try {
        auto connected = copse::io::tls_stream::client(std::move(client_end), client, host);
        return {std::move(connected), serving.get()};
    } catch (...) {
        serving.join();
        serving.exception();  // looked at
        throw;
    }
}

inline tls_pair make_tls_pair(const copse::io::tls_context& client = common_client_context(),
                              const copse::io::tls_context& server = common_server_context(),
                              const std::string& host = "localhost") {
    auto ends = copse::io::socketpair();
    return shake_hands(std::move(ends.first), std::move(ends.second), client, server, host);
}

inline std::string recv_text(copse::io::tls_stream& from) {
    std::string text(64 * 1024, '\0');
    text.resize(from.recv(std::as_writable_bytes(std::span(text))));
    return text;
}

inline std::string recv_to_end(copse::io::tls_stream& from) {
    std::string all;
    while (auto chunk = from.recv_pooled()) all += chunk.text();
    return all;
}

/// As many bytes as are asked for.
inline std::string recv_text(copse::io::tls_stream& from, std::size_t size) {
    std::string text(size, '\0');
    text.resize(from.recv_exactly(std::as_writable_bytes(std::span(text))));
    return text;
}

/// A stream whose every step a test sees before it happens: the test may throw, wait, or end the stream.
class watched_stream {
public:
    using watcher = std::function<void(const char* step)>;

    watched_stream(copse::io::socket below, watcher w) : below_(std::move(below)), watch_(std::move(w)) {}

    std::size_t recv(std::span<std::byte> into) {
        watch_("recv");
        return below_.recv(into);
    }
    std::size_t recv_until(std::span<std::byte> into, copse::clock::time_point when) {
        watch_("recv");
        return below_.recv_until(into, when);
    }
    void send_all(std::span<const copse::io::const_buffer> pieces) {
        watch_("send");
        below_.send_all(pieces);
    }
    void send_all_until(std::span<const copse::io::const_buffer> pieces, copse::clock::time_point when) {
        watch_("send");
        below_.send_all_until(pieces, when);
    }
    void shutdown(copse::io::shut how) { below_.shutdown(how); }
    void close() { below_.close(); }
    bool is_open() const { return below_.is_open(); }

private:
    copse::io::socket below_;
    watcher watch_;
};

/// Two pipes as one stream.
class duplex_pipe {
public:
    duplex_pipe(copse::io::pipe_reader in, copse::io::pipe_writer out) : in_(std::move(in)), out_(std::move(out)) {}

    std::size_t recv(std::span<std::byte> into) { return in_.read(into); }
    std::size_t recv_until(std::span<std::byte> into, copse::clock::time_point when) {
        return in_.read_until(into, when);
    }
    void send_all(std::span<const copse::io::const_buffer> pieces) {
        for (const auto& p : pieces) out_.write_all(p.bytes());
    }
    void send_all_until(std::span<const copse::io::const_buffer> pieces, copse::clock::time_point when) {
        for (const auto& p : pieces) out_.write_all_until(p.bytes(), when);
    }
    void shutdown(copse::io::shut) { out_.close(); }
    void close() {
        in_.close();
        out_.close();
    }
    bool is_open() const { return out_.is_open(); }

private:
    copse::io::pipe_reader in_;
    copse::io::pipe_writer out_;
};

}  // namespace copse_test
